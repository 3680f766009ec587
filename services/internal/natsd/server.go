// Package natsd is the embedded NATS server: one process's JetStream on the
// loopback interface, in which every client is an nkey user with the
// permissions of one role (package natsconf), and every acknowledged message is
// on the disk.
//
//	Start ─▶ Server ─▶ URL
//	            └─ holds the directory's lock while it lives
package natsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/dirlock"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

const (
	// DefaultListen is NATS's customary port, on the loopback interface.
	DefaultListen = "127.0.0.1:4222"
	// DefaultMaxStore holds the streams of package proto at their default sizes.
	DefaultMaxStore = 8 << 30

	startTimeout = 30 * time.Second
)

// Config is what an embedded server needs to know.
type Config struct {
	// Dir holds the server's data and its lock. It is created if need be.
	Dir string
	// Listen is host:port on the loopback interface; port 0 takes a free one.
	// Empty means [DefaultListen].
	Listen string
	// Roles are the users that may connect, and what they may do.
	Roles []bus.Role
	// PublicKeys are the roles' public nkeys by role name: a role without one is
	// an error.
	PublicKeys map[string]string
	// MaxStore bounds all streams together, in bytes; 0 means [DefaultMaxStore].
	// The server refuses to create streams whose MaxBytes exceed it in sum.
	MaxStore int64
	// Log takes the server's warnings and errors; nil discards them.
	Log *slog.Logger
}

// Server is a running embedded server.
type Server struct {
	cfg  Config
	lock *dirlock.Lock

	mu   sync.Mutex // held while nats is shut down or replaced
	nats *server.Server
}

// Start starts a server and returns once it accepts clients. A directory that
// another server uses is an error that wraps [ErrInUse].
func Start(cfg Config) (*Server, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.Listen = cmp.Or(cfg.Listen, DefaultListen)
	opts, err := options(cfg)
	if err != nil {
		return nil, fmt.Errorf("configuring the NATS server: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the NATS server's directory: %w", err)
	}
	lock, err := dirlock.Take(cfg.Dir, ErrInUse)
	if err != nil {
		return nil, err
	}
	if err := checkPort(cfg.Listen); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	n, err := launch(cfg, opts)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return &Server{cfg: cfg, nats: n, lock: lock}, nil
}

// launch starts nats-server and waits until it accepts clients.
func launch(cfg Config, opts *server.Options) (*server.Server, error) {
	n, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("preparing the NATS server: %w", err)
	}
	log := newLogger(cfg.Log)
	n.SetLoggerV2(log, false, false, false)
	n.Start()
	if err := ready(n, log); err != nil {
		n.Shutdown()
		n.WaitForShutdown()
		return nil, fmt.Errorf("starting the NATS server in %s: %w", cfg.Dir, err)
	}
	return n, nil
}

// ready waits until the server accepts clients or has reported a fatal fault.
func ready(n *server.Server, log *logger) error {
	if !n.ReadyForConnections(startTimeout) || !n.JetStreamEnabled() {
		select {
		case text := <-log.fatal:
			return errors.New(text)
		default:
			return fmt.Errorf("not ready after %s", startTimeout)
		}
	}
	return nil
}

// URL is where clients connect.
func (s *Server) URL() string { return s.current().ClientURL() }

// Varz returns the server's state as its monitoring port would, which is off.
func (s *Server) Varz() (*server.Varz, error) { return s.current().Varz(nil) }

func (s *Server) current() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nats
}

// Shutdown stops the server and frees its directory. If ctx ends first, it
// returns the reason and leaves the directory locked while the server winds up.
func (s *Server) Shutdown(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		done <- s.lock.Release()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("shutting down the NATS server: %w", context.Cause(ctx))
	}
}

func options(cfg Config) (*server.Options, error) {
	host, port, err := loopback(cfg.Listen)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName:         "openclaw-bus",
		Host:               host,
		Port:               port,
		MaxPayload:         natsconf.MaxPayload,
		MaxControlLine:     natsconf.MaxControlLine,
		MaxConn:            natsconf.MaxConnections,
		MaxSubs:            natsconf.MaxSubscriptions,
		JetStream:          true,
		StoreDir:           cfg.Dir,
		JetStreamMaxMemory: natsconf.MaxMemory,
		JetStreamMaxStore:  cmp.Or(cfg.MaxStore, DefaultMaxStore),
		JetStreamLimits: server.JSLimitOpts{
			MaxBatchInflightPerStream: natsconf.MaxStreamBatches,
			MaxBatchInflightTotal:     natsconf.MaxBatches,
		},
		SyncAlways:             true, // an acknowledgement means on the disk
		NoSigs:                 true, // signals are the process's own business
		DisableJetStreamBanner: true,
	}
	accounts, err := natsconf.Accounts(cfg.Roles, cfg.PublicKeys)
	if err != nil {
		return nil, err
	}
	if err := opts.ProcessConfigString(accounts); err != nil {
		return nil, fmt.Errorf("reading the accounts: %w", err)
	}
	return opts, nil
}

// loopback splits a listen address and refuses one that others can reach: the
// nkeys protect who may do what, but what passes is not encrypted.
func loopback(listen string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q is not of the form host:port", listen)
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q has no port from 0 to 65535", listen)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", 0, fmt.Errorf("listen address %q is not on the loopback interface: use 127.0.0.1:%d", listen, n)
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}

// checkPort finds a busy port before the server does, which reports it as a
// fatal line of its log only.
func checkPort(listen string) error {
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen address %s is in use, by another NATS server perhaps: stop that, or choose another listen address: %w", listen, err)
	}
	if err != nil {
		return fmt.Errorf("listening on %s: %w", listen, err)
	}
	return l.Close()
}

// ErrInUse reports that another server uses the directory.
var ErrInUse = errors.New("in use by another server")

// logger passes on the server's warnings and errors. A fatal fault, upon which
// the server expects the process to end, goes to the caller that starts it.
type logger struct {
	log   *slog.Logger
	fatal chan string // the first fatal fault
}

var _ server.Logger = (*logger)(nil)

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log, fatal: make(chan string, 1)}
}

func (l *logger) Warnf(format string, v ...any) {
	l.log.Warn("NATS server", "text", fmt.Sprintf(format, v...))
}

func (l *logger) Errorf(format string, v ...any) {
	l.log.Error("NATS server", "text", fmt.Sprintf(format, v...))
}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	select {
	case l.fatal <- text:
	default:
		l.log.Error("NATS server", "text", text)
	}
}

func (*logger) Noticef(string, ...any) {}
func (*logger) Debugf(string, ...any)  {}
func (*logger) Tracef(string, ...any)  {}
