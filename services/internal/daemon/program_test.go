package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// TestMain makes the test binary a program itself, for the tests that need signals
// from the operating system.
func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{
		"child": func() int {
			return Program[sampleConfig]{Name: "child", Synopsis: "wait", Run: untilDone}.Main(nil)
		},
	})
	os.Exit(m.Run())
}

type sampleConfig struct {
	Count int           `env:"SAMPLE_COUNT, default=3" doc:"How many."`
	Path  string        `env:"SAMPLE_PATH, required" doc:"Which file."`
	Token config.Secret `env:"SAMPLE_TOKEN" doc:"Proof of identity."`
	Key   config.Secret `env:"SAMPLE_KEY, required" doc:"Key to the file."`
	Label string        `env:"SAMPLE_LABEL" doc:"What to call it."`
}

func untilDone(ctx context.Context, _ sampleConfig, _ Runtime) error {
	<-ctx.Done()
	return ctx.Err()
}

var validEnv = []string{"SAMPLE_PATH=/x", "SAMPLE_KEY=k", "ADMIN_ADDR=", "LOG_FORMAT=text"}

// start runs program and returns its exit code and what it wrote.
func start(t *testing.T, program Program[sampleConfig], args, environ []string, signals <-chan os.Signal) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	written := func(f *os.File) string {
		content, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	proc := process{args: args, environ: environ, stdout: open("stdout"), stderr: open("stderr"), signals: signals}
	code = program.main(proc)
	return code, written(proc.stdout), written(proc.stderr)
}

func TestProgramArguments(t *testing.T) {
	usage, err := os.ReadFile("testdata/usage.txt")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"--help"}, 0, string(usage), ""},
		{[]string{"-h"}, 0, string(usage), ""},
		{[]string{"--version"}, 0, "sample " + Version() + "\n", ""},
		{[]string{"--verbose"}, 2, "", "sample: flag provided but not defined: -verbose; see sample --help\n"},
		{[]string{"now"}, 2, "", "sample: unexpected argument \"now\"; see sample --help\n"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			program := Program[sampleConfig]{Name: "sample", Synopsis: "be an example", Run: untilDone}
			code, stdout, stderr := start(t, program, test.args, nil, nil)
			if code != test.code || stdout != test.stdout || stderr != test.stderr {
				t.Errorf("got %d\n%s\n%s", code, stdout, stderr)
			}
		})
	}
}

func TestProgramRefusesWrongSettings(t *testing.T) {
	code, stdout, stderr := start(t, Program[sampleConfig]{Name: "sample", Run: untilDone}, nil,
		[]string{"SAMPLE_COUNT=many", "SAMPLE_KEY=k", "LOG_LEVEL=loud", "ADMIN_ADDR=:1"}, nil)
	want := `sample: 4 settings are wrong:
  SAMPLE_COUNT: "many" is not a whole number
  SAMPLE_PATH: required but not set. Which file.
  LOG_LEVEL: "loud" is not one of debug, info, warn, error
  ADMIN_ADDR: ":1" can be reached from other machines; use 127.0.0.1:1, or set ADMIN_ALLOW_REMOTE=true if that is intended
`
	if code != 2 || stdout != "" || stderr != want {
		t.Errorf("got %d %q\n%s", code, stdout, stderr)
	}
}

func TestProgramExitCodes(t *testing.T) {
	errDisk := errors.New("disk full")
	tests := []struct {
		name   string
		run    func(context.Context, sampleConfig, Runtime) error
		code   int
		logged string
	}{
		{"done", func(context.Context, sampleConfig, Runtime) error { return nil }, 0, "msg=stopped service=sample"},
		{"failed", func(context.Context, sampleConfig, Runtime) error { return errDisk }, 1, `err="running sample: disk full"`},
		{"canceled by nobody", func(context.Context, sampleConfig, Runtime) error { return context.Canceled }, 1, `err="running sample: context canceled"`},
		{"settings arrive", func(_ context.Context, cfg sampleConfig, _ Runtime) error {
			if cfg.Count != 3 || cfg.Path != "/x" {
				return errors.New("other settings")
			}
			return nil
		}, 0, "msg=stopped"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, _, stderr := start(t, Program[sampleConfig]{Name: "sample", Run: test.run}, nil, validEnv, nil)
			if code != test.code || !strings.Contains(stderr, test.logged) {
				t.Errorf("got %d\n%s", code, stderr)
			}
		})
	}
}

