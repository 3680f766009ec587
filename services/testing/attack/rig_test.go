// Package attack is the bus as those see it who attack it: the agent's container, a
// web page, another user of the machine, the provider of the model, and the holder of
// the key of one role. Its tests run `secbus up` as its users do, as a process of its
// own, and demand that what docs/threat-model.md says cannot be done fails.
package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/secbus/cli"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

const (
	host = "box1"
	chat = 42
	key  = "sk-attack-0123456789abcdefghijklmnop"

	// patience bounds one command of a user.
	patience = 60 * time.Second
)

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{"secbus": secbus})
	os.Exit(m.Run())
}

// secbus is the command in a process of its own; its task is the command line.
func secbus() int {
	var args []string
	if err := childproc.Task(&args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, args, cli.Terminal{Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ()}, services.All())
}

// stack is a running `secbus up` and the files that its sensors write.
type stack struct {
	t        *testing.T
	dir      string
	environ  []string
	telegram *telegramtest.Server
	process  *childproc.Process
	log      *childproc.Log

	nats, proxy, admin string // URLs
}

// newStack prepares a stack whose chat is a stand-in for Telegram. Entries of the
// environment go before its own.
func newStack(t *testing.T, environ ...string) *stack {
	t.Helper()
	if testing.Short() {
		t.Skip("runs whole stacks")
	}
	s := &stack{t: t, dir: t.TempDir()}
	s.telegram = telegramtest.New(telegramtest.Config{Chats: []telegramtest.Chat{{ID: chat, Type: "private", Title: "Owner"}}, Unlimited: true})
	s.environ = append([]string{
		"HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.path("config"), "XDG_STATE_HOME=" + s.path("state"), "OPENCLAW_HOST=" + host,
		"SURICATA_EVE_PATH=" + s.path("eve.json"), "TRACEE_EVENTS_PATH=" + s.path("events.json"), "SENSOR_SILENCE=0s",
		"PROXY_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "DAILY_REPORT_HOUR=", "SECBUS_DATA=" + s.path("data"),
		"TELEGRAM_API=" + s.telegram.Start(t), "TELEGRAM_CHAT_ID=" + fmt.Sprint(chat), "TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
	}, environ...)
	for _, name := range []string{"eve.json", "events.json"} {
		s.write(name, "")
	}
	return s
}

func (s *stack) path(name string) string { return filepath.Join(s.dir, name) }

// write appends to a sensor's file.
func (s *stack) write(name, text string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

var (
	saysUp    = regexp.MustCompile(`NATS on (nats://[0-9.:]+)\.`)
	saysAdmin = regexp.MustCompile(`Health and metrics: (http://[0-9.:]+)/readyz`)
	saysProxy = regexp.MustCompile(`LLM proxy: (http://[0-9.:]+),`)
)

// up starts the stack, which ends with the test.
func (s *stack) up() *stack {
	s.t.Helper()
	s.log = new(childproc.Log)
	said := make(chan string, 64)
	s.process = &childproc.Process{
		Role: "secbus", Task: []string{"up", "--listen", "127.0.0.1:0"}, Env: s.environ, Log: s.log,
		Stderr: func(line string) {
			if !strings.HasPrefix(line, "{") {
				select {
				case said <- line:
				default:
				}
			}
		},
	}
	s.process.Run(s.t)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the last lines of secbus up:\n%s", s.log)
		}
	})
	s.nats, s.admin, s.proxy = "", "", ""
	late := time.After(patience)
	for s.proxy == "" {
		select {
		case line := <-said:
			for pattern, into := range map[*regexp.Regexp]*string{saysUp: &s.nats, saysAdmin: &s.admin, saysProxy: &s.proxy} {
				if found := pattern.FindStringSubmatch(line); found != nil {
					*into = found[1]
				}
			}
		case <-s.process.Ended():
			s.t.Fatalf("secbus up has ended\n%s", s.log)
		case <-late:
			s.t.Fatalf("secbus up does not say that it is up\n%s", s.log)
		}
	}
	return s
}

// secbus runs one command of the owner and returns what it prints on its two
// outputs, and its exit code.
func (s *stack) secbus(args ...string) (out string, code int) {
	s.t.Helper()
	return s.secbusFor(patience, args...)
}

