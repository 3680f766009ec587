// Package publish puts one source's encoded records into a stream in order, each
// exactly once, whatever happens to acknowledgements, connections and processes.
//
//	batch ─▶ fenced publish ─▶ ack ─▶ next batch
//	            │      ▲
//	            │      └── not stored: wait, again
//	            └── unknown or fenced: what is the source's last message?
//	                  this batch's ─▶ stored      the one before it ─▶ not stored
//	                  any other ─▶ another process: stop
//
// It never has two publishes under way: a hole cannot arise, because nothing
// later is sent before everything earlier is known to be stored. The stream is the
// checkpoint: each message says in [proto.HeaderCheckpoint] where its source
// stands after it, and nothing else remembers that.
package publish

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// batchFrom is how many waiting messages make one atomic batch cheaper than
// single publishes: a batch costs a fixed 5 to 10 ms, in which the server makes
// and removes a directory to stage it in, and a single one about 0.25 ms.
const batchFrom = 30

// Waits between attempts while the bus cannot be reached.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// ErrFenced reports that another process publishes under this source's name.
// Going on would interleave the two, so the only right thing is to stop. It can
// also be a predecessor that was killed, whose last publish came through only
// after Resume: whoever has stored nothing since may begin anew with a Publisher
// of its own, a few times.
var ErrFenced = errors.New("fenced off")

// Fence is what this package needs of [bus.Fence].
type Fence interface {
	// Last returns the newest message under the fence's filter, nil if there is
	// none, and expects the next publish to follow it.
	Last(ctx context.Context) (*bus.Stored, error)
	// Publish makes one attempt to store msgs, all or nothing, right behind the
	// expected message. nil means stored durably; bus.ErrFenced that something
	// else came first; bus.ErrMaybeStored that nobody knows; any other error
	// that nothing was stored.
	Publish(ctx context.Context, msgs []*nats.Msg) error
}

var _ Fence = (*bus.Fence)(nil)

// Publisher publishes one source's messages. It is not safe for concurrent use.
type Publisher struct {
	fence    Fence
	log      *slog.Logger
	observe  Observer
	instance string
	last     string // id of the newest message known to be stored, if any
}

// Observer is told what happens, for metrics and readiness.
type Observer interface {
	// Stored reports messages stored by one publish that took d.
	Stored(messages int, d time.Duration)
	// Waiting reports why nothing can be published; nil that it goes on.
	Waiting(err error)
	// Fenced reports that another process took the place.
	Fenced()
}

// New returns a Publisher that publishes through fence. Call Resume first.
func New(fence Fence, log *slog.Logger, observe Observer) *Publisher {
	var word [8]byte
	rand.Read(word[:]) // never fails: crypto/rand aborts the program instead
	return &Publisher{fence: fence, log: log, observe: observe, instance: hex.EncodeToString(word[:])}
}

// Resume looks up where the source stands: the checkpoint in its last stored
// message and when that was stored. Both are zero for a source without any.
// It waits for the bus to answer and returns an error only when ctx ends or the
// bus refuses for good.
func (p *Publisher) Resume(ctx context.Context) (checkpoint string, storedAt time.Time, err error) {
	last, err := p.lookup(ctx)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("looking up the checkpoint: %w", err)
	}
	if last == nil {
		return "", time.Time{}, nil
	}
	p.last = last.Header.Get(proto.HeaderEventID)
	return last.Header.Get(proto.HeaderCheckpoint), last.Time, nil
}

// Publish stores msgs in order and returns when all are stored. Each must carry
// [proto.HeaderEventID]. It waits out an absent bus; it returns an error only
// when ctx ends, another process took the place (ErrFenced) or the bus refuses
// for good. msgs may not be used again.
func (p *Publisher) Publish(ctx context.Context, msgs []*nats.Msg) error {
	for _, m := range msgs {
		m.Header.Set(proto.HeaderInstance, p.instance)
	}
	if len(msgs) >= batchFrom {
		return p.store(ctx, msgs)
	}
	for i := range msgs {
		if err := p.store(ctx, msgs[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// store stores msgs as one unit.
func (p *Publisher) store(ctx context.Context, msgs []*nats.Msg) error {
	newest := msgs[len(msgs)-1].Header.Get(proto.HeaderEventID)
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		start := time.Now()
		err := p.fence.Publish(ctx, msgs)
		switch {
		case err == nil:
			p.stored(msgs, newest, time.Since(start))
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, bus.ErrTooLarge) && len(msgs) > 1:
			half := len(msgs) / 2
			if err := p.store(ctx, msgs[:half]); err != nil {
				return err
			}
			return p.store(ctx, msgs[half:])
		case bus.Permanent(err):
			return fmt.Errorf("publishing %d messages: %w", len(msgs), err)
		case errors.Is(err, bus.ErrMaybeStored), errors.Is(err, bus.ErrFenced):
			// Both can mean that an earlier attempt of ours came through.
			last, lookupErr := p.lookup(ctx)
			switch {
			case lookupErr != nil:
				return fmt.Errorf("finding out what was stored: %w", lookupErr)
			case p.isOurs(last, newest):
				p.stored(msgs, newest, time.Since(start))
				return nil
			case !p.isLast(last):
				return p.fenced(last)
			}
		}
		p.observe.Waiting(err)
		p.log.Warn("publishing is delayed", "err", err, "messages", len(msgs), "retry_in", wait)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (p *Publisher) stored(msgs []*nats.Msg, newest string, d time.Duration) {
	p.last = newest
	p.observe.Waiting(nil)
	p.observe.Stored(len(msgs), d)
}

// isOurs reports whether last is the message id as this process published it.
func (p *Publisher) isOurs(last *bus.Stored, id string) bool {
	return last != nil &&
		last.Header.Get(proto.HeaderEventID) == id &&
		last.Header.Get(proto.HeaderInstance) == p.instance
}

// isLast reports whether last is what was known to be stored before. Nothing at
// all is that too: retention has removed it, and nobody has published since.
func (p *Publisher) isLast(last *bus.Stored) bool {
	return last == nil || last.Header.Get(proto.HeaderEventID) == p.last
}

func (p *Publisher) fenced(last *bus.Stored) error {
	p.observe.Fenced()
	return fmt.Errorf("%w by instance %s, which stored %s (sequence %d) at %s",
		ErrFenced, last.Header.Get(proto.HeaderInstance), last.Subject, last.Sequence, last.Time.Format(time.RFC3339))
}

// lookup asks for the source's last message until it gets an answer.
func (p *Publisher) lookup(ctx context.Context) (*bus.Stored, error) {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		last, err := p.fence.Last(ctx)
		switch {
		case err == nil:
			p.observe.Waiting(nil)
			return last, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case bus.Permanent(err):
			return nil, err
		}
		p.observe.Waiting(err)
		p.log.Warn("looking up the last stored message is delayed", "err", err, "retry_in", wait)
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
