package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Grace is how long a delivery that is told to stop waits for the answer to a
// message that it is sending, and for that answer to be stored. Without, each
// stop while a message is under way would lead to one that may repeat it.
const Grace = 6 * time.Second

// Waits after an attempt that was not accepted.
const (
	minBackoff    = time.Second
	maxBackoff    = time.Minute
	maxRetryAfter = 24 * time.Hour // of what a server asks for
)

// deliver sends the plan until it is accepted or given up.
func (d *Delivery) deliver(ctx context.Context) error {
	for d.state.Plan != nil {
		if err := d.await(ctx); err != nil {
			return err
		}
		if err := d.attempt(ctx); err != nil {
			return err
		}
	}
	return nil
}

// attempt sends the plan once. Before that, it stores that it does.
func (d *Delivery) attempt(ctx context.Context) error {
	p := d.state.Plan
	p.Attempts++
	p.UnderWay = true
	d.slots.begin(d.Clock.Now())
	if err := d.put(ctx); err != nil {
		return err
	}
	d.at("attempt stored")
	ctx, done := outlast(ctx, Grace)
	defer done()
	receipt, err := d.Chat.Send(ctx, p.Messages[p.Level], d.state.Place, p.MayRepeat)
	d.slots.end(d.Clock.Now())
	d.at("sent")
	if err != nil {
		return d.failed(ctx, err)
	}
	d.metrics.attempts.WithLabelValues("accepted").Inc()
	return d.accept(ctx, receipt)
}

// outlast returns a context that ends d after ctx does.
func outlast(ctx context.Context, d time.Duration) (context.Context, func()) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(d, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(lasting, func() { t.Stop() })
	})
	return lasting, func() {
		stop()
		cancel(nil)
	}
}

// accept stores that the plan was accepted, and is done with it.
func (d *Delivery) accept(ctx context.Context, r sink.Receipt) error {
	p := d.state.Plan
	now := d.Clock.Now()
	d.state.Unrecorded = &accepted{
		Delivery: proto.Delivery{
			Time:       now.UTC(),
			Sink:       d.name,
			Chat:       r.Chat,
			Kind:       p.Kind,
			MessageID:  r.MessageID,
			Attempts:   p.Attempts,
			MayRepeat:  p.MayRepeat,
			Alerts:     p.Alerts,
			Severities: p.Severities,
		},
		Ranges: p.Ranges,
	}
	d.state.Settled = append(d.state.Settled, p.Keys...)
	d.sentAhead(p.Ahead, d.state.Unrecorded.Delivery)
	d.state.Plan, d.state.Failures = nil, 0
	d.recovered()
	if err := d.put(ctx); err != nil {
		return err
	}
	d.settled = indexOf(&d.state)
	d.at("accepted stored")
	d.metrics.accepted(p, d.inHand, now)
	d.Log.Info("a message was accepted", "kind", p.Kind, "alerts", p.Alerts, "message_id", r.MessageID, "attempts", p.Attempts, "may_repeat", p.MayRepeat)
	d.answer(answer{receipt: r})
	d.report()
	return d.finish(ctx)
}

// failed finds out what a failed attempt means, and stores it.
func (d *Delivery) failed(ctx context.Context, err error) error {
	var e *sink.Error
	if !errors.As(err, &e) {
		if ctx.Err() != nil {
			return context.Cause(ctx) // the attempt stays under way
		}
		e = &sink.Error{Class: sink.Ambiguous, Err: err}
	}
	p := d.state.Plan
	p.UnderWay = false
	d.state.Failures++
	d.metrics.attempts.WithLabelValues(e.Class.String()).Inc()
	d.Log.Warn("a message was not accepted", "err", e, "class", e.Class.String(), "kind", p.Kind, "attempts", p.Attempts, "alerts", p.Alerts)
	now, place := d.Clock.Now(), &d.state.Place
	switch {
	case e.Class == sink.Refused:
		p.Level++
		if p.Level >= len(p.Messages) {
			return d.giveUp(ctx, e.Error())
		}
	case e.Class == sink.Moved && e.MovedTo != "" && e.MovedTo != place.Chat:
		place.Chat = e.MovedTo
		d.state.Notes.add("The chat has a new id, %s: messages go there. Set it in the configuration.", e.MovedTo)
	case e.Class == sink.NoThread && !place.NoThread:
		place.NoThread = true
		d.state.Notes.add("The topic of the chat is gone or closed: messages go to the chat itself. (%v)", e)
	case e.Class == sink.NotSent:
		wait := min(e.RetryAfter, maxRetryAfter)
		if wait <= 0 {
			wait = backoff(d.state.Failures)
		}
		d.slots.wait(now, wait)
		d.troubled(e, false)
	case e.Class == sink.Ambiguous:
		p.MayRepeat = true
		d.slots.wait(now, backoff(d.state.Failures))
		d.troubled(e, false)
	default: // broken, or moved in a circle
		d.lastProbe = now
		d.troubled(e, true)
	}
	d.report()
	return d.put(ctx)
}

// backoff doubles with every failure in a row, and varies.
func backoff(failures int) time.Duration {
	b := minBackoff << min(max(failures-1, 0), 10)
	b = min(b, maxBackoff)
	return b/2 + rand.N(b/2)
}

// giveUp is done with a plan that the chat takes in no form: its alerts become dead
// letters when the server delivers them again, with their payloads.
func (d *Delivery) giveUp(ctx context.Context, reason string) error {
	p := d.state.Plan
	d.Log.Error("the chat refuses a message in every form", "reason", reason, "kind", p.Kind, "alerts", p.Alerts)
	d.state.Plan = nil
	if p.ofAlerts() {
		d.state.Refused = append(d.state.Refused, p.Keys...)
		d.state.RefusedReason = fmt.Sprintf("the chat %s refused it in every form: %s", d.name, reason)
		d.state.Notes.add("%s not accepted by the chat in any form (%s); copies are in %s.", were(p.Alerts), reason, proto.StreamDead)
	}
	if err := d.put(ctx); err != nil {
		return err
	}
	d.settled = indexOf(&d.state)
	d.at("refused stored")
	d.answer(answer{err: fmt.Errorf("the chat refused the message in every form: %s", reason)})
	for which := range d.inHand {
		for _, m := range d.inHand[which] {
			if err := m.Nak(0); err != nil {
				d.Log.Warn("handing refused alerts back", "err", err)
				break // they come again when their time has run out
			}
		}
		d.inHand[which] = nil
	}
	return nil
}

// settle acknowledges what is in hand. Whatever is not, because the bus is away,
// comes again and is recognised.
func (d *Delivery) settle(ctx context.Context) {
	for which, msgs := range d.inHand {
		d.inHand[which] = nil
		if err := acknowledgeAll(ctx, msgs); err != nil {
			d.Log.Warn("acknowledging is delayed", "err", err, "alerts", len(msgs))
		}
	}
}

func acknowledgeAll(ctx context.Context, msgs []*bus.Msg) error {
	for i, m := range msgs {
		var err error
		if i < len(msgs)-1 {
			err = m.Ack()
		} else {
			err = m.DoubleAck(ctx) // once the server knows this one, it knows all
		}
		if err != nil {
			return err
		}
	}
	return nil
}