// secbusFor is secbus for a command that does not end by itself.
func (s *stack) secbusFor(d time.Duration, args ...string) (out string, code int) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	task, err := json.Marshal(args)
	if err != nil {
		s.t.Fatal(err)
	}
	read, lifeline, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer read.Close()
	defer lifeline.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append([]string{"CHILDPROC_ROLE=secbus", "CHILDPROC_TASK=" + string(task)}, s.environ...)
	cmd.ExtraFiles = []*os.File{read}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	_ = cmd.Run() // the code says how it went
	return text.String(), cmd.ProcessState.ExitCode()
}

// stored returns the titles of the alerts that are stored, as the owner gets them.
func (s *stack) stored(args ...string) string {
	s.t.Helper()
	out, code := s.secbus(append([]string{"replay", "--since", "1h", "--json"}, args...)...)
	if code != 0 {
		s.t.Fatalf("secbus replay ends with %d: %s", code, out)
	}
	return out
}

// eventually waits until holds does.
func (s *stack) eventually(what string, holds func() bool) {
	s.t.Helper()
	bustest.Eventually(s.t, what, holds)
}

// said returns the text of the messages in the chat.
func (s *stack) said() string {
	var all strings.Builder
	for _, m := range s.telegram.Messages() {
		all.WriteString(m.Text + "\n")
	}
	return all.String()
}

// inChat waits until the chat has a message with text.
func (s *stack) inChat(text string) {
	s.t.Helper()
	s.eventually("the chat says "+text, func() bool { return strings.Contains(s.said(), text) })
}

// holder connects as someone who has the key of a role, and does with it what the
// server lets them.
func (s *stack) holder(role string) *nats.Conn {
	s.t.Helper()
	key, err := nats.NkeyOptionFromSeed(s.path("data/keys/" + role + ".nk"))
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := nats.Connect(s.nats, key, nats.CustomInboxPrefix(bus.InboxPrefix(role)),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.MaxReconnects(-1))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// request sends m and returns the server's reply, or why there is none.
func request(nc *nats.Conn, m *nats.Msg) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+m.Subject+`"`) {
			cancel() // there will be no reply
		}
	})
	reply, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(reply.Data)
}

// alert is a line of Suricata's.
func alert(title string, priority int, severity string) string {
	return fmt.Sprintf(`{"timestamp":%q,"flow_id":1,"event_type":"alert","src_ip":"172.18.0.2","src_port":40000,"dest_ip":"203.0.113.9","dest_port":80,"proto":"TCP",`+
		`"alert":{"action":"allowed","gid":1,"signature_id":8800001,"rev":1,"signature":%q,"category":"x","severity":%d,"metadata":{"signature_severity":[%q]}}}`+"\n",
		time.Now().UTC().Format("2006-01-02T15:04:05.000000-0700"), title, priority, severity)
}

// event is a well-formed alert of a role's key, under another id each time.
func event(serial int, source, title, severity string) []byte {
	ids := map[string]int{"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
	text, err := json.Marshal(map[string]any{
		"id": fmt.Sprintf("%032x", serial), "time": time.Now().UTC().Format(time.RFC3339Nano), "host": host, "source": source, "kind": "alert",
		"severity": severity, "severity_id": ids[severity], "class_uid": 2004, "title": title,
	})
	if err != nil {
		panic(err)
	}
	return text
}

// provider starts a provider of models that answers as it likes.
func provider(t *testing.T, answer http.HandlerFunc) (environ []string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return []string{"LLM_API_PROVIDER=openai", "LLM_API_BASE=" + server.URL, "LLM_API_KEY=" + key}
}

// ask sends a chat completion request through the proxy.
func (s *stack) ask(ctx context.Context, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.proxy+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return http.DefaultClient.Do(r)
}

// answer is ask for a request that gets an answer.
func (s *stack) answer(body string) (status int, text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	response, err := s.ask(ctx, body)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("after %d bytes: %v", len(read), err)
	}
	return response.StatusCode, string(read)
}

// get returns the status of an address of the stack, with a page's headers.
func get(t *testing.T, url string, header ...string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n+1 < len(header); n += 2 {
		if header[n] == "Host" {
			r.Host = header[n+1]
			continue
		}
		r.Header.Set(header[n], header[n+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// freePort returns an address of the loopback interface that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
