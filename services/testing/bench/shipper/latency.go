package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// latency measures, in milliseconds, how long a line takes from being written to
// being seen on security.>, at 100 lines a second.
func (b *bench) latency(d time.Duration) (p50, p99 float64, err error) {
	dir, err := b.subdir("latency")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "eve.json")
	ctx, cancel := context.WithTimeout(context.Background(), d+patience)
	defer cancel()
	s, p, err := start(ctx, dir, roleShipper, path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	conn, err := s.Connect(ctx, bus.RoleTail)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	live, err := conn.Live(ctx, proto.StoredPrefix+".>")
	if err != nil {
		return 0, 0, err
	}
	defer live.Close()
	if err := p.Start(); err != nil {
		return 0, 0, err
	}
	defer p.End()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()

	const perSecond, warmUp = 100, 100
	n := int(d.Seconds())*perSecond + warmUp
	written := make(chan time.Time, n)
	failed := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(time.Second / perSecond)
		defer ticker.Stop()
		lines := mix()
		for i := range n {
			<-ticker.C
			written <- time.Now()
			if _, err := f.Write(lines[i%len(lines)]); err != nil {
				failed <- err
				return
			}
		}
	}()
	var took []float64
	for i := range n {
		if _, err := live.Next(ctx); err != nil {
			select {
			case err = <-failed:
			default:
			}
			return 0, 0, err
		}
		// One source's events come in the order of its lines.
		if since := time.Since(<-written); i >= warmUp {
			took = append(took, float64(since.Microseconds())/1000)
		}
	}
	if err := p.Stop(); err != nil {
		return 0, 0, err
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}