func TestProgramSignals(t *testing.T) {
	slow := func(ctx context.Context, _ sampleConfig, _ Runtime) error {
		<-ctx.Done()
		time.Sleep(5 * time.Second)
		return nil
	}
	hangs := func(context.Context, sampleConfig, Runtime) error {
		time.Sleep(time.Hour)
		return nil
	}
	tests := []struct {
		name   string
		run    func(context.Context, sampleConfig, Runtime) error
		gap    time.Duration // between the first signal and the second, if any
		code   int
		took   time.Duration // from the first signal
		logged string
	}{
		{"one", slow, 0, 0, 5 * time.Second, "msg=stopped service=sample"},
		{"one that arrives twice", slow, time.Millisecond, 0, 5 * time.Second, "msg=stopped service=sample"},
		{"a second", slow, time.Second, 1, time.Second, `msg="stopped at once by a second signal" service=sample signal=interrupt`},
		{"one, service hangs", hangs, 0, 1, processGrace, `err="sample did not stop within 9s"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, 2)
				signals <- os.Interrupt
				if test.gap > 0 {
					time.AfterFunc(test.gap, func() { signals <- os.Interrupt })
				}
				began := time.Now()
				code, _, stderr := start(t, Program[sampleConfig]{Name: "sample", Run: test.run}, nil, validEnv, signals)
				if took := time.Since(began); code != test.code || took != test.took || !strings.Contains(stderr, test.logged) {
					t.Errorf("got %d after %s\n%s", code, took, stderr)
				}
				time.Sleep(2 * time.Hour) // fake: lets abandoned services end
			})
		})
	}
}

func TestProgramWarnsOfUnknownSettings(t *testing.T) {
	program := Program[sampleConfig]{
		Name: "sample",
		Run:  func(context.Context, sampleConfig, Runtime) error { return nil },
	}
	_, _, stderr := start(t, program, nil, append([]string{"SAMPLE_CUONT=1", "SHIPPER_PATH=of another program"}, validEnv...), nil)
	if !strings.Contains(stderr, `msg="unknown setting" key=SAMPLE_CUONT did_you_mean=SAMPLE_COUNT`) || strings.Contains(stderr, "SHIPPER_PATH") {
		t.Errorf("logged\n%s", stderr)
	}
}

func TestProgramNeedsItsAdminAddress(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	program := Program[sampleConfig]{Name: "sample", Run: func(context.Context, sampleConfig, Runtime) error {
		t.Error("the service was started")
		return nil
	}}
	code, _, stderr := start(t, program, nil, append(validEnv, "ADMIN_ADDR="+listener.Addr().String()), nil)
	if code != 1 || !strings.Contains(stderr, "address already in use") {
		t.Errorf("got %d\n%s", code, stderr)
	}
}

// TestProgramAsAProcess starts a process of its own, as an operator would, and
// asks it how it is before it tells it to stop.
func TestProgramAsAProcess(t *testing.T) {
	logged := make(chan string, 1)
	p := childproc.Process{
		Role: "child", Env: []string{"SAMPLE_PATH=/x", "SAMPLE_KEY=k", "LOG_FORMAT=text", "ADMIN_ADDR=127.0.0.1:0"},
		Stderr: func(line string) {
			select {
			case logged <- line:
			default:
			}
		},
	}
	p.Run(t)
	line := <-logged
	_, addr, found := strings.Cut(line, "admin_addr=")
	if !found {
		t.Fatalf("first line %q", line)
	}
	response, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"secbus_build_info{", "go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(string(body), metric) {
			t.Errorf("/metrics lacks %s", metric)
		}
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(p.Log.String(), "signal=terminated") || !strings.Contains(p.Log.String(), "msg=stopped") {
		t.Errorf("logged\n%s", p.Log)
	}
}

func TestProgramHealth(t *testing.T) {
	ready := NewReadiness()
	admin, err := ListenAdmin(t.Context(), config.Admin{Addr: "127.0.0.1:0"}, prometheus.NewRegistry(), ready, Discard().Log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	_, port, err := net.SplitHostPort(admin.Addr())
	if err != nil {
		t.Fatal(err)
	}
	program := Program[sampleConfig]{Name: "sample", Run: func(context.Context, sampleConfig, Runtime) error {
		return errors.New("the service itself must not be started")
	}}
	for _, step := range []struct {
		name           string
		change         func()
		environ        []string
		code           int
		stdout, stderr string
	}{
		{"nothing reported", func() {}, []string{"ADMIN_ADDR=127.0.0.1:" + port}, exitFailed, "nothing has been reported", "not ready"},
		{"ready", func() { ready.Set("nats", nil) }, []string{"ADMIN_ADDR=127.0.0.1:" + port}, exitOK, "ok nats", ""},
		{"on every address", func() {}, []string{"ADMIN_ADDR=:" + port, "ADMIN_ALLOW_REMOTE=true"}, exitOK, "ok nats", ""},
		{"through a proxy that the environment names", func() {}, []string{"ADMIN_ADDR=127.0.0.1:" + port, "HTTP_PROXY=http://127.0.0.1:1"}, exitOK, "ok nats", ""},
		{"not ready", func() { ready.Set("nats", errors.New("no answer")) }, []string{"ADMIN_ADDR=127.0.0.1:" + port}, exitFailed, "not ready nats: no answer", "not ready"},
		{"no process", cancel, []string{"ADMIN_ADDR=127.0.0.1:1"}, exitFailed, "", "asking the process"},
		{"switched off", func() {}, []string{"ADMIN_ADDR="}, exitFailed, "", "set ADMIN_ADDR"},
		{"wrong setting", func() {}, []string{"ADMIN_ADDR=nowhere"}, exitConfig, "", "ADMIN_ADDR"},
	} {
		step.change()
		code, stdout, stderr := start(t, program, []string{"--health"}, step.environ, nil)
		if code != step.code || !strings.Contains(stdout, step.stdout) || !strings.Contains(stderr, step.stderr) {
			t.Errorf("%s: exit code %d, printed %q, %q", step.name, code, stdout, stderr)
		}
	}
}

func TestVersionOf(t *testing.T) {
	built := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}}
	}
	tests := []struct {
		name  string
		given string
		info  *debug.BuildInfo
		want  string
	}{
		{"given at build time", "v1.2.3", built("v0.0.1"), "v1.2.3"},
		{"from the checkout", "", built("v0.0.0-20260102030405-abcdefabcdef+dirty"), "v0.0.0-20260102030405-abcdefabcdef+dirty"},
		{"neither", "", built("(devel)"), "devel"},
		{"built without modules", "", nil, "devel"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := versionOf(test.given, test.info); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
