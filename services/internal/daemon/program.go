package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
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
