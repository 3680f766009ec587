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

	watchInterval = time.Second // between looks at whether the server stores
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
	dir  string
	nats *server.Server
	lock *dirlock.Lock
}

// Start starts a server and returns once it accepts clients. A directory that
// another server uses is an error that wraps [ErrInUse].
func Start(cfg Config) (*Server, error) {
	log := newLogger(cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)))
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
	if err := checkPort(cmp.Or(cfg.Listen, DefaultListen)); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	n, err := server.NewServer(opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the NATS server: %w", err), lock.Release())
	}
	n.SetLoggerV2(log, false, false, false)
	s := &Server{dir: cfg.Dir, nats: n, lock: lock}
	n.Start()
	if err := s.ready(log); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("starting the NATS server in %s: %w", cfg.Dir, err), s.Shutdown(ctx))
	}
	return s, nil
}

// ready waits until the server accepts clients or has reported a fatal fault.
func (s *Server) ready(log *logger) error {
	if !s.nats.ReadyForConnections(startTimeout) || !s.nats.JetStreamEnabled() {
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
func (s *Server) URL() string { return s.nats.ClientURL() }

// Varz returns the server's state as its monitoring port would, which is off.
func (s *Server) Varz() (*server.Varz, error) { return s.nats.Varz(nil) }

// ErrNotStoring reports that the server has given up storing, which it does when
// its disk is full and does not undo until it is started again.
var ErrNotStoring = errors.New("the NATS server has stopped storing, as it does when its disk is full")

// Watch returns when ctx is done, nil, or when the server has given up storing,
// an error that wraps [ErrNotStoring].
func (s *Server) Watch(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for s.nats.JetStreamEnabled() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
	return fmt.Errorf("%w: make room in %s, then start it again; nothing that was acknowledged is lost, and what was not is read again", ErrNotStoring, s.dir)
}

// Shutdown stops the server and frees its directory. If ctx ends first, it
// returns the reason and leaves the directory locked while the server winds up.
func (s *Server) Shutdown(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
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
	host, port, err := loopback(cmp.Or(cfg.Listen, DefaultListen))
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName:             "openclaw-bus",
		Host:                   host,
		Port:                   port,
		MaxPayload:             natsconf.MaxPayload,
		JetStream:              true,
		StoreDir:               cfg.Dir,
		JetStreamMaxMemory:     natsconf.MaxMemory,
		JetStreamMaxStore:      cmp.Or(cfg.MaxStore, DefaultMaxStore),
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
