package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// PairFence is what a [Pair] needs of each of its two [bus.Fence]s.
type PairFence interface {
	Fence
	// Settle waits until what was published to the stream before, by any
	// process, is stored or refused.
	Settle(ctx context.Context, class proto.Class) error
	// Tail returns the newest messages up to last, oldest first, that keep accepts,
	// which may take from a message what need not be held.
	Tail(ctx context.Context, last *bus.Stored, keep func(*bus.Stored) bool) ([]*bus.Stored, error)
}

var _ PairFence = (*bus.Fence)(nil)

// Fences are those of the two streams of one source.
type Fences struct{ Alerts, Events PairFence }

// Round is what is published side by side to two streams: messages in the source's
// order, each with [proto.HeaderEventID] and [proto.HeaderCheckpoint].
type Round struct {
	// Base is the checkpoint from which all of it can be read again.
	Base string
	// End is the checkpoint after it, empty if what was stored earlier with the same
	// base has not been met yet: then reading would begin at Base in any case.
	End      string
	Messages []*nats.Msg
}

// Stand is how far a source has got by what its two streams hold. The zero Stand is
// that of a source that has published nothing.
type Stand struct {
	// Last is the newest message, by round and place in it; nil if there is none.
	Last *bus.Stored
	// Round is its number.
	Round uint64
	// Checkpoint is where reading goes on.
	Checkpoint string
	// Half says that one of the streams holds nothing of the source: retention may
	// have removed what was newer than Last.
	Half bool
	// Beyond are the messages that are stored although they come after Checkpoint,
	// without a payload unless [RunPair] was given a function that keeps some of it.
	Beyond []*bus.Stored
}

// Pair publishes one source's rounds. It is not safe for concurrent use.
//
//	          ┌─ alerts ─▶ fenced publish ─▶ ALERTS_<source> ─┐
//	round ────┤                                               ├─ both stored ─▶ next round
//	          └─ events ─▶ fenced publish ─▶ EVENTS_<source> ─┘
//
// The two streams together are the checkpoint. If a process ends between the two
// publishes of a round, its successor reads again from the round's base, and knows by
// id what is stored already, in whichever stream.
type Pair struct {
	alerts, events *Publisher
	round          uint64
	completed      bool // a round of this session
}

// RunPair calls session with a [Pair] and with how far the source has got, and calls
// it again, with what the streams hold by then, if the session ends because a message
// has come in between that is of this process itself, or, a few times, of one before
// it: of a batch, for instance, of which a full disk has taken a part, or of a publish
// that a killed process had left under way. What comes in before this process has
// completed a round counts as that. Otherwise it returns the session's error. strip
// is called with each message that is read back and may take away its payload.
func RunPair(ctx context.Context, fences Fences, log *slog.Logger, observe Observer, strip func(*bus.Stored), session func(p *Pair, at Stand) error) error {
	instance := newInstance()
	both := &sharedObserver{Observer: observe}
	publishers := [2]*Publisher{}
	for i, fence := range []Fence{fences.Alerts, fences.Events} {
		publishers[i] = New(fence, log, both.of(i))
		publishers[i].instance = instance
	}
	p := &Pair{alerts: publishers[0], events: publishers[1]}
	completedAny := false
	for resumes := 0; ; resumes++ {
		at, err := p.resume(ctx, fences, strip)
		if err != nil {
			return err
		}
		p.round, p.completed = at.Round, false
		known := []string{instance}
		for _, m := range append(slices.Clone(at.Beyond), at.Last) {
			if m != nil {
				known = append(known, proto.SourceInstance(m.Header))
			}
		}
		err = session(p, at)
		var fenced *FencedError
		if !errors.As(err, &fenced) {
			return err
		}
		if p.completed {
			resumes, completedAny = 0, true
		}
		own := fenced.Instance == instance
		late := !completedAny || slices.Contains(known, fenced.Instance)
		if !own && (!late || resumes >= maxResumes) {
			return err
		}
		log.Warn("reading back what is stored, because a message came in between", "err", err, "own", own)
		if err := retry.Sleep(ctx, min(resumePause<<min(resumes, 10), maxBackoff)); err != nil {
			return err
		}
	}
}

// Round is the number of the round that was published last.
func (p *Pair) Round() uint64 { return p.round }

