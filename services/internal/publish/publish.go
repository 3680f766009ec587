// Package publish puts one source's encoded records into a stream in order, each
// exactly once, through lost acknowledgements, lost connections and killed processes.
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
	"github.com/openclaw-security/bus/services/internal/retry"
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

// Waits of [Run] after it was fenced off before it had stored anything, and how
// many of them.
const (
	resumePause = 200 * time.Millisecond
	maxResumes  = 5
)

// ErrFenced reports that another process publishes under this source's name.
// Going on would interleave the two, so the only right thing is to stop.
var ErrFenced = errors.New("fenced off")

// FencedError says who published. It is [ErrFenced].
type FencedError struct {
	Instance string // of the publisher
	Subject  string // of its newest message, as it is stored
	Sequence uint64
	Time     time.Time
}

// Error names the instance and its newest message.
func (e *FencedError) Error() string {
	return fmt.Sprintf("%s by instance %s, which stored %s (sequence %d) at %s",
		ErrFenced, e.Instance, e.Subject, e.Sequence, e.Time.Format(time.RFC3339))
}

// Unwrap returns [ErrFenced].
func (*FencedError) Unwrap() error { return ErrFenced }

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

// Observer learns what happens, for metrics and readiness.
type Observer interface {
	// Stored reports messages stored by one publish that took d.
	Stored(messages int, d time.Duration)
	// Waiting reports why nothing can be published; nil that it goes on.
	Waiting(err error)
	// Fenced reports that another process took the place.
	Fenced()
}

// Run calls session with a [Publisher] and with what the source published last,
// nil if the stream holds nothing of it. It waits for the bus to answer, and
// returns an error only when session does, ctx ends or the bus refuses for good.
//
// A process that was killed can leave a publish under way that is stored only
// after its successor has looked up the last message. The successor is then
// fenced off by its own predecessor. So Run starts session again, a few times, if
// it ends with ErrFenced before it has stored anything; then the other is a living
// competitor, and Run returns the error.
func Run(ctx context.Context, fence Fence, log *slog.Logger, observe Observer, session func(p *Publisher, last *bus.Stored) error) error {
	for resumes := 0; ; resumes++ {
		p := New(fence, log, observe)
		last, err := p.Resume(ctx)
		if err != nil {
			return err
		}
		err = session(p, last)
		if !errors.Is(err, ErrFenced) || p.storedAny || resumes == maxResumes {
			return err
		}
		if err := retry.Sleep(ctx, resumePause); err != nil {
			return err
		}
	}
}

// Publisher publishes one source's messages. It is not safe for concurrent use.
type Publisher struct {
	fence     Fence
	log       *slog.Logger
	observe   Observer
	instance  string
	last      string // id of the newest message known to be stored, if any
	storedAny bool
}

// New returns a Publisher that publishes through fence. Call Resume first.
func New(fence Fence, log *slog.Logger, observe Observer) *Publisher {
	return &Publisher{fence: fence, log: log, observe: observe, instance: newInstance()}
}

func newInstance() string {
	var word [8]byte
	rand.Read(word[:]) // never fails: crypto/rand aborts the program instead
	return hex.EncodeToString(word[:])
}

// Resume looks up the source's last stored message, nil if there is none, and
// expects the next publish behind it. It waits for the bus to answer and returns
// an error only when ctx ends or the bus refuses for good.
func (p *Publisher) Resume(ctx context.Context) (*bus.Stored, error) {
	last, err := p.lookup(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking up the checkpoint: %w", err)
	}
	if last != nil {
		p.last = last.Header.Get(proto.HeaderEventID)
	}
	return last, nil
}

// Publish stores msgs in order and returns when all are stored. Each must carry
// [proto.HeaderEventID]. It waits out an absent bus; it returns an error only
// when ctx ends, another process took the place (ErrFenced) or the bus refuses
// for good. msgs may not be used again.
func (p *Publisher) Publish(ctx context.Context, msgs []*nats.Msg) error {
	instance := []string{p.instance}
	for _, m := range msgs {
		m.Header[proto.HeaderInstance] = instance
	}
	if len(msgs) >= batchFrom {
		return p.store(ctx, msgs)
	}
	return p.storeEach(ctx, msgs)
}

