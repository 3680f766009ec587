// Command demo plays a recorded attack through the real pipeline and shows what
// comes out at the other end. It needs no sensor, no network and no privileges.
//
//	recordings ─▶ eve.json, events.json ─▶ secbus up ─▶ alerts on standard output
//	an agent's requests ────────────────▶  its proxy ─▶ llmtest, for the model
//	                                       its chat  ─▶ telegramtest, for Telegram
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/secbus/cli"
	"github.com/openclaw-security/bus/services/testing/llmtest"
	"github.com/openclaw-security/bus/services/testing/sensortest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
	"github.com/openclaw-security/bus/suricata"
	"github.com/openclaw-security/bus/tracee"
)

const (
	// natsContext is the name of the nats command's context while a demo runs.
	natsContext = "openclaw-security-demo"
	// patience is how long the last alerts may take to come out after the last line
	// was written.
	patience = 30 * time.Second
	// between two looks at what is not there yet
	pollInterval = 100 * time.Millisecond
)

// demo is one demonstration.
type demo struct {
	dir  string
	term cli.Terminal
	stay bool // keep the bus up afterwards

	url, proxy string // addresses of the bus and of the LLM proxy
	chat       chatScreen
	requests   []proto.Audit // of the agent, that have ended
}

// run plays the recordings and shows what comes of them.
func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "openclaw-demo-"); err != nil {
		return fmt.Errorf("creating the demo's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	model, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening an address for the model: %w", err)
	}
	chat, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening an address for Telegram: %w", err)
	}
	environ := append(d.environ(),
		"LLM_API_BASE=http://"+model.Addr().String(), "TELEGRAM_API=http://"+chat.Addr().String(),
		"SURICATA_EVE_PATH="+d.path("suricata"), "TRACEE_EVENTS_PATH="+d.path("tracee"))

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	parts, ctx := errgroup.WithContext(ctx)
	up := make(chan struct{})
	parts.Go(func() error {
		return llmtest.New(llmtest.Config{Unrecorded: true}).Serve(ctx, model)
	})
	parts.Go(func() error {
		return telegramtest.New(telegramtest.Config{Show: &d.chat}).Serve(ctx, chat)
	})
	parts.Go(func() error { return d.secbusUp(ctx, environ, func() { close(up) }) })
	parts.Go(func() error {
		defer stop()
		select {
		case <-up:
			return d.play(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	return parts.Wait()
}

// What `secbus up` says of itself.
var (
	natsAddress  = regexp.MustCompile(`^The bus is up: .* NATS on (nats://\S+)\.$`)
	proxyAddress = regexp.MustCompile(`^LLM proxy: http://([0-9.:]+),`)
)

// lastLine begins the last line of what `secbus up` says when it is up.
const lastLine = "  nats --server"

// secbusUp runs `secbus up` as a user would, and calls started when it has said
// where everything is. What it says later is shown.
func (d *demo) secbusUp(ctx context.Context, environ []string, started func()) error {
	said, stderr, err := os.Pipe()
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	var before strings.Builder
	reading.Go(func() {
		up := false
		for lines := bufio.NewScanner(said); lines.Scan(); {
			line := lines.Text()
			if up {
				fmt.Fprintln(d.term.Stderr, line)
				continue
			}
			before.WriteString(line + "\n")
			if m := natsAddress.FindStringSubmatch(line); m != nil {
				d.url = m[1]
			}
			if m := proxyAddress.FindStringSubmatch(line); m != nil {
				d.proxy = m[1]
			}
			if strings.HasPrefix(line, lastLine) {
				up = true
				started()
			}
		}
		_, _ = io.Copy(io.Discard, said) // after a line that is too long
	})
	code := cli.Run(ctx, []string{"up", "--data", d.data(), "--listen", "127.0.0.1:0", "--context", natsContext},
		cli.Terminal{Stdout: d.term.Stdout, Stderr: stderr, Environ: environ}, services.All())
	_ = stderr.Close()
	reading.Wait()
	_ = said.Close()
	if code != 0 {
		return fmt.Errorf("secbus up ended with exit code %d\n%s", code, before.String())
	}
	file, err := natsconf.ContextFile(natsContext)
	if err != nil {
		return err
	}
	_ = os.Remove(file) // it may not have been written
	return nil
}

// environ is the part of the environment that a demo takes over, after what it
// sets itself.
func (d *demo) environ() []string {
	environ := []string{
		"OPENCLAW_HOST=demo", "ADMIN_ADDR=127.0.0.1:0",
		"PROXY_ADDR=127.0.0.1:0", "PROXY_DETECTIONS=dangerous-command=enforce", "LLM_API_KEY=" + llmtest.Key,
		"GUARD_ENABLED=true", "GUARD_STUB_ADDR=127.0.0.1:0",
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, fmt.Sprintf("TELEGRAM_CHAT_ID=%d", telegramtest.PrivateID),
		"ALERT_MAX_PER_MINUTE=60", "NOTIFIER_STDOUT=always", "DAILY_REPORT_HOUR=",
		"ALERT_MIN_SEVERITY=low", "LOG_LEVEL=warn",
	}
	for _, entry := range d.term.Environ {
		switch key, _, _ := strings.Cut(entry, "="); key {
		case "ALERT_MIN_SEVERITY", "NOTIFIER_FORMAT", "LOG_LEVEL", "LOG_FORMAT":
			environ = append(environ, entry)
		}
	}
	return environ
}

// path is the file that a sensor would write.
func (d *demo) path(sensor string) string { return filepath.Join(d.dir, sensor+".json") }

func (d *demo) data() string { return filepath.Join(d.dir, "data") }

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.term.Stdout, format+"\n", args...)
}

// play writes the recordings, waits until all of it has come out at the other
// end, and sums up.
func (d *demo) play(ctx context.Context) error {
	d.say("The bus is up on %s. An agent in a container is attacked now: recorded output of", d.url)
	d.say("Suricata and Tracee is written to %s/*.json, line by line, as the", d.dir)
	d.say("sensors would; shippers follow the files. These are the alerts:\n")
	recordings := []sensortest.Recording{
		{Path: d.path("suricata"), Lines: suricata.Recording(), Pace: sensortest.Pace{Max: 300 * time.Millisecond}},
		{Path: d.path("tracee"), Lines: tracee.Recording(), Pace: sensortest.Pace{Min: 60 * time.Millisecond, Max: 300 * time.Millisecond}},
	}
	written := make([]int, len(recordings))
	group, playing := errgroup.WithContext(ctx)
	for i, r := range recordings {
		group.Go(func() (err error) {
			written[i], err = r.Play(playing)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	total := written[0] + written[1]
	if err := d.sumUp(ctx, conn, total); err != nil {
		return err
	}
	if err := d.converse(ctx, conn, total); err != nil {
		return err
	}
	d.say("\nAnd this is what came to your phone, by way of a stand-in for Telegram:\n")
	d.say("%s", d.chat.text())
	if err := d.audited(ctx); err != nil {
		return err
	}
	d.suggest()
	if d.stay {
		d.say("\nThe bus stays up until you press Ctrl-C.")
		<-ctx.Done()
	} else {
		d.say("\nThis demo ends here, its output not being a terminal; with -stay the bus stays up.")
	}
	return nil
}

// connect connects as the operator.
func (d *demo) connect(ctx context.Context) (*bus.Conn, error) {
	key, err := natsconf.LoadSeed(filepath.Join(d.data(), "keys", bus.RoleOperator+".nk"))
	if err != nil {
		return nil, fmt.Errorf("loading the operator's key: %w", err)
	}
	return bus.Connect(ctx, bus.Options{URL: d.url, Role: bus.RoleOperator, Key: key})
}

// sumUp waits until everything is delivered and counts it on the bus itself.
func (d *demo) sumUp(ctx context.Context, conn *bus.Conn, written int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not everything came out within %s", patience))
	defer cancel()
	counts, err := waitForAll(ctx, conn, written)
	if err != nil {
		return fmt.Errorf("waiting for the last alert: %w", err)
	}
	d.say("\n%d lines written by the sensors, %d events stored once each: %d alerts, %d telemetry.",
		written, counts.stored, counts.alerts, counts.stored-counts.alerts)
	for _, severity := range []proto.Severity{proto.SeverityCritical, proto.SeverityHigh, proto.SeverityMedium, proto.SeverityLow} {
		d.say("  %-8s  suricata %3d   tracee %3d", severity, counts.by["suricata"][severity], counts.by["tracee"][severity])
	}
	return nil
}

// counts are what the bus holds.
type counts struct {
	stored, alerts int
	by             map[string]map[proto.Severity]int
}

// waitForAll waits until the bus holds as many events as are expected, every
// alert of them is in the alerts' own stream, and all are acknowledged.
func waitForAll(ctx context.Context, conn *bus.Conn, expected int) (*counts, error) {
	for {
		stored, err := countStored(ctx, conn)
		if err != nil {
			return nil, err
		}
		done, err := delivered(ctx, conn, stored.alerts)
		if err != nil {
			return nil, err
		}
		if done && stored.stored == expected {
			return stored, nil
		}
		if err := retry.Sleep(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

// delivered reports whether there are so many alerts and no consumer has
// anything left to do.
func delivered(ctx context.Context, conn *bus.Conn, alerts int) (bool, error) {
	o, err := conn.Overview(ctx)
	if err != nil {
		return false, err
	}
	for _, d := range o.Durables {
		if d.Progress.Pending > 0 || d.Progress.Unacked > 0 {
			return false, nil
		}
	}
	stored := uint64(0)
	for _, s := range o.Streams {
		if slices.Contains(o.Alerts(), s.Name) {
			stored += s.Messages
		}
	}
	return stored >= uint64(alerts), nil
}

func countStored(ctx context.Context, conn *bus.Conn) (*counts, error) {
	c := &counts{by: make(map[string]map[proto.Severity]int)}
	streams, err := conn.SecurityStreams(ctx)
	if err != nil {
		return nil, err
	}
	for m, err := range conn.MergedHistory(ctx, streams, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			return nil, err
		}
		subject, err := proto.ParseSubject(m.Subject)
		if err != nil {
			return nil, err
		}
		if subject.Source == bus.RoleAuditor || subject.Source == bus.RoleNotifier {
			continue // what the bus says of itself
		}
		c.stored++
		if subject.Class == proto.ClassAlert {
			c.alerts++
		}
		if c.by[subject.Source] == nil {
			c.by[subject.Source] = make(map[proto.Severity]int)
		}
		c.by[subject.Source][subject.Severity]++
	}
	return c, nil
}

// suggest says what to try next.
func (d *demo) suggest() {
	secbus := filepath.Join(filepath.Dir(os.Args[0]), "secbus") // make demo builds it
	d.say("\nTry next, from another terminal:")
	d.say("  %s tail --since 1h --severity high --data %s", secbus, d.data())
	d.say("  %s replay --since 1h --data %s", secbus, d.data())
	d.say("  %s status --data %s", secbus, d.data())
	d.say("  %s audit verify --data %s", secbus, d.data())
	d.say("  nats --context %s sub 'security.>'", natsContext)
	d.say("Then on this machine's own sensors: make run")
}

// chatScreen keeps what the stand-in for Telegram shows.
type chatScreen struct {
	mu    sync.Mutex
	shown strings.Builder
}

// Write implements [io.Writer].
func (c *chatScreen) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown.Write(p)
}

func (c *chatScreen) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown.String()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := demo{term: cli.Terminal{Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ()}}
	flag.BoolVar(&d.stay, "stay", render.IsTerminal(os.Stdout), "keep the bus up afterwards, to look at it")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Plays a recorded attack through an embedded bus in a temporary directory and shows the alerts.")
		fmt.Fprintln(flag.CommandLine.Output(), "ALERT_MIN_SEVERITY (low here), NOTIFIER_FORMAT and LOG_LEVEL are taken from the environment.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
