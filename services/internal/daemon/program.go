// Package daemon is what every service process has around its service:
// settings, log, signals, health and metrics, and a bounded end.
//
//	environment ──▶ settings ──▶ Service.Run(ctx, settings, Runtime)
//	SIGINT, SIGTERM ─────────────▶ ctx   │ Log      ──▶ stderr
//	                                     │ Metrics  ──▶ /metrics ┐
//	                                     │ Ready    ──▶ /readyz  ├─ ADMIN_ADDR
//	                                     └            /healthz   ┘
//
// A command is one [Program]; a program that runs several services in one
// process does it with [Runtime.RunAll].
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/render"
)

// Exit codes of a [Program].
const (
	exitOK     = 0
	exitFailed = 1
	exitConfig = 2
)

// signalEcho is how soon after the first a signal is taken for the same one:
// timeout(1) and other wrappers signal both their child and its process group.
const signalEcho = 250 * time.Millisecond

// Program is a command that runs one service, whose settings are a C, until it
// is told to stop:
//
//	func main() {
//		os.Exit(daemon.Program[shipper.Config]{
//			Name:     "shipper",
//			Synopsis: "publish one sensor's log to the bus",
//			Run:      shipper.Run,
//		}.Main(os.Args[1:]))
//	}
type Program[C any] struct {
	// Name is how the program is called; it also names its [Runtime].
	Name string
	// Synopsis is what it does, in a few words.
	Synopsis string
	// Run works until ctx is done and then returns within [ServiceGrace].
	Run func(ctx context.Context, cfg C, rt Runtime) error
}

// settings is what every program reads from its environment.
type settings[C any] struct {
	Service C
	Log     config.Log
	Admin   config.Admin
}

// process is what the operating system gives a program.
type process struct {
	args           []string
	environ        []string
	stdout, stderr *os.File
	signals        <-chan os.Signal
}

// Main runs the program with args, the command line without the program's name,
// and returns the exit code: 0 if the service ended well or was told to end, 1
// if it failed or did not end in time, 2 if the settings or args are wrong.
// SIGINT or SIGTERM tell it to stop; a second one makes Main return at once.
func (p Program[C]) Main(args []string) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return p.main(process{args, os.Environ(), os.Stdout, os.Stderr, signals})
}

func (p Program[C]) main(proc process) int {
	if code, done := p.parseArgs(proc); done {
		return code
	}
	var cfg settings[C]
	if err := config.Load(&cfg, proc.environ); err != nil {
		fmt.Fprintf(proc.stderr, "%s: %v\n", p.Name, err)
		return exitConfig
	}
	log := Logger(proc.stderr, cfg.Log)
	for _, unknown := range config.Unknown(proc.environ, append(config.Keys(cfg), config.StackKeys()...)) {
		log.Warn("unknown setting", "key", unknown.Name, "did_you_mean", unknown.Suggestion)
	}
	return p.run(cfg, log, proc.signals)
}

// parseArgs answers --help, --version and --health, and refuses everything else.
func (p Program[C]) parseArgs(proc process) (code int, done bool) {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	showVersion := flags.Bool("version", false, "")
	health := flags.Bool("health", false, "")
	err := flags.Parse(proc.args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		writeUsage(proc.stdout, p.Name, p.Synopsis, config.Keys(settings[C]{}))
		return exitOK, true
	case err != nil:
		fmt.Fprintf(proc.stderr, "%s: %v; see %s --help\n", p.Name, err, p.Name)
		return exitConfig, true
	case *showVersion:
		fmt.Fprintf(proc.stdout, "%s %s\n", p.Name, Version())
		return exitOK, true
	case *health:
		return p.health(proc), true
	}
	return exitOK, false
}

