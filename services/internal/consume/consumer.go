package consume

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

const (
	defaultFetch = 100

	// Waits between attempts to handle a message.
	minBackoff = 200 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// Consumer is a durable with what a service does about its messages, for a service
// whose loop is neither [Each] nor [Batches]. Its
// methods are safe for concurrent use.
type Consumer struct {
	*bus.Consumer
	o       Options
	metrics *metrics
	held    held
}

// Bind returns the durable as soon as the bus answers. It returns an error if the
// bus refuses for good, and the cause of ctx's end.
func Bind(ctx context.Context, o Options) (*Consumer, error) {
	if o.Fetch == 0 {
		o.Fetch = defaultFetch
	}
	if o.Ready == nil {
		o.Ready = func(error) {}
	}
	o.Log = o.Log.With("stream", o.Durable.Stream, "durable", o.Durable.Durable)
	consumer, err := o.Conn.AwaitBind(ctx, o.Durable.Stream, o.Durable.Durable)
	if err != nil {
		return nil, err
	}
	o.Ready(nil)
	return &Consumer{Consumer: consumer, o: o, metrics: newMetrics(o.Metrics, o.Durable)}, nil
}

// Acknowledge acknowledges messages without waiting for the server. One whose
// acknowledgement gets lost is delivered again.
func (c *Consumer) Acknowledge(msgs ...*bus.Msg) {
	for _, m := range msgs {
		if err := m.Ack(); err != nil {
			c.o.Log.Warn("acknowledging is delayed", "err", err, "sequence", m.Sequence)
			return
		}
	}
}

// DeadLetter stores a copy of m with the reason and acknowledges m. If it reports
// false and no error, the copy could not be stored for now, and the server delivers
// m again. An error says that the bus refuses for good.
func (c *Consumer) DeadLetter(ctx context.Context, m *bus.Msg, reason error) (dead bool, err error) {
	err = m.DeadLetter(ctx, reason.Error())
	switch {
	case err == nil:
		c.o.Log.Error("a message became a dead letter", "reason", reason, "subject", m.Subject, "sequence", m.Sequence)
		c.metrics.count(outcomeDead, m.Subject)
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case bus.Permanent(err):
		return false, err
	}
	c.o.Log.Warn("storing a dead letter is delayed", "err", err, "sequence", m.Sequence)
	return false, nil
}

// HandBack makes messages available to the next fetch at once, which otherwise had
// to wait until their AckWait has passed.
func (c *Consumer) HandBack(msgs ...*bus.Msg) {
	for _, m := range msgs {
		if err := m.Nak(0); err != nil {
			c.o.Log.Warn("handing messages back", "err", err, "sequence", m.Sequence)
			return
		}
	}
}

// round fetches messages and works on those that are not filtered out.
func (c *Consumer) round(ctx context.Context, work func(context.Context, *Consumer, []Message) error) error {
	msgs, err := c.Fetch(ctx, c.o.Fetch)
	if err != nil {
		return err
	}
	stop := c.held.hold(msgs, c.o.Durable.AckWait/renewals)
	defer func() { c.HandBack(stop()...) }()
	var batch []Message
	for _, m := range msgs {
		accepted, ok, err := c.accept(ctx, m)
		if err != nil {
			return err
		}
		if ok {
			batch = append(batch, accepted)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return work(ctx, c, batch)
}

// accept decodes m and reports whether it is to be handled. One that is not has
// been dealt with.
func (c *Consumer) accept(ctx context.Context, m *bus.Msg) (accepted Message, ok bool, err error) {
	accepted = Message{Msg: m, Payload: m.Data, MayRepeat: m.Deliveries > 1}
	if c.o.Raw {
		return accepted, true, nil
	}
	if accepted.Event, accepted.Payload, err = Decode(m.Subject, m.Data); err != nil {
		return Message{}, false, c.settle(ctx, []Message{{Msg: m}}, Refused(err), nil)
	}
	var outcome string
	switch {
	case accepted.Event.Severity < c.o.MinSeverity:
		outcome = outcomeBelow
	case c.o.Silenced != nil && c.o.Silenced(accepted.Event, accepted.Payload) != "":
		outcome = outcomeSilenced
	default:
		return accepted, true, nil
	}
	c.metrics.count(outcome, m.Subject)
	c.held.remove(m)
	c.Acknowledge(m)
	return Message{}, false, nil
}

// batch has handle take a batch, in halves if it refuses.
func (c *Consumer) batch(ctx context.Context, batch []Message, handle func(context.Context, []Message) error) error {
	err := c.attempt(ctx, batch, func(ctx context.Context) error { return handle(ctx, batch) })
	if refused := (*refusedError)(nil); errors.As(err, &refused) && len(batch) > 1 {
		for half := range slices.Chunk(batch, (len(batch)+1)/2) {
			if err := c.batch(ctx, half, handle); err != nil {
				return err
			}
		}
		return nil
	}
	return c.settle(ctx, batch, err, func(msgs ...*bus.Msg) {
		last := len(msgs) - 1
		c.Acknowledge(msgs[:last]...)
		// The work is done: that ctx ends changes nothing about it.
		if err := msgs[last].DoubleAck(context.WithoutCancel(ctx)); err != nil {
			c.o.Log.Warn("acknowledging is delayed", "err", err, "sequence", msgs[last].Sequence)
		}
	})
}

// attempt calls handle until it takes the batch, refuses it or ends the loop.
func (c *Consumer) attempt(ctx context.Context, batch []Message, handle func(context.Context) error) error {
	policy := retry.Policy{Min: minBackoff, Max: maxBackoff, OnRetry: func(err error, wait time.Duration) {
		c.metrics.retries.Inc()
		c.o.Ready(err)
		c.o.Log.Warn("handling messages is delayed", "err", err, "sequence", batch[0].Sequence, "messages", len(batch), "retry_in", wait)
	}}
	err := retry.Do(ctx, policy, func(ctx context.Context) error {
		err := handle(ctx)
		var refused *refusedError
		var fatal *fatalError
		var ambiguous *ambiguousError
		switch {
		case errors.As(err, &refused), errors.As(err, &fatal):
			return retry.Permanent(err)
		case errors.As(err, &ambiguous):
			for i := range batch {
				batch[i].MayRepeat = true
			}
		}
		return err
	})
	if err == nil {
		c.o.Ready(nil)
	}
	return err
}

// settle ends what attempt has begun: by acknowledging the batch or, if it was
// refused, with a dead letter.
func (c *Consumer) settle(ctx context.Context, batch []Message, err error, acknowledge func(...*bus.Msg)) error {
	msgs := make([]*bus.Msg, len(batch))
	for i, m := range batch {
		msgs[i] = m.Msg
	}
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		c.held.remove(msgs...)
		_, err := c.DeadLetter(ctx, msgs[0], refused.error)
		return err
	case err != nil:
		return err
	}
	c.held.remove(msgs...)
	c.metrics.handled(msgs)
	acknowledge(msgs...)
	return nil
}

// renewals is how often AckWait is renewed before it would have passed.
const renewals = 3

// held are the messages of a fetch that are not finished.
type held struct {
	mu   sync.Mutex
	msgs []*bus.Msg
}

// hold renews the AckWait of msgs every interval until they are removed or stop is
// called, which returns those that remain.
func (h *held) hold(msgs []*bus.Msg, every time.Duration) (stop func() []*bus.Msg) {
	h.msgs = slices.Clone(msgs)
	ctx, cancel := context.WithCancel(context.Background())
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for retry.Sleep(ctx, every) == nil {
			h.mu.Lock()
			for _, m := range h.msgs {
				if m.InProgress() != nil {
					break // not connected; the messages come again, with MayRepeat
				}
			}
			h.mu.Unlock()
		}
	})
	return func() []*bus.Msg {
		cancel()
		renewing.Wait()
		return h.msgs
	}
}

// remove ends the renewal for finished, which were fetched in the order given.
func (h *held) remove(finished ...*bus.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range finished {
		if i := slices.Index(h.msgs, m); i >= 0 {
			h.msgs = slices.Delete(h.msgs, i, i+1)
		}
	}
}
