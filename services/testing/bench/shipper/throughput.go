package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// run is one measured backlog.
type run struct {
	events  int
	bytes   int64
	took    time.Duration
	cpu     time.Duration
	mallocs uint64
	peakRSS int // bytes; 0 where it is not known
}

func (r run) eventsPerSecond() float64    { return float64(r.events) / r.took.Seconds() }
func (r run) megabytesPerSecond() float64 { return float64(r.bytes) / 1e6 / r.took.Seconds() }
func (r run) cpuPerEvent() float64        { return float64(r.cpu.Microseconds()) / float64(r.events) }
func (r run) allocsPerEvent() float64     { return float64(r.mallocs) / float64(r.events) }

// eventsVar in the environment says how many events there are.
const eventsVar = "BENCHSHIPPER_EVENTS"

// throughput measures how long the publisher takes, from the start of its
// process until the streams have taken n events.
func (b *bench) throughput(publisher string, n int, environ ...string) (r run, err error) {
	dir, err := b.subdir(publisher)
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "eve.json")
	r.events = n
	if r.bytes, err = writeBacklog(path, n); err != nil {
		return r, err
	}
	ctx := context.Background()
	s, p, err := start(ctx, dir, publisher, path, append(environ, eventsVar+"="+strconv.Itoa(n))...)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	operator, err := s.Connect(ctx, bus.RoleOperator)
	if err != nil {
		return r, err
	}
	defer operator.Close()

	began := time.Now()
	if err := p.Start(); err != nil {
		return r, err
	}
	defer p.End()
	if err := waitFor(operator, uint64(n), p); err != nil {
		return r, err
	}
	r.took = time.Since(began)
	if childproc.HasUsage {
		u, err := p.Usage()
		if err != nil {
			return r, err
		}
		r.peakRSS = u.PeakRSS
	}
	if err := p.Stop(); err != nil {
		return r, err
	}
	r.cpu = p.CPU()
	mallocs, err := p.Ready()
	if err != nil {
		return r, err
	}
	r.mallocs, err = strconv.ParseUint(mallocs, 10, 64)
	return r, err
}

// waitFor waits until the streams together have taken n events, and fails if it is
// more. It goes by their sequences: a large backlog evicts its own beginning.
func waitFor(operator *bus.Conn, n uint64, p *childproc.Process) error {
	for {
		o, err := operator.Overview(context.Background())
		if err != nil {
			return err
		}
		stored := uint64(0)
		for _, s := range o.Streams {
			if slices.Contains(o.Security(), s.Name) {
				stored += s.Last
			}
		}
		switch {
		case stored == n:
			return nil
		case stored > n:
			return fmt.Errorf("%d events stored of %d", stored, n)
		}
		select {
		case <-p.Ended():
			return errors.Join(childproc.ErrEnded, p.Wait())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
