package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/suricata"
)

// session runs secbus command lines as a shell would.
type session struct {
	t       *testing.T
	dir     string
	environ []string
	table   []service.Spec
}

// held counts the messages of a stream, none in one that there is not.
func (s status) held(stream string) int {
	for _, st := range s.Streams {
		if st.Name == stream {
			return int(st.Messages)
		}
	}
	return 0
}

func newSession(t *testing.T, environ ...string) *session {
	dir := t.TempDir()
	// The nats command's context is written where this points.
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	return &session{t: t, dir: dir, environ: environ, table: services.All()}
}

// run executes one command line to its end.
func (s *session) run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	out, errs := childproc.NewOutput(s.t, s.dir), childproc.NewOutput(s.t, s.dir)
	code = Run(ctx, args, Terminal{Stdout: out.File, Stderr: errs.File, Environ: s.environ}, s.table)
	return code, out.String(), errs.String()
}

// background is a command line at work.
type background struct {
	out, errs childproc.Output
	stop      context.CancelFunc
	code      chan int
}

func (s *session) start(args ...string) *background {
	ctx, stop := context.WithCancel(s.t.Context())
	b := &background{out: childproc.NewOutput(s.t, s.dir), errs: childproc.NewOutput(s.t, s.dir), stop: stop, code: make(chan int, 1)}
	go func() {
		b.code <- Run(ctx, args, Terminal{Stdout: b.out.File, Stderr: b.errs.File, Environ: s.environ}, s.table)
	}()
	s.t.Cleanup(func() { b.end(s.t) })
	return b
}

// end interrupts the command and checks that it ended well.
func (b *background) end(t *testing.T) {
	t.Helper()
	b.stop()
	select {
	case code := <-b.code:
		if code != exitOK {
			t.Errorf("exit code %d\n%s", code, b.errs)
		}
		b.code <- code
	case <-time.After(30 * time.Second):
		t.Errorf("still running\n%s", b.errs)
	}
}

// eventually waits until have returns text that holds want.
func eventually(t *testing.T, have fmt.Stringer, want string) {
	t.Helper()
	bustest.Eventually(t, fmt.Sprintf("%q is in what follows", want), func() bool { return strings.Contains(have.String(), want) })
}

