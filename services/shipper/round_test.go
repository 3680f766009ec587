package shipper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// errKilled ends a session as a kill would: what is stored stays.
var errKilled = errors.New("killed")

// memory is a stream in memory. A publish may be cut off: before it, behind it without
// an acknowledgement, or, as on a full disk, in the middle of it.
type memory struct {
	stored []*bus.Stored
	armed  uint64
	fate   func() fate
	late   []*nats.Msg // under way since the publisher was killed
	lateAt uint64
}

type fate int

const (
	stores fate = iota
	killedBefore
	killedBehind // stored, not acknowledged
	killedLate   // stored when the successor is at work
	torn         // a part is stored
	unacked      // stored, the acknowledgement is lost, and the publisher lives
)

var _ publish.PairFence = (*memory)(nil)

func (m *memory) Last(context.Context) (*bus.Stored, error) {
	m.armed = uint64(len(m.stored))
	var last *bus.Stored
	if m.armed > 0 {
		last = m.stored[m.armed-1]
	}
	return last, nil
}

// Settle lets arrive what a killed process had under way.
func (m *memory) Settle(context.Context, proto.Class) error {
	if m.late != nil && m.lateAt == uint64(len(m.stored)) {
		m.store(m.late)
	}
	m.late = nil
	return nil
}

func (m *memory) Tail(_ context.Context, last *bus.Stored, keep func(*bus.Stored) bool) ([]*bus.Stored, error) {
	if last == nil {
		return nil, nil
	}
	first := int(last.Sequence)
	for first > 0 {
		s := *m.stored[first-1]
		if !keep(&s) {
			break
		}
		first--
	}
	var tail []*bus.Stored
	for _, s := range m.stored[first:last.Sequence] {
		c := *s
		keep(&c)
		tail = append(tail, &c)
	}
	return tail, nil
}

func (m *memory) Publish(ctx context.Context, msgs []*nats.Msg) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if uint64(len(m.stored)) != m.armed {
		return bus.ErrFenced
	}
	switch m.fate() {
	case killedBefore:
		return fmt.Errorf("%w: %w", bus.ErrClosed, errKilled)
	case killedBehind:
		m.store(msgs)
		return fmt.Errorf("%w: %w", bus.ErrClosed, errKilled)
	case killedLate:
		m.late, m.lateAt = msgs, m.armed
		return fmt.Errorf("%w: %w", bus.ErrClosed, errKilled)
	case torn:
		m.store(msgs[:len(msgs)/2])
		return bus.ErrNoSpace
	case unacked:
		m.store(msgs)
		return bus.ErrMaybeStored
	default:
		m.store(msgs)
		m.armed = uint64(len(m.stored))
		return nil
	}
}

func (m *memory) store(msgs []*nats.Msg) {
	for _, msg := range msgs {
		header := nats.Header{}
		for k, v := range msg.Header {
			header[k] = slices.Clone(v)
		}
		m.stored = append(m.stored, &bus.Stored{
			Subject: strings.Replace(msg.Subject, proto.IngestPrefix, proto.StoredPrefix, 1), Sequence: uint64(len(m.stored)) + 1,
			Header: header, Data: msg.Data, Time: time.Unix(int64(len(m.stored)), 0),
		})
	}
}

type nobody struct{}

func (nobody) Stored(int, time.Duration) {}
func (nobody) Waiting(error)             {}
func (nobody) Fenced()                   {}

// files are what a session reads: how many lines each of several files has. A checkpoint
// is the number of lines read of each.
type files []int

func (f files) checkpoint() string {
	var parts []string
	for _, n := range f {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ",")
}

func readFiles(t *testing.T, checkpoint string, n int) files {
	f := make(files, n)
	if checkpoint == "" {
		return f
	}
	for i, part := range strings.Split(checkpoint, ",") {
		var err error
		if f[i], err = strconv.Atoi(part); err != nil {
			t.Fatalf("checkpoint %q: %v", checkpoint, err)
		}
	}
	return f
}

