// Package notifier delivers alerts to the owner.
//
//	SECURITY_ALERTS ─▶ durable ─▶ fetch ─▶ decode ─▶ severe enough? ─▶ sink ─▶ ack
//	                                         │             └─ no ──────────────▶ ack
//	                                         └─ cannot be decoded ─▶ SECURITY_DEAD ─▶ ack
//
// An alert is acknowledged when the sink has taken it, so one that is not
// delivered is delivered again: after an error, after a restart, after a week.
// What has been delivered may be delivered again too if the process or the
// server dies before the acknowledgement is stored; such a repetition says so.
package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// Role is the identity that the notifier connects as.
const Role = "notifier"

// fetchSize is how many alerts are taken at once. What one fetch brings must be
// delivered within the durable's AckWait (30 s) or be fetched again, which a
// terminal or a pipe does not come near.
const fetchSize = 100

// Waits between attempts to deliver one alert.
const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// Sink is where alerts are delivered.
type Sink interface {
	// Name is the sink's name in logs and metrics.
	Name() string
	// Deliver hands over one alert and returns nil only when it has been taken
	// for good; the alert is acknowledged after that. Any error means that it
	// was not, and Deliver is called again with the same alert. repeated says
	// that it may have been delivered before.
	Deliver(ctx context.Context, e *proto.Event, payload []byte, repeated bool) error
}

// Run delivers alerts until ctx is done. It waits out an absent bus and a
// failing sink; it returns an error if the bus refuses for good.
func Run(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	rt.Ready.Expect("nats", "sink")
	key, err := cfg.NATS.Key()
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{
		URL:     cfg.NATS.URL,
		Key:     key,
		Role:    Role,
		Log:     rt.Log,
		OnState: func(err error) { rt.Ready.Set("nats", err) },
	})
	if err != nil {
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	defer conn.Close()
	consumer, err := bind(ctx, conn, rt.Log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("binding to the alerts: %w", err)
	}
	n := &notifier{
		consumer: consumer,
		sink:     cfg.sink(),
		least:    cfg.Alert.MinSeverity,
		log:      rt.Log,
		ready:    rt.Ready,
		metrics:  newMetrics(rt.Metrics),
	}
	n.ready.Set("sink", nil)
	rt.Log.Info("delivering", "sink", n.sink.Name(), "min_severity", n.least)
	return n.loop(ctx)
}

// bind binds to the durable as soon as the bus answers.
func bind(ctx context.Context, conn *bus.Conn, log *slog.Logger) (*bus.Consumer, error) {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		consumer, err := conn.Bind(ctx, proto.StreamAlerts, proto.DurableNotifierStdout)
		if err == nil || bus.Permanent(err) {
			return consumer, err
		}
		log.Warn("binding to the alerts is delayed", "err", err, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type notifier struct {
	consumer *bus.Consumer
	sink     Sink
	least    proto.Severity
	log      *slog.Logger
	ready    *daemon.Readiness
	metrics  metrics
}

func (n *notifier) loop(ctx context.Context) error {
	for {
		msgs, err := n.consumer.Fetch(ctx, fetchSize)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("fetching alerts: %w", err)
		}
		for i, m := range msgs {
			if err := n.handle(ctx, m); err != nil {
				n.release(msgs[i:])
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
	}
}

// release hands messages back, so that the next notifier does not have to wait
// until their time to be acknowledged has run out.
func (n *notifier) release(msgs []*bus.Msg) {
	for _, m := range msgs {
		if err := m.Nak(0); err != nil {
			n.log.Warn("handing an alert back", "err", err, "sequence", m.Sequence)
			return
		}
	}
}

// handle deals with one message for good: when it returns nil the message has
// been acknowledged.
func (n *notifier) handle(ctx context.Context, m *bus.Msg) error {
	var e proto.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		n.log.Error("an alert cannot be decoded", "err", err, "subject", m.Subject, "sequence", m.Sequence)
		return n.giveUp(ctx, m, err)
	}
	if e.Severity < n.least {
		n.metrics.below.Inc()
	} else if err := n.deliver(ctx, &e, m); err != nil {
		return err
	}
	if err := m.Ack(); err != nil {
		// The alert comes again, marked as a repetition.
		n.log.Warn("acknowledging is delayed", "err", err, "event_id", e.ID)
	}
	return nil
}

// giveUp copies the message to the dead letters and acknowledges it. If that
// fails for now, the server delivers the message again.
func (n *notifier) giveUp(ctx context.Context, m *bus.Msg, reason error) error {
	err := m.DeadLetter(ctx, fmt.Sprintf("decoding the event: %v", reason))
	var permission *bus.PermissionError
	switch {
	case err == nil:
		n.metrics.dead.Inc()
	case errors.As(err, &permission):
		return err
	default:
		n.log.Warn("storing a dead letter is delayed", "err", err, "sequence", m.Sequence)
	}
	return nil
}

// deliver tries until the sink takes the alert or ctx is done.
func (n *notifier) deliver(ctx context.Context, e *proto.Event, m *bus.Msg) error {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := n.sink.Deliver(ctx, e, m.Data, m.Deliveries > 1)
		n.ready.Set("sink", err)
		if err == nil {
			n.metrics.delivered.WithLabelValues(e.Severity.String()).Inc()
			n.metrics.delay.Observe(time.Since(m.Stored).Seconds())
			return nil
		}
		n.metrics.failed.Inc()
		n.log.Warn("delivering is delayed", "err", err, "event_id", e.ID, "retry_in", wait)
		if err := m.InProgress(); err != nil {
			n.log.Warn("asking for more time to deliver", "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
