package intake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
)

const (
	// bindTimeout is how long binding to a stream may take.
	bindTimeout = 10 * time.Second
	// maxLanes is how many lanes a stream has at most.
	maxLanes = 3
)

// streams are the streams of alerts that are bound to.
type streams struct {
	o      *Options
	bound  []*stream
	faulty map[string]error // those that cannot be read, and why
	added  func(*stream)    // called once a stream is bound to
}

// discover binds to the streams of alerts that are there and not bound to yet. One
// that cannot be read does not keep the others from being read.
func (s *streams) discover(ctx context.Context) error {
	names, err := s.o.Conn.AlertStreams(ctx)
	if err != nil {
		return err
	}
	before := s.faulty
	s.faulty = make(map[string]error)
	for _, name := range names {
		if s.of(name) != nil {
			continue
		}
		if err := s.bind(ctx, name); err != nil {
			if !bus.Permanent(err) {
				return err
			}
			s.faulty[name] = fmt.Errorf("alerts of stream %s are not delivered: %w", name, err)
			if before[name] == nil {
				s.o.Log.Error("a stream of alerts cannot be read", "stream", name, "err", err)
			}
		}
	}
	if len(s.faulty)+len(before) > 0 {
		s.o.Ready(consume.Unread(s.faulty))
	}
	return nil
}

// bind binds to the durables of a stream.
func (s *streams) bind(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	one := &stream{name: name, retention: &retention{stream: name, conn: s.o.Conn, store: s.o.Store, queues: s.o.Queues, log: s.o.Log}}
	defs := proto.LaneConsumers(s.o.Sink, name)
	for n, def := range defs {
		l, err := newLane(ctx, s.o, def, n == len(defs)-1, n == 0)
		if err != nil {
			return err
		}
		one.lanes = append(one.lanes, l)
	}
	if err := one.retention.recognize(ctx); err != nil {
		return err
	}
	s.bound = append(s.bound, one)
	s.added(one)
	return nil
}

// none says why no stream is bound to, and is nil if one is.
func (s *streams) none() error {
	switch {
	case len(s.bound) > 0:
		return nil
	case len(s.faulty) > 0:
		return errors.Join(slices.Collect(maps.Values(s.faulty))...)
	default:
		return fmt.Errorf("no stream of alerts exists: %w", bus.ErrNotProvisioned)
	}
}

// of returns the stream of a name, nil if it is not bound to.
func (s *streams) of(name string) *stream {
	for _, one := range s.bound {
		if one.name == name {
			return one
		}
	}
	return nil
}

// lanes are those of all streams, the most severe first.
func (s *streams) lanes() []*lane {
	var all []*lane
	for fromLast := maxLanes; fromLast > 0; fromLast-- {
		for _, one := range s.bound {
			if n := len(one.lanes) - fromLast; n >= 0 {
				all = append(all, one.lanes[n])
			}
		}
	}
	return all
}

// gone is nil if err says that a stream is gone, or its durables are, while there are
// others; discover binds to it again if it comes back.
func (s *streams) gone(name string, err error) error {
	if !errors.Is(err, bus.ErrNotProvisioned) || len(s.bound) == 1 {
		return err
	}
	s.o.Log.Error("a stream of alerts cannot be read any more", "stream", name, "err", err)
	s.bound = slices.DeleteFunc(slices.Clone(s.bound), func(one *stream) bool { return one.name == name })
	return nil
}

// stream is a stream of alerts.
type stream struct {
	name      string
	lanes     []*lane // the most severe first
	retention *retention
}

// poll adds to waiting what waits in the stream, by queue, and returns how many alerts
// retention has removed from it since the last time. With doubt it looks for those even
// if none seems to be missing.
func (s *stream) poll(ctx context.Context, waiting *[2]float64, doubt bool) (lost uint64, err error) {
	doubt = doubt || len(s.retention.above) > 0
	idle := true
	for _, l := range s.lanes {
		p, err := l.consumer.Progress(ctx)
		if err != nil {
			return 0, err
		}
		waiting[l.which] += float64(p.Pending) + float64(p.Unacked)
		doubt = doubt || p.Pending > 0
		idle = idle && p.Pending == 0 && p.Unacked == 0
	}
	if doubt {
		if lost, err = s.retention.find(ctx); err != nil {
			return 0, err
		}
	}
	if idle {
		s.retention.all()
	}
	return lost, nil
}
