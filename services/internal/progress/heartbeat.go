// Package progress notices what does not move: a source that is dead or cannot
// publish, a consumer that stands still, a stream that fills up or forgets too soon.
//
//	shipper, proxy, auditor, notifier ─▶ heartbeats (state bucket) ─┐
//	streams, durables ──────────────────────────────────────────────┴─▶ Watch ─▶ alarms
//
// A sensor may be quiet for days. Its shipper says every 20 seconds that it is alive
// and whether it can publish, so that a quiet sensor raises none and a dead shipper
// is one within about a minute. A process also says at its start that it was started,
// which does not count as being alive, so that one that ends again and again is noticed
// however long it lives each time.
package progress

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

const (
	beatEvery = 20 * time.Second
	// beatKept is after how long a source that does not beat any more is forgotten: it
	// was taken away.
	beatKept = 7 * 24 * time.Hour
	// startsKept is how many starts a heartbeat remembers.
	startsKept = 2 * Restarts
)

// Heart beats for one source.
type Heart struct {
	Conn *bus.Conn
	// Host and Source are the name under which the source publishes.
	Host, Source string
	// Started is when the source was started, zero for now: a source whose connection is
	// made anew was not started again.
	Started time.Time
	// Problem returns why the source cannot publish, nil if it can.
	Problem func() error
	// Every is how often it beats; 0 means every 20 seconds.
	Every time.Duration
	// Report, if set, is called after each beat with nil if it was stored, or why not.
	Report func(error)
	Log    *slog.Logger
}

// beat is the value of a heartbeat. Its times but for Alive are by the source's clock.
type beat struct {
	At      time.Time `json:"at"`
	Problem string    `json:"problem,omitempty"`
	Since   time.Time `json:"since,omitzero"` // of the problem
	// Starts are when processes of the source were started, the last ones, in order.
	Starts []time.Time `json:"starts,omitempty"`
	// Alive is when the last heartbeat was stored, by the server's clock, if this is
	// not one but says that the source was started.
	Alive time.Time `json:"alive,omitzero"`
}

// Start beats until ctx is done or stop is called, which waits for the end.
func (h Heart) Start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

// Run beats until ctx is done. It never fails: that a beat cannot be stored is for the
// watcher to notice, and for Report.
func (h Heart) Run(ctx context.Context) {
	p := pulse{Heart: h, key: proto.KeyHeartbeat(h.Host, h.Source)}
	p.b.Starts = []time.Time{h.Started.UTC()}
	if h.Started.IsZero() {
		p.b.Starts[0] = time.Now().UTC()
	}
	last := ""
	note := func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != last && err != nil && ctx.Err() == nil {
			h.Log.Warn("a heartbeat is not stored", "err", err)
		}
		last = text
	}
	note(p.start(ctx))
	// The first beat comes after an interval: a process that ends again and again soon
	// after its start is not alive.
	for retry.Sleep(ctx, cmp.Or(h.Every, beatEvery)) == nil {
		err := p.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		note(err)
		if h.Report != nil {
			h.Report(err)
		}
	}
}

// pulse is a heart that beats: what it says, and the place that its next word takes.
type pulse struct {
	Heart
	key      string
	revision uint64
	found    bool // the starts of earlier processes are known
	b        beat
}

// start says that the source was started.
func (p *pulse) start(ctx context.Context) error {
	earlier, stored, err := p.find(ctx)
	if err != nil {
		return err
	}
	note := p.b
	note.At, note.Problem, note.Since = time.Now().UTC(), earlier.Problem, earlier.Since
	if note.Alive = earlier.Alive; note.Alive.IsZero() {
		note.Alive = stored
	}
	return p.store(ctx, note)
}

// beat says that the source is alive.
func (p *pulse) beat(ctx context.Context) error {
	p.b.At = time.Now().UTC()
	if err := p.Problem(); err == nil {
		p.b.Problem, p.b.Since = "", time.Time{}
	} else {
		if p.b.Problem == "" {
			p.b.Since = p.b.At
		}
		p.b.Problem = err.Error()
	}
	if !p.found {
		if _, _, err := p.find(ctx); err != nil {
			return err
		}
	}
	return p.store(ctx, p.b)
}

// find takes over the starts of earlier processes, and returns what the last one said
// and when the server stored that; nothing if there is none.
func (p *pulse) find(ctx context.Context) (earlier beat, stored time.Time, err error) {
	m, err := p.Conn.LastUnder(ctx, proto.StateSubject(p.key), proto.StreamState)
	if err != nil {
		return beat{}, time.Time{}, fmt.Errorf("reading the heartbeat before: %w", err)
	}
	p.found, p.revision = true, 0
	if m == nil {
		return beat{}, time.Time{}, nil
	}
	p.revision = m.Sequence
	if json.Unmarshal(m.Data, &earlier) != nil {
		return beat{}, m.Time, nil // removed, or unreadable
	}
	all := earlier.Starts
	if !slices.ContainsFunc(all, p.b.Starts[0].Equal) {
		all = append(all, p.b.Starts[0])
	}
	p.b.Starts = all[max(0, len(all)-startsKept):]
	return earlier, m.Time, nil
}

// store puts b in the place of what was said before.
func (p *pulse) store(ctx context.Context, b beat) error {
	value, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("writing a heartbeat: %w", err)
	}
	put := func() error {
		next, err := p.Conn.PutFor(ctx, p.key, value, p.revision, beatKept)
		if err == nil {
			p.revision = next
		}
		return err
	}
	err = put()
	if errors.Is(err, bus.ErrFenced) || errors.Is(err, bus.ErrMaybeStored) {
		// One of ours whose acknowledgement was lost, or that of another process.
		if _, p.revision, err = p.Conn.Get(ctx, p.key); err == nil {
			err = put()
		}
	}
	return err
}

// Beat is the last heartbeat of a source.
type Beat struct {
	Host, Source string
	Stored       time.Time     // by the server's clock
	Problem      string        // why it could not publish then, "" if it could
	For          time.Duration // how long the problem had lasted
	Starts       int           // how often it was started within RestartsWithin before its last word
}

// Name is the source's name in sentences.
func (b Beat) Name() string { return b.Source + " on " + b.Host }

// Beats reads the last heartbeat of every source, sorted by source and host.
func Beats(ctx context.Context, conn *bus.Conn) ([]Beat, error) {
	prefix := proto.StateSubject(proto.HeartbeatPrefix + ".")
	subjects, err := conn.Subjects(ctx, proto.StreamState, prefix+">")
	if err != nil {
		return nil, fmt.Errorf("listing the heartbeats: %w", err)
	}
	var beats []Beat
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		host, source, ok := strings.Cut(strings.TrimPrefix(subject, prefix), ".")
		if !ok {
			continue // not written by this project
		}
		m, err := conn.LastUnder(ctx, subject, proto.StreamState)
		if err != nil {
			return nil, fmt.Errorf("reading a heartbeat: %w", err)
		}
		if m == nil || len(m.Data) == 0 {
			continue // gone since
		}
		var v beat
		if err := json.Unmarshal(m.Data, &v); err != nil {
			v = beat{Problem: "its heartbeat cannot be read"}
		}
		b := Beat{Host: host, Source: source, Stored: m.Time, Problem: v.Problem}
		if !v.Alive.IsZero() {
			b.Stored = v.Alive
		}
		for _, at := range v.Starts {
			if v.At.Sub(at) < RestartsWithin {
				b.Starts++
			}
		}
		if v.Problem != "" {
			b.For = max(v.At.Sub(v.Since), 0)
		}
		beats = append(beats, b)
	}
	return beats, nil
}
