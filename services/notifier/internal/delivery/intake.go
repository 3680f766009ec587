package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// take puts on the lane's pile what has to be delivered, and is done with the
// rest at once.
func (d *Delivery) take(ctx context.Context, l *lane, msgs []*bus.Msg) error {
	dead := d.state.Notes.Dead
	for _, m := range msgs {
		if err := d.takeOne(ctx, l, m); err != nil {
			return err
		}
	}
	if d.state.Notes.Dead != dead {
		return d.put(ctx) // that the owner is told, whatever happens
	}
	return nil
}

func (d *Delivery) takeOne(ctx context.Context, l *lane, m *bus.Msg) error {
	d.seen.add(m.Sequence)
	e, err := decodeAlert(m.Subject, m.Data)
	if err != nil {
		d.Log.Error("an alert cannot be decoded", "err", err, "subject", m.Subject, "sequence", m.Sequence)
		if dead, err := d.bury(ctx, m, err.Error()); !dead {
			return err
		}
		d.state.Notes.Dead++
		return nil
	}
	k := alertKey(e, m.Subject, m.Sequence, m.Stored)
	if _, ok := d.settled.refused[k]; ok {
		_, err := d.bury(ctx, m, d.state.RefusedReason)
		return err
	}
	if _, ok := d.settled.accepted[k]; ok {
		ahead, err := d.copied(ctx, k, m.Sequence)
		if err != nil {
			return err
		}
		if !ahead {
			d.metrics.repeated.Inc()
		}
		d.acknowledge(m)
		return nil
	}
	if e.Severity < d.Least {
		d.metrics.below.Inc()
		d.acknowledge(m)
		return nil
	}
	if by := d.Silenced(e, m.Data); by != "" {
		d.metrics.silenced.Inc()
		d.state.Notes.silenced(by)
		d.acknowledge(m)
		return nil
	}
	l.pile.add(l.which, m, k, e)
	return nil
}

// decodeAlert reads an alert. Its severity is at least that of its subject, which
// decided the lane and is the server's word: a payload that says less must not
// be a way to hide.
func decodeAlert(subject string, payload []byte) (*proto.Event, error) {
	e := new(proto.Event)
	if err := json.Unmarshal(payload, e); err != nil {
		return nil, fmt.Errorf("decoding the event: %w", err)
	}
	if s, err := proto.ParseSubject(subject); err == nil && s.Severity > e.Severity {
		e.SetSeverity(s.Severity)
	}
	return e, nil
}

// alertKey tells the alert by its id; one without any by where it is stored.
func alertKey(e *proto.Event, subject string, sequence uint64, stored time.Time) key {
	if e.ID == "" {
		return keyOf(subject, fmt.Sprintf("%d %d", sequence, stored.UnixNano()))
	}
	return keyOf(subject, e.ID)
}

// bury copies m to the dead letters and acknowledges it. If it is not dead, and
// there is no error, the server delivers it again.
func (d *Delivery) bury(ctx context.Context, m *bus.Msg, reason string) (dead bool, err error) {
	if err := m.DeadLetter(ctx, reason); err != nil {
		d.Log.Warn("storing a dead letter is delayed", "err", err, "sequence", m.Sequence)
		return false, d.absent(ctx, err)
	}
	d.metrics.dead.Inc()
	return true, nil
}

func (d *Delivery) acknowledge(m *bus.Msg) {
	if err := m.Ack(); err != nil {
		// It comes again, and is as it is now.
		d.Log.Warn("acknowledging is delayed", "err", err, "sequence", m.Sequence)
	}
}