// TestUpAndItsCommands runs the bus on sensor files as a user would and looks at
// it with every command.
func TestUpAndItsCommands(t *testing.T) {
	s := newSession(t)
	data := filepath.Join(s.dir, "data")
	eve := filepath.Join(s.dir, "eve.json")
	s.environ = []string{
		"SURICATA_EVE_PATH=" + eve,
		"TRACEE_EVENTS_PATH=" + filepath.Join(s.dir, "events.json"),
		"OPENCLAW_HOST=Box.1", "ADMIN_ADDR=127.0.0.1:0", "ALERT_MIN_SEVERITY=high",
		"PROXY_ADDR=127.0.0.1:0", "GUARD_STUB_ADDR=127.0.0.1:0", "GUARD_ENABLED=true",
		"LLM_API_KEY=sk-secret-0123456789", "ALERT_MIN_SEVERTY=low",
	}
	up := s.start("up", "--data", data, "--listen", "127.0.0.1:0")
	eventually(t, up.errs, "The bus is up")
	eventually(t, up.errs, "Waiting for "+eve+", which does not exist yet.")
	eventually(t, up.errs, "LLM proxy: http://127.0.0.1:")
	eventually(t, up.errs, "ALERT_MIN_SEVERITY") // suggested for the misspelt one
	if strings.Contains(up.errs.String(), "sk-secret") {
		t.Error("a secret is shown")
	}

	t.Run("a second one is refused", func(t *testing.T) {
		code, _, errs := s.run(t.Context(), "up", "--data", data, "--listen", "127.0.0.1:0")
		if code != exitFailed || !strings.Contains(errs, "already running on "+data) || !strings.Contains(errs, fmt.Sprint(os.Getpid())) {
			t.Errorf("exit code %d\n%s", code, errs)
		}
	})
	t.Run("status says what is missing", func(t *testing.T) {
		code, out, errs := s.run(t.Context(), "status", "--data", data)
		if code != exitMissing || !strings.Contains(out, "source suricata: nothing has come from it yet") {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
	})

	live := s.start("tail", "--data", data, "--json")
	if err := os.WriteFile(eve, suricata.Recording(), 0o644); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Count(suricata.Recording(), []byte("\n"))
	eventually(t, up.out, "gateway reached by HTTP request with foreign Origin")

	t.Run("status", func(t *testing.T) {
		var got status
		bustest.Eventually(t, "somebody fetches from each consumer", func() bool {
			code, out, errs := s.run(t.Context(), "status", "--data", data, "--json")
			got = status{}
			if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitMissing {
				t.Fatalf("exit code %d: %v\n%s%s", code, err, out, errs)
			}
			t.Logf("missing %q", got.Missing)
			return !slices.ContainsFunc(got.Missing, func(m string) bool { return strings.HasPrefix(m, "consumer ") })
		})
		streams := len(proto.Streams()) + 2*2 + 3 // two sensors; proxy, notifier and auditor
		if alerts, events := got.held("ALERTS_suricata"), got.held("EVENTS_suricata"); len(got.Streams) != streams || alerts != 15 || events != lines-15 {
			t.Errorf("%d alerts, %d events; %d streams, want %d: %+v", alerts, events, len(got.Streams), streams, got.Streams)
		}
		if len(got.Sources) != 1 || got.Sources[0].Source != "suricata" || got.Sources[0].Host != "box-1" {
			t.Errorf("sources %+v", got.Sources)
		}
		if len(got.Missing) != 1 || !strings.HasPrefix(got.Missing[0], "source tracee") {
			t.Errorf("missing %q", got.Missing)
		}
	})
	t.Run("tail with history", func(t *testing.T) {
		tail := s.start("tail", "--data", data, "--since", "1h", "--json")
		checkEvents(t, tail, lines)
	})
	t.Run("live tail", func(t *testing.T) {
		f, err := os.OpenFile(eve, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(`{"timestamp":"2026-11-22T07:10:00.000000+0000","event_type":"last"}` + "\n"); err != nil {
			t.Fatal(err)
		}
		eventually(t, live.out, `"kind":"last"`)
	})
	t.Run("replay", func(t *testing.T) {
		code, out, errs := s.run(t.Context(), "replay", "--data", data, "--since", "1h", "--severity", "critical")
		if n := strings.Count(out, "REPLAY "); code != exitOK || n != 4 || !strings.Contains(errs, "4 events replayed") {
			t.Errorf("exit code %d, %d events\n%s%s", code, n, out, errs)
		}
	})
	t.Run("provision changes nothing", func(t *testing.T) {
		code, out, errs := s.run(t.Context(), "provision", "--data", data)
		if code != exitOK || strings.Contains(out, "created") || strings.Contains(out, "updated") {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
	})
	if n := strings.Count(up.out.String(), "\n"); n != 12 {
		t.Errorf("%d alerts printed, want the 12 of severity high and above\n%s", n, up.out)
	}

	up.end(t)
	t.Run("it goes on where it stopped", func(t *testing.T) {
		again := s.start("up", "--data", data, "--listen", "127.0.0.1:0")
		eventually(t, again.errs, "The bus is up")
		code, out, errs := s.run(t.Context(), "replay", "--data", data, "--since", "1h", "--all", "--json")
		if n := strings.Count(out, "\n"); code != exitOK || n != lines+1 {
			t.Errorf("exit code %d, %d events, want %d\n%s", code, n, lines+1, errs)
		}
		if text := again.out.String(); text != "" {
			t.Errorf("alerts were printed again:\n%s", text)
		}
	})
}

// checkEvents waits for n events and checks that each is compact JSON and comes
// once.
func checkEvents(t *testing.T, b *background, n int) {
	t.Helper()
	bustest.Eventually(t, fmt.Sprintf("%d events are shown", n), func() bool { return strings.Count(b.out.String(), "\n") >= n })
	seen := make(map[string]bool)
	for line := range strings.Lines(b.out.String()) {
		var e proto.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if seen[e.ID] {
			t.Errorf("event %s comes twice", e.ID)
		}
		seen[e.ID] = true
	}
	if len(seen) != n {
		t.Errorf("%d events, want %d", len(seen), n)
	}
}

func TestCommandLine(t *testing.T) {
	s := newSession(t)
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no command", nil, exitOK, "Commands:"},
		{"help", []string{"tail", "--help"}, exitOK, "--since=WHEN"},
		{"version", []string{"version"}, exitOK, "secbus "},
		{"unknown command", []string{"tale"}, exitUsage, "secbus --help"},
		{"unknown flag", []string{"up", "--nope"}, exitUsage, "--nope"},
		{"bad severity", []string{"tail", "--severity", "hi"}, exitUsage, "none of info, low"},
		{"bad moment", []string{"tail", "--since", "soon"}, exitUsage, "neither a time"},
		{"no bus", []string{"status", "--data", s.dir}, exitFailed, "start one with `secbus up`"},
		{"not loopback", []string{"up", "--data", s.dir, "--listen", "0.0.0.0:0"}, exitFailed, "use 127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out, errs := s.run(t.Context(), test.args...)
			if code != test.code || !strings.Contains(out+errs, test.want) {
				t.Errorf("exit code %d, want %d with %q\n%s%s", code, test.code, test.want, out, errs)
			}
		})
	}
	t.Run("bad settings, all of them", func(t *testing.T) {
		s.environ = []string{"ALERT_MIN_SEVERITY=hi", "SHIPPER_MAX_LINE=5", "ADMIN_ADDR=0.0.0.0:1", "GUARD_THRESHOLD=7"}
		code, _, errs := s.run(t.Context(), "up", "--data", s.dir)
		for _, want := range []string{"4 settings are wrong", "ALERT_MIN_SEVERITY", "SHIPPER_MAX_LINE", "ADMIN_ADDR", "GUARD_THRESHOLD"} {
			if code != exitUsage || !strings.Contains(errs, want) {
				t.Errorf("exit code %d, want %d with %q\n%s", code, exitUsage, want, errs)
			}
		}
	})
}

// What a source says under its own subject is never shown as another's.
func TestPrinterNamesTheSubject(t *testing.T) {
	s := newSession(t)
	e := proto.Event{ID: "x", Host: "box1", Source: "suricata", Kind: "alert", Title: "forged"}
	m := &bus.Stored{Subject: "security.alert.box1.tracee.alert.high", Data: e.AppendJSON(nil)}
	for _, asJSON := range []bool{false, true} {
		out := childproc.NewOutput(s.t, s.dir)
		if err := newPrinter(out.File, asJSON).print(m); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Contains(text, "suricata") || !strings.Contains(text, "tracee") || asJSON && !strings.Contains(text, proto.TagNameMismatch) {
			t.Errorf("printed %s", text)
		}
	}
}

// What an attacker had stored never drives a terminal, whether output goes there or
// into a file that is shown later, and means the same to a program.
func TestOutputHasNoEscapes(t *testing.T) {
	s := newSession(t)
	const subject = "security.alert.box1.tracee.\x1b]0;owned\a.high"
	hostile := map[string]string{
		`{"title":"` + "\u009b2J\x7f" + `"}`:      "",
		"{\"title\":\"\x1b]0;owned\a\"}":          `"{\"title\":\"\u001b]0;owned\u0007\"}"`, // no JSON
		"\x1b]0;owned\x07\x1b[2J, not JSON":       `"\u001b]0;owned\u0007\u001b[2J, not JSON"`,
		"{\"id\":\n\"\\u001b]0;owned\\u0007\"}\n": "",
		"": `""`,
	}
	for payload, want := range hostile {
		out := childproc.NewOutput(s.t, s.dir)
		for _, asJSON := range []bool{true, false} {
			if err := newPrinter(out.File, asJSON).print(&bus.Stored{Subject: subject, Data: []byte(payload)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := printJSON(out.File, trace{ID: payload, message: &bus.Stored{Subject: subject}}); err != nil {
			t.Fatal(err)
		}
		shown := trace{ID: render.Clean(payload, maxTraceID), message: &bus.Stored{Subject: subject, Data: []byte(payload)}}
		shown.Stored = []storedAt{{Stream: "S", Subject: subject}}
		shown.Deliveries = []proto.Delivery{{Sink: payload, MessageID: payload, Chat: payload, Kind: proto.DeliveryKind(payload)}}
		if err := shown.print(out.File, newPrinter(out.File, false)); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q is printed with %q", payload, text[i:min(i+20, len(text))])
		}
		line, _, _ := strings.Cut(text, "\n")
		var got, meant any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Errorf("%q is printed as %s: %v", payload, line, err)
		}
		if want != "" && line != want {
			t.Errorf("%q is printed as %s, want %s", payload, line, want)
		}
		if want == "" {
			_ = json.Unmarshal([]byte(payload), &meant)
			if fmt.Sprint(got.(map[string]any)["title"]) != fmt.Sprint(meant.(map[string]any)["title"]) {
				t.Errorf("%q is printed as %s", payload, line)
			}
		}
	}
}