// Publish stores a round and returns when all of it is stored. Errors are those of
// [Publisher.Publish]. The messages may not be used again.
func (p *Pair) Publish(ctx context.Context, r Round) error {
	p.round++
	// Messages share the values of their headers, which are replaced, never changed.
	number, base := []string{strconv.FormatUint(p.round, 10)}, []string{r.Base}
	count := "/"
	if r.End != "" {
		count += strconv.Itoa(len(r.Messages))
		r.Messages[len(r.Messages)-1].Header.Set(proto.HeaderCheckpoint, r.End)
	}
	places := make([]string, len(r.Messages))
	var place []byte
	var alerts, events []*nats.Msg
	for i, m := range r.Messages {
		place = append(strconv.AppendInt(place[:0], int64(i+1), 10), count...)
		places[i] = string(place)
		m.Header[proto.HeaderRound] = number
		m.Header[proto.HeaderPlace] = places[i : i+1 : i+1]
		m.Header[proto.HeaderBase] = base
		if strings.HasPrefix(m.Subject, alertPrefix) {
			alerts = append(alerts, m)
		} else {
			events = append(events, m)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for publisher, msgs := range map[*Publisher][]*nats.Msg{p.alerts: alerts, p.events: events} {
		group.Go(func() error {
			for part := range slices.Chunk(msgs, proto.MaxBatch) {
				if err := publisher.Publish(ctx, part); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	p.completed = true
	return nil
}

const alertPrefix = proto.IngestPrefix + "." + string(proto.ClassAlert) + "."

// resume reads back how far the source has got.
func (p *Pair) resume(ctx context.Context, fences Fences, strip func(*bus.Stored)) (Stand, error) {
	var lasts [2]*bus.Stored
	classes := []proto.Class{proto.ClassAlert, proto.ClassEvent}
	both := []PairFence{fences.Alerts, fences.Events}
	for i, publisher := range []*Publisher{p.alerts, p.events} {
		err := publisher.ask(ctx, "waiting for earlier publishes is delayed", func(ctx context.Context) error {
			return both[i].Settle(ctx, classes[i])
		})
		if err != nil {
			return Stand{}, err
		}
		last, err := publisher.Resume(ctx)
		if err != nil {
			return Stand{}, err
		}
		lasts[i] = last
	}
	newest := later(lasts[0], lasts[1])
	if newest == nil {
		return Stand{}, nil
	}
	base := newest.Header.Get(proto.HeaderBase)
	var beyond []*bus.Stored
	for i, publisher := range []*Publisher{p.alerts, p.events} {
		var tail []*bus.Stored
		err := publisher.ask(ctx, "reading back the last messages is delayed", func(ctx context.Context) (err error) {
			tail, err = both[i].Tail(ctx, lasts[i], func(m *bus.Stored) bool {
				strip(m)
				return m.Header.Get(proto.HeaderBase) == base
			})
			return err
		})
		if err != nil {
			return Stand{}, fmt.Errorf("reading back the last messages: %w", err)
		}
		beyond = append(beyond, tail...)
	}
	at := stand(newest, beyond)
	at.Half = lasts[0] == nil || lasts[1] == nil
	return at, nil
}

// stand is how far a source has got whose newest message is newest, and of which
// beyond are all messages with the same base.
func stand(newest *bus.Stored, beyond []*bus.Stored) Stand {
	round, _, count := place(newest)
	at := Stand{Last: newest, Round: round, Checkpoint: newest.Header.Get(proto.HeaderBase), Beyond: beyond}
	places := make(map[int]bool)
	for _, m := range beyond {
		r, i, n := place(m)
		switch {
		case r != round:
		case n != count || proto.SourceInstance(m.Header) != proto.SourceInstance(newest.Header):
			// Two processes have published a round of this number. Which lines each of
			// them had in it is unknown, so that only the base is sure.
			return at
		default:
			places[i] = true
		}
	}
	if count > 0 && len(places) == count {
		at.Checkpoint, at.Beyond = proto.SourceCheckpoint(newest.Header), nil
	}
	return at
}

// later is the message with the later round, or the later place in the same one; nil
// is the earliest.
func later(a, b *bus.Stored) *bus.Stored {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	ra, ia, _ := place(a)
	rb, ib, _ := place(b)
	if ra > rb || ra == rb && ia > ib {
		return a
	}
	return b
}

// place reads the number of a message's round, its place in it, and how many
// messages the round has; 0 for what the message does not say.
func place(m *bus.Stored) (round uint64, i, count int) {
	round, _ = strconv.ParseUint(m.Header.Get(proto.HeaderRound), 10, 64)
	first, rest, _ := strings.Cut(m.Header.Get(proto.HeaderPlace), "/")
	i, _ = strconv.Atoi(first)
	count, _ = strconv.Atoi(rest)
	return round, i, count
}

// sharedObserver passes on what two publishers report. One that can go on does not
// hide that the other waits.
type sharedObserver struct {
	Observer
	waiting waits
}

func (o *sharedObserver) of(i int) Observer { return &oneOf{o, i} }

type oneOf struct {
	both *sharedObserver
	i    int
}

func (o *oneOf) Stored(n int, d time.Duration) { o.both.Stored(n, d) }
func (o *oneOf) Fenced()                       { o.both.Fenced() }
func (o *oneOf) Waiting(err error)             { o.both.Waiting(o.both.waiting.set(o.i, err)) }

// waits are why each of two publishers waits.
type waits struct {
	mu   sync.Mutex
	errs [2]error
}

// set notes why one waits, nil that it does not, and returns why any does.
func (w *waits) set(i int, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs[i] = err
	return errors.Join(w.errs[:]...)
}
