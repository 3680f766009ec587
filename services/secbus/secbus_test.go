package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/suricata"
)

// session runs secbus command lines as a shell would.
type session struct {
	t       *testing.T
	dir     string
	environ []string
}

func newSession(t *testing.T, environ ...string) *session {
	dir := t.TempDir()
	// The nats command's context is written where this points.
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	return &session{t: t, dir: dir, environ: environ}
}

// output collects what a command writes, in a file as a terminal would be one.
type output struct{ *os.File }

func (s *session) output() output {
	f, err := os.CreateTemp(s.dir, "output-")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	return output{f}
}

func (o output) String() string {
	text, err := os.ReadFile(o.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// run executes one command line to its end.
func (s *session) run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	out, errs := s.output(), s.output()
	code = run(ctx, args, terminal{stdout: out.File, stderr: errs.File, environ: s.environ})
	return code, out.String(), errs.String()
}

// background is a command line at work.
type background struct {
	out, errs output
	stop      context.CancelFunc
	code      chan int
}

func (s *session) start(args ...string) *background {
	ctx, stop := context.WithCancel(s.t.Context())
	b := &background{out: s.output(), errs: s.output(), stop: stop, code: make(chan int, 1)}
	go func() {
		b.code <- run(ctx, args, terminal{stdout: b.out.File, stderr: b.errs.File, environ: s.environ})
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

// TestDemo is the promise of the README: one command, and the recorded attack
// comes out as alerts, each once.
func TestDemo(t *testing.T) {
	s := newSession(t)
	code, out, errs := s.run(t.Context(), "demo", "--no-stay")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	alerts := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d (LOW|MEDIUM|HIGH|CRITICAL) +(suricata|tracee) +(.*)$`).FindAllStringSubmatch(out, -1)
	shown := make(map[string]int)
	for _, a := range alerts {
		shown[a[2]+" "+a[1]]++
	}
	want := map[string]int{
		"suricata CRITICAL": 4, "suricata HIGH": 8, "suricata MEDIUM": 1, "suricata LOW": 2,
		"tracee CRITICAL": 5, "tracee HIGH": 11, "tracee MEDIUM": 10, "tracee LOW": 3,
	}
	for what, n := range want {
		if shown[what] != n {
			t.Errorf("%s: %d alerts shown, want %d", what, shown[what], n)
		}
	}
	for _, line := range []string{
		"CRITICAL suricata  OPENCLAW cloud metadata service access from container  172.17.0.2:44886 → 169.254.169.254:80  rule 9900001",
		"CRITICAL tracee    Cgroups release agent file modification (python3)",
		"HIGH     tracee    OpenClaw's secrets opened by another program: openat /home/node/.openclaw/openclaw.json (python3)",
		"99 lines written by the sensors, 99 events stored once each: 44 alerts, 55 telemetry.",
		"nats --context openclaw-security-demo sub 'security.>'",
		" tail --since 1h", " replay --since 1h",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("the demo does not show %q\n%s", line, out)
		}
	}
	if errs != "" {
		t.Errorf("the demo complains:\n%s", errs)
	}
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
		code, out, errs := s.run(t.Context(), "status", "--data", data, "--json")
		var got status
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitMissing {
			t.Fatalf("exit code %d: %v\n%s%s", code, err, out, errs)
		}
		if len(got.Streams) != len(proto.Streams()) || got.Streams[0].Messages != uint64(lines) || got.Streams[1].Messages != 15 {
			t.Errorf("streams %+v", got.Streams)
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

// TestOnlySecbusLinksTheServer keeps nats-server and the test servers out of the
// services' binaries.
func TestOnlySecbusLinksTheServer(t *testing.T) {
	for _, binary := range []string{"../shipper/cmd/shipper", "../proxy/cmd/proxy", "../guard-stub/cmd/guard-stub", "../notifier/cmd/notifier", "../auditor/cmd/auditor", "."} {
		out, err := exec.Command("go", "list", "-deps", binary).Output()
		if err != nil {
			t.Fatalf("listing the dependencies of %s: %v", binary, err)
		}
		for _, dep := range strings.Fields(string(out)) {
			server := strings.HasPrefix(dep, "github.com/nats-io/nats-server/") && binary != "."
			// The demo, which is part of secbus, needs the stand-ins.
			standIn := (strings.HasSuffix(dep, "/llmtest") || strings.HasSuffix(dep, "/telegramtest")) && binary != "."
			if server || standIn || strings.HasSuffix(dep, "/bustest") || dep == "net/http/httptest" {
				t.Errorf("%s links %s", binary, dep)
			}
		}
	}
}
