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
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// fetchSize is how many alerts are taken at once. What one fetch brings must be
// delivered within the durable's AckWait (30 s) or be fetched again, which a
// terminal or a pipe does not come near.
const fetchSize = 100

// Waits between attempts to deliver one alert.
const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// feed delivers every alert by itself to one sink.
type feed struct {
	consumer *bus.Consumer
	sink     sink.Sink
	least    proto.Severity
	silences *silence.Keeper
	log      *slog.Logger
	ready    func(error)
	metrics  metrics
}

func (f *feed) run(ctx context.Context) error {
	f.ready(nil)
	for {
		msgs, err := f.consumer.Fetch(ctx, fetchSize)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("fetching alerts: %w", err)
		}
		for i, m := range msgs {
			if err := f.handle(ctx, m); err != nil {
				f.release(msgs[i:])
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
func (f *feed) release(msgs []*bus.Msg) {
	for _, m := range msgs {
		if err := m.Nak(0); err != nil {
			f.log.Warn("handing an alert back", "err", err, "sequence", m.Sequence)
			return
		}
	}
}

// handle deals with one message for good: when it returns nil the message has
// been acknowledged.
func (f *feed) handle(ctx context.Context, m *bus.Msg) error {
	var e proto.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		f.log.Error("an alert cannot be decoded", "err", err, "subject", m.Subject, "sequence", m.Sequence)
		return f.giveUp(ctx, m, fmt.Errorf("decoding the event: %w", err))
	}
	_, silenced := f.silences.Match(e.Severity, m.Data, time.Now())
	switch {
	case e.Severity < f.least:
		f.metrics.below.Inc()
	case silenced:
		f.metrics.silenced.Inc()
	default:
		err := f.deliver(ctx, &e, m)
		if refused := (*sink.Error)(nil); errors.As(err, &refused) {
			return f.giveUp(ctx, m, err)
		}
		if err != nil {
			return err
		}
	}
	if err := m.Ack(); err != nil {
		// The alert comes again, marked as a repetition.
		f.log.Warn("acknowledging is delayed", "err", err, "event_id", e.ID)
	}
	return nil
}

// giveUp copies the message to the dead letters and acknowledges it. If that
// fails for now, the server delivers the message again.
func (f *feed) giveUp(ctx context.Context, m *bus.Msg, reason error) error {
	err := m.DeadLetter(ctx, reason.Error())
	var permission *bus.PermissionError
	switch {
	case err == nil:
		f.metrics.dead.Inc()
	case errors.As(err, &permission):
		return err
	default:
		f.log.Warn("storing a dead letter is delayed", "err", err, "sequence", m.Sequence)
	}
	return nil
}

// deliver tries until the sink takes the alert or ctx is done. A [*sink.Error]
// says that the sink never will.
func (f *feed) deliver(ctx context.Context, e *proto.Event, m *bus.Msg) error {
	repeated := m.Deliveries > 1
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := f.sink.Deliver(ctx, e, m.Data, repeated)
		f.ready(err)
		if err == nil {
			f.metrics.delivered.WithLabelValues(e.Severity.String()).Inc()
			f.metrics.delay.Observe(time.Since(m.Stored).Seconds())
			return nil
		}
		f.metrics.failed.Inc()
		pause := wait
		if failed := (*sink.Error)(nil); errors.As(err, &failed) {
			if failed.Class == sink.Refused {
				return failed
			}
			repeated = repeated || failed.Class == sink.Ambiguous
			pause = max(pause, failed.RetryAfter)
		}
		f.log.Warn("delivering is delayed", "err", err, "event_id", e.ID, "retry_in", pause)
		if err := f.hold(ctx, m, pause); err != nil {
			return err
		}
	}
}

// hold waits, and keeps the server from delivering m to somebody else meanwhile.
func (f *feed) hold(ctx context.Context, m *bus.Msg, d time.Duration) error {
	const step = 10 * time.Second // well within AckWait
	for end := time.Now().Add(d); ; {
		if err := m.InProgress(); err != nil {
			f.log.Warn("asking for more time to deliver", "err", err)
		}
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		select {
		case <-time.After(min(left, step)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
