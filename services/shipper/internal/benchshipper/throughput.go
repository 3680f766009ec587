package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// run is one measured backlog.
type run struct {
	events int
	bytes  int64
	took   time.Duration
	stats  stats
}

func (r run) eventsPerSecond() float64    { return float64(r.events) / r.took.Seconds() }
func (r run) megabytesPerSecond() float64 { return float64(r.bytes) / 1e6 / r.took.Seconds() }
func (r run) cpuPerEvent() float64        { return float64(r.stats.CPU.Microseconds()) / float64(r.events) }
func (r run) allocsPerEvent() float64     { return float64(r.stats.Mallocs) / float64(r.events) }

// eventsVar in the environment tells a publisher how many events there are.
const eventsVar = "BENCHSHIPPER_EVENTS"

// throughput measures how long the publisher takes, from the start of its
// process until the stream holds n events.
func (b *bench) throughput(publisher string, n int) (r run, err error) {
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
	s, err := newSystem(dir)
	if err != nil {
		return r, err
	}
	operator, err := s.connect(bus.RoleOperator)
	if err != nil {
		return r, err
	}
	defer operator.Close()

	began := time.Now()
	p, err := start(publisher, dir, append(s.environ(path), eventsVar+"="+strconv.Itoa(n))...)
	if err != nil {
		return r, err
	}
	if err := waitFor(operator, uint64(n), p); err != nil {
		return r, err
	}
	r.took = time.Since(began)
	if r.stats, err = p.stop(); err != nil {
		return r, fmt.Errorf("the %s process: %w", publisher, err)
	}
	return r, s.stop()
}

// waitFor waits until the stream holds n events and fails if it holds more.
func waitFor(operator *bus.Conn, n uint64, p *process) error {
	for {
		o, err := operator.Overview(context.Background())
		if err != nil {
			return err
		}
		switch stored := o.Streams[0].Messages; {
		case stored == n:
			return nil
		case stored > n:
			return fmt.Errorf("%d events stored of %d", stored, n)
		}
		select {
		case err := <-p.ended:
			return fmt.Errorf("the publisher ended by itself: %w\n%s", err, p.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