// TestRoundsUnderAnyMixtureOfFaults reads lines of several files in rounds, whose order
// and size change with each session and so do the rules that say which of them are
// alerts, while publishes of either stream are cut off in every way: each line is
// stored once, in one of the two streams, and the lines of a file are in order in each.
func TestRoundsUnderAnyMixtureOfFaults(t *testing.T) {
	seed := testenv.Seed(t)
	for run := range testenv.Count(t, "TEST_RUNS", 300) {
		random := rand.New(rand.NewPCG(seed, uint64(run)))
		w := &world{t: t, random: random, lines: files{random.IntN(60) + 1, random.IntN(60), random.IntN(60)}, sameRules: run%2 == 0}
		synctest.Test(t, func(t *testing.T) {
			w.t = t
			w.run()
		})
		if t.Failed() {
			t.Fatalf("seed %d, run %d", seed, run)
		}
	}
}

type world struct {
	t         *testing.T
	random    *rand.Rand
	lines     files // all there are
	sameRules bool  // in each session
	kills     int
	alerts    memory
	events    memory
}

func (w *world) run() {
	var mu sync.Mutex
	fate := func() fate {
		mu.Lock()
		defer mu.Unlock()
		if w.random.IntN(4) > 0 {
			return stores
		}
		return fate(w.random.IntN(int(unacked) + 1))
	}
	w.alerts.fate, w.events.fate = fate, fate
	log := slog.New(slog.DiscardHandler)
	for w.kills = 0; ; w.kills++ {
		if w.kills == 500 {
			w.t.Fatal("no end")
		}
		rules := w.random.Uint64()
		if w.sameRules {
			rules = 1
		}
		err := publish.RunPair(w.t.Context(), publish.Fences{Alerts: &w.alerts, Events: &w.events}, log, nobody{}, keepOrigin, func(p *publish.Pair, at publish.Stand) error {
			return w.session(p, at, rules)
		})
		if err == nil {
			break
		}
		if !errors.Is(err, errKilled) {
			w.t.Fatalf("session ended with %v", err)
		}
	}
	w.check()
}

// session is the shipper's loop without a follower.
func (w *world) session(p *publish.Pair, at publish.Stand, rules uint64) error {
	stored := newStoredLines(at.Beyond)
	position := readFiles(w.t, at.Checkpoint, len(w.lines))
	base := at.Checkpoint
	for {
		var msgs []*nats.Msg
		read := 0
		for range w.random.IntN(20) + 1 {
			file := w.random.IntN(len(w.lines))
			if position[file] == w.lines[file] {
				continue
			}
			line := follow.Line{Generation: strconv.Itoa(file), Start: int64(position[file])}
			id := fmt.Sprintf("%d:%d", file, position[file])
			position[file]++
			read++
			if stored.take(id, &line) {
				continue
			}
			severity := proto.SeverityInfo
			if (rules>>(uint(file*7+position[file])%60))&1 == 1 {
				severity = proto.SeverityHigh
			}
			msgs = append(msgs, &nats.Msg{
				Subject: proto.NewSubject("box1", "test", "kind", severity).Ingest(),
				Header:  nats.Header{proto.HeaderEventID: {id}, proto.HeaderCheckpoint: {position.checkpoint()}},
				Data:    fmt.Appendf(nil, `{"origin":{"file":"f","generation":%q,"offset":%d}}`, line.Generation, line.Start),
			})
		}
		done := slices.Equal(position, w.lines)
		round := publish.Round{Base: base, Messages: msgs}
		if !stored.pending() {
			base = position.checkpoint()
			round.End = base
		}
		if len(msgs) > 0 {
			if err := p.Publish(w.t.Context(), round); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
		if read > 0 && w.random.IntN(30) == 0 {
			return errKilled
		}
	}
}

func (w *world) check() {
	seen := make(map[string]bool)
	for name, stream := range map[string]*memory{"alerts": &w.alerts, "events": &w.events} {
		before := make(map[string]int)
		for _, m := range stream.stored {
			id := m.Header.Get(proto.HeaderEventID)
			if seen[id] {
				w.t.Errorf("line %s is stored twice, again in %s (same rules: %t)", id, name, w.sameRules)
			}
			seen[id] = true
			file, line, _ := strings.Cut(id, ":")
			n, err := strconv.Atoi(line)
			if err != nil {
				w.t.Fatal(err)
			}
			if last, ok := before[file]; ok && n < last && w.sameRules {
				w.t.Errorf("%s: line %d of file %s comes behind %d", name, n, file, last)
			}
			before[file] = n
		}
	}
	for file, n := range w.lines {
		for line := range n {
			if !seen[fmt.Sprintf("%d:%d", file, line)] {
				w.t.Errorf("line %d of file %d is lost, after %d kills", line, file, w.kills)
			}
		}
	}
}
