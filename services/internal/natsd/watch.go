package natsd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/internal/diskspace"
)

const (
	watchInterval = time.Second // between looks at whether the server stores

	// restartPause is from one restart for a full disk to the next: space may be
	// there that the server cannot use, because of a quota for instance.
	restartPause = time.Minute
	// minFree is, in bytes, what has to be free for a restart, about the size of a
	// stream's next file of messages.
	minFree = 8 << 20
)

var (
	// ErrNotStoring reports that the server has given up storing, in one stream or
	// in all, which it does not undo until it is started again.
	ErrNotStoring = errors.New("the NATS server has stopped storing")
	// ErrDiskFull reports that it has because its disk is full.
	ErrDiskFull = errors.New("disk full")
)

// Watch looks every second whether the server stores, and reports what is wrong, or
// nil. After a full disk nats-server (2.15) leaves publishers of the affected streams
// without an answer until it is started again, so Watch restarts it, on the same
// address, once there is room: its clients reconnect. Watch returns nil when ctx is
// done; an error that wraps [ErrNotStoring] when the server cannot store for
// another reason, or if free space cannot be asked for; and the restart's own.
func (s *Server) Watch(ctx context.Context, report func(error)) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var restarted time.Time
	wasFull := false
	for {
		err := s.check()
		if err != nil && !errors.Is(err, ErrDiskFull) {
			report(err)
			return err
		}
		if err != nil {
			space, spaceErr := diskspace.Of(s.cfg.Dir)
			if spaceErr != nil {
				return errors.Join(err, spaceErr)
			}
			if !wasFull {
				s.cfg.Log.Error("the NATS server's disk is full", "err", err)
			}
			if space.Free >= minFree && time.Since(restarted) >= restartPause {
				s.cfg.Log.Warn("restarting the NATS server: its disk has room again", "free_bytes", space.Free)
				if err := s.restart(); err != nil {
					return fmt.Errorf("restarting after a full disk: %w", err)
				}
				restarted, err = time.Now(), nil
			}
		}
		wasFull = err != nil
		report(err)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Register adds to metrics whether the server stores and how much room its disk has.
func (s *Server) Register(metrics prometheus.Registerer) {
	metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "nats_storing", Help: "1 if the NATS server can write every stream, 0 if it cannot: most often because its disk is full.",
		}, func() float64 {
			if s.check() != nil {
				return 0
			}
			return 1
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "nats_disk_free_bytes", Help: "Room on the file system of the streams for programs without privileges; NaN if it cannot be asked for.",
		}, func() float64 {
			space, err := diskspace.Of(s.cfg.Dir)
			if err != nil {
				return math.NaN()
			}
			return float64(space.Free)
		}),
	)
}

// check returns why the server does not store, nil if it does.
func (s *Server) check() error {
	n := s.current()
	if !n.JetStreamEnabled() {
		return fmt.Errorf("%w: see its log lines, and whether it may write to %s, then start it again", ErrNotStoring, s.cfg.Dir)
	}
	var full []string
	for _, e := range n.Healthz(&server.HealthzOptions{Details: true}).Errors {
		switch {
		case e.Type != server.HealthzErrorStream || !strings.Contains(e.Error, "write error"):
			// Not recovered, for instance, as a stream is that is being created.
		case strings.Contains(e.Error, syscall.ENOSPC.Error()), strings.Contains(e.Error, syscall.EDQUOT.Error()):
			full = append(full, e.Stream)
		default:
			return fmt.Errorf("%w: %s: repair %s, then start it again; nothing that was acknowledged is lost, and what was not is read again", ErrNotStoring, e.Error, s.cfg.Dir)
		}
	}
	if full == nil {
		return nil
	}
	return fmt.Errorf("%w: %w, in %s: make room in %s; it goes on by itself then, and what waits is stored", ErrDiskFull, ErrNotStoring, strings.Join(full, ", "), s.cfg.Dir)
}

// restart replaces the server by a new one on the same address.
func (s *Server) restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.cfg
	cfg.Listen = s.nats.Addr().String()
	opts, err := options(cfg)
	if err != nil {
		return fmt.Errorf("configuring the NATS server: %w", err)
	}
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	n, err := launch(cfg, opts)
	if err != nil {
		return err
	}
	s.nats = n
	return nil
}