// run runs the service and the admin server until both have ended, and turns
// how they ended into an exit code.
func (p Program[C]) run(cfg settings[C], log *slog.Logger, signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	registry := NewRegistry()
	root := Runtime{Log: log, Metrics: registry, Ready: NewReadiness()}
	rt := root.Named(p.Name)
	tasks := []task{{p.Name, func(ctx context.Context) error {
		err := p.Run(ctx, cfg.Service, rt)
		if err == nil {
			// The process has no purpose beyond its service.
			cancel()
		}
		return err
	}}}
	adminAddr := ""
	if cfg.Admin.Addr != "" {
		admin, err := ListenAdmin(ctx, cfg.Admin, registry, root.Ready, rt.Log)
		if err != nil {
			rt.Log.Error("not started", "err", err)
			return exitFailed
		}
		adminAddr = admin.Addr()
		tasks = append(tasks, task{"admin server", admin.Run})
	}
	rt.Log.Info("started", "version", Version(), "admin_addr", adminAddr)

	ended := make(chan error, 1)
	go func() { ended <- supervise(ctx, processGrace, tasks...) }()
	var stopping time.Time
	for {
		select {
		case sig := <-signals:
			switch {
			case stopping.IsZero():
				stopping = time.Now()
				rt.Log.Info("stopping", "signal", sig.String())
				cancel()
			case time.Since(stopping) >= signalEcho:
				rt.Log.Warn("stopped at once by a second signal", "signal", sig.String())
				return exitFailed
			}
		case err := <-ended:
			if err != nil {
				rt.Log.Error("stopped by an error", "err", err)
				return exitFailed
			}
			rt.Log.Info("stopped")
			return exitOK
		}
	}
}

const (
	healthWait     = 4 * time.Second // for the process's answer
	maxHealthBytes = 8 << 10         // of it that is shown
)

// health asks the program's running process, by its own ADMIN_ADDR, whether it
// can do its work, and prints what it says: the check for a container in which
// there is no shell and no other program.
func (p Program[C]) health(proc process) int {
	var cfg config.Admin
	if err := config.Load(&cfg, proc.environ); err != nil {
		fmt.Fprintf(proc.stderr, "%s: %v\n", p.Name, err)
		return exitConfig
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthWait)
	defer cancel()
	text, err := askReady(ctx, cfg)
	fmt.Fprint(proc.stdout, text)
	if err != nil {
		fmt.Fprintf(proc.stderr, "%s: %v\n", p.Name, err)
		return exitFailed
	}
	return exitOK
}

// askReady returns what /readyz says, and an error unless that is yes.
func askReady(ctx context.Context, cfg config.Admin) (string, error) {
	if cfg.Addr == "" {
		return "", errors.New("there is no admin address to ask: set ADMIN_ADDR")
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return "", fmt.Errorf("reading ADMIN_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return "", fmt.Errorf("preparing the question: %w", err)
	}
	// This request ignores the proxy that the environment names.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking the process: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxHealthBytes))
	if err != nil {
		return string(text), fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return string(text), errors.New("not ready")
	}
	return string(text), nil
}

// writeUsage explains a program and every setting that it reads.
func writeUsage(w io.Writer, name, synopsis string, keys []config.Key) {
	fmt.Fprintf(w, "%s: %s\n\nUsage:\n  %s [--help | --version | --health]\n\n--health asks the running process, by ADMIN_ADDR, whether it can do its work.\n\nSettings, from the environment:\n", name, synopsis, name)
	for _, key := range keys {
		fmt.Fprintf(w, "\n  %s (%s)\n      %s\n", key.Name, describe(key), key.Doc)
	}
}

func describe(key config.Key) string {
	switch {
	case key.Secret && key.Required:
		return "secret, required, or " + key.Name + "_FILE"
	case key.Secret:
		return "secret, or " + key.Name + "_FILE"
	case key.Required:
		return key.Type + ", required"
	case key.Default != "":
		return key.Type + ", default " + key.Default
	default:
		return key.Type
	}
}

// Logger returns a logger to w as cfg says: text where a person reads it, JSON
// where a program does. The zero cfg logs from info on.
func Logger(w *os.File, cfg config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: level(cfg.Level)}
	if cfg.Format == "text" || cfg.Format != "json" && term.IsTerminal(int(w.Fd())) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(printable{w}, options))
}

// printable escapes what could drive the terminal on which a log in JSON is looked at:
// encoding/json leaves the control characters from U+0080 on as they are. The text
// handler quotes them itself.
type printable struct{ to io.Writer }

// Write implements io.Writer for a whole line of JSON at a time.
func (p printable) Write(line []byte) (int, error) {
	if _, err := io.WriteString(p.to, render.Escape(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

func level(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// version is set by release builds:
//
//	go build -ldflags "-X github.com/openclaw-security/bus/services/internal/daemon.version=v1.2.3"
var version string

// Version returns the version of the running program: the one given at build
// time, else the module version that the go command derives from the tag and
// revision of the checkout, else "devel".
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

func versionOf(given string, info *debug.BuildInfo) string {
	switch {
	case given != "":
		return given
	case info == nil || info.Main.Version == "" || info.Main.Version == "(devel)":
		return "devel"
	default:
		return info.Main.Version
	}
}
