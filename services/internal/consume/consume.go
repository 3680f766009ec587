// Package consume is the loop in which every service works through a durable.
//
//	durable ─▶ fetch ─▶ decode ─▶ severity ─▶ silence ─▶ handler ─▶ ack
//	              ▲        │ unreadable         refused │    │ failed
//	              │        └──▶ SECURITY_DEAD ◀─────────┘    └─▶ wait, again
//	              └── what is not finished at the end goes back at once
//
// # Acknowledgement
//
// A message is acknowledged only after the handler has returned nil for it, after
// a copy of it is stored as a dead letter, or after it was filtered out. Until then
// the loop renews the message's AckWait, so that no other process gets it, and
// fetches nothing else. The handler's error decides what happens next:
//
//   - nil: the work is done and durable; the message is acknowledged. That
//     acknowledgement can get lost, and the message then comes again with MayRepeat.
//   - [Refused]: it will never be done; the message becomes a dead letter.
//   - [Fatal]: the loop ends with that error; the message is handed back.
//   - any other error: the handler is called again after a backoff, at the earliest
//     after [Later]'s delay, without limit. [Ambiguous] says that the failed attempt
//     may have taken effect: the next one has MayRepeat.
//
// In the single form ([Each]) this concerns one message. In the batch form
// ([Batches]) it concerns all of the batch: the handler must take all or nothing. A
// refused batch is offered again in halves, so that only the messages that are
// refused by themselves become dead letters. The last acknowledgement of a batch is
// confirmed by the server.
//
// A dead letter that cannot be stored leaves its message unacknowledged; the server
// delivers it again after AckWait.
package consume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// Options say what to consume and how.
type Options struct {
	// Conn is the connection to the bus, in the role that has the durable.
	Conn *bus.Conn
	// Durable is what to consume.
	Durable proto.Consumer
	// Fetch is how many messages are fetched at once, and so the largest batch; 0
	// means 100.
	Fetch int
	// Raw leaves messages undecoded: they have no Event and are not filtered.
	Raw bool
	// MinSeverity is the lowest severity that is handled. Messages below it are
	// acknowledged and counted.
	MinSeverity proto.Severity
	// Silenced, if set, names the silence that an event falls under, "" for none.
	// A silenced message is acknowledged and counted.
	Silenced func(e *proto.Event, payload []byte) (by string)
	// Ready, if set, is called with nil when messages can be handled, and with the
	// reason when they cannot.
	Ready func(error)
	// Log is where the loop logs.
	Log *slog.Logger
	// Metrics is where the loop registers its counters, with the labels stream and durable.
	Metrics prometheus.Registerer
}

// Message is a message to handle. The loop acknowledges it; a handler must not.
type Message struct {
	*bus.Msg
	// Event is the decoded message, nil where Options.Raw is set; see [Decode].
	Event *proto.Event
	// Payload is Event as JSON.
	Payload []byte
	// MayRepeat says that the message may have been handled before.
	MayRepeat bool
}

// Each binds to the durable and passes each message to handle, in order, until ctx
// ends; it then returns nil. It waits out an absent bus, and returns an error if the
// bus refuses for good or handle returns a [Fatal] one. The package comment says
// when a message is acknowledged.
func Each(ctx context.Context, o Options, handle func(context.Context, Message) error) error {
	return run(ctx, o, func(ctx context.Context, c *Consumer, batch []Message) error {
		for i := range batch {
			one := batch[i : i+1]
			err := c.attempt(ctx, one, func(ctx context.Context) error { return handle(ctx, one[0]) })
			if err := c.settle(ctx, one, err, c.Acknowledge); err != nil {
				return err
			}
		}
		return nil
	})
}

// Batches is [Each] for a handler that takes the messages of a fetch together: all
// of them or, when it returns an error, none. A batch is never empty.
func Batches(ctx context.Context, o Options, handle func(context.Context, []Message) error) error {
	return run(ctx, o, func(ctx context.Context, c *Consumer, batch []Message) error {
		return c.batch(ctx, batch, handle)
	})
}

// run fetches, filters and works until ctx ends.
func run(ctx context.Context, o Options, work func(context.Context, *Consumer, []Message) error) error {
	c, err := Bind(ctx, o)
	for err == nil {
		err = c.round(ctx, work)
	}
	var fatal *fatalError
	if ctx.Err() != nil && !errors.As(err, &fatal) {
		return nil
	}
	return fmt.Errorf("consuming %s: %w", o.Durable.Durable, err)
}

// refusedError, fatalError and ambiguousError are the classes of a handler's errors.
type (
	refusedError   struct{ error }
	fatalError     struct{ error }
	ambiguousError struct{ error }
)

func (e *refusedError) Unwrap() error   { return e.error }
func (e *fatalError) Unwrap() error     { return e.error }
func (e *ambiguousError) Unwrap() error { return e.error }

// Refused marks a handler's error after which the message will never be taken.
func Refused(err error) error { return &refusedError{err} }

// Fatal marks a handler's error that ends the loop.
func Fatal(err error) error { return &fatalError{err} }

// Ambiguous marks a handler's error after which the message may have been taken.
func Ambiguous(err error) error { return &ambiguousError{err} }

// Later marks a handler's error after which the next attempt must wait for d.
func Later(err error, d time.Duration) error { return retry.After(err, d) }

// Decode reads the event that was stored under subject. Its host and source are
// the subject's and its severity is at least that: the server has checked who may
// publish there, and the subject decided which filters the message passed, so a
// payload that says otherwise is neither believed nor a way around them. One that
// names another host or source has the tag [proto.TagNameMismatch]. payload is the
// event as JSON, encoded anew if anything had to be put right.
func Decode(subject string, data []byte) (e *proto.Event, payload []byte, err error) {
	e = new(proto.Event)
	if err := json.Unmarshal(data, e); err != nil {
		return nil, nil, fmt.Errorf("decoding the event: %w", err)
	}
	s, err := proto.ParseSubject(subject)
	if err != nil {
		return e, data, nil // a dead letter's, for instance
	}
	raised := s.Severity > e.Severity
	if raised {
		e.SetSeverity(s.Severity)
	}
	mismatch := proto.Slug(e.Host) != s.Host || proto.Slug(e.Source) != s.Source
	if mismatch {
		e.Host, e.Source, e.Tags = s.Host, s.Source, append(e.Tags, proto.TagNameMismatch)
	}
	// A record of class audit has more fields than an event.
	if s.Class != proto.ClassAudit && (raised || mismatch) {
		return e, e.AppendJSON(nil), nil
	}
	return e, data, nil
}