func (p *Publisher) storeEach(ctx context.Context, msgs []*nats.Msg) error {
	for i := range msgs {
		if err := p.store(ctx, msgs[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// store stores msgs as one unit, or as several if one is too large, or one by one
// if the server accepts no batch: a client that holds all its places for batches
// delays publishing, and does not stop it.
func (p *Publisher) store(ctx context.Context, msgs []*nats.Msg) error {
	err := retry.Do(ctx, p.backoff("publishing is delayed"), func(ctx context.Context) error {
		return p.attempt(ctx, msgs)
	})
	half := len(msgs) / 2
	switch {
	case len(msgs) == 1:
		return err
	case errors.Is(err, bus.ErrBatchRefused):
		p.log.Warn("publishing messages one by one", "messages", len(msgs), "err", err)
		return p.storeEach(ctx, msgs)
	case !errors.Is(err, bus.ErrTooLarge):
		return err
	}
	if err := p.store(ctx, msgs[:half]); err != nil {
		return err
	}
	return p.store(ctx, msgs[half:])
}

// attempt publishes msgs once. Its error is permanent unless they may be published
// again.
func (p *Publisher) attempt(ctx context.Context, msgs []*nats.Msg) error {
	newest := msgs[len(msgs)-1].Header.Get(proto.HeaderEventID)
	start := time.Now()
	err := p.fence.Publish(ctx, msgs)
	switch {
	case err == nil:
		p.stored(msgs, newest, time.Since(start))
		return nil
	case bus.Permanent(err), errors.Is(err, bus.ErrBatchRefused) && len(msgs) > 1:
		return retry.Permanent(fmt.Errorf("publishing %d messages: %w", len(msgs), err))
	case !errors.Is(err, bus.ErrMaybeStored) && !errors.Is(err, bus.ErrFenced):
		return err
	}
	// Both can mean that an earlier attempt of ours came through.
	last, lookupErr := p.lookup(ctx)
	switch {
	case lookupErr != nil:
		return retry.Permanent(fmt.Errorf("finding out what was stored: %w", lookupErr))
	case p.isOurs(last, newest):
		p.stored(msgs, newest, time.Since(start))
		return nil
	case !p.isLast(last):
		other := &FencedError{
			Instance: proto.SourceInstance(last.Header), Subject: last.Subject, Sequence: last.Sequence, Time: last.Time,
		}
		if other.Instance != p.instance {
			p.observe.Fenced()
		}
		return retry.Permanent(other)
	case errors.Is(err, bus.ErrMaybeStored):
		// nats-server does not tell publishers that it could not write.
		return fmt.Errorf("%w: the NATS server is there and has not stored it: disk full?", err)
	}
	return err
}

func (p *Publisher) stored(msgs []*nats.Msg, newest string, d time.Duration) {
	p.last, p.storedAny = newest, true
	p.observe.Waiting(nil)
	p.observe.Stored(len(msgs), d)
}

// isOurs reports whether last is the message id as this process published it.
func (p *Publisher) isOurs(last *bus.Stored, id string) bool {
	return last != nil &&
		last.Header.Get(proto.HeaderEventID) == id &&
		proto.SourceInstance(last.Header) == p.instance
}

// isLast reports whether last is what was known to be stored before. Nothing at
// all is that too: retention has removed it, and nobody has published since.
func (p *Publisher) isLast(last *bus.Stored) bool {
	return last == nil || last.Header.Get(proto.HeaderEventID) == p.last
}

// lookup asks for the source's last message until it gets a reply.
func (p *Publisher) lookup(ctx context.Context) (last *bus.Stored, err error) {
	err = p.ask(ctx, "looking up the last stored message is delayed", func(ctx context.Context) (err error) {
		last, err = p.fence.Last(ctx)
		return err
	})
	return last, err
}

// ask asks the bus until it gets a reply. delayed is the log message meanwhile.
func (p *Publisher) ask(ctx context.Context, delayed string, request func(context.Context) error) error {
	err := retry.Do(ctx, p.backoff(delayed), func(ctx context.Context) error {
		err := request(ctx)
		if bus.Permanent(err) {
			return retry.Permanent(err)
		}
		return err
	})
	if err == nil {
		p.observe.Waiting(nil)
	}
	return err
}

// backoff is how attempts are repeated, of which delayed is the log message.
func (p *Publisher) backoff(delayed string) retry.Policy {
	return retry.Policy{Min: minBackoff, Max: maxBackoff, OnRetry: func(err error, wait time.Duration) {
		p.observe.Waiting(err)
		p.log.Warn(delayed, "err", err, "retry_in", wait)
	}}
}
