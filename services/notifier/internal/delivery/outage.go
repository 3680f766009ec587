package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

const (
	// longOutage is after how much time without a chat somebody should know.
	longOutage = 5 * time.Minute
	// probeInterval is how often a broken chat is asked whether it works again.
	probeInterval = time.Minute
	probeTimeout  = 10 * time.Second
	// fallbackInterval is how often the fallback is given what is new.
	fallbackInterval = 2 * time.Second
)

// outage is a time in which the chat accepts nothing.
type outage struct {
	Since   time.Time `json:"since"`
	Cause   string    `json:"cause"`
	Broken  bool      `json:"broken"`  // sends nothing until a probe says that it would
	Told    bool      `json:"told"`    // somebody was told: readiness, the fallback
	Printed uint64    `json:"printed"` // the fallback was given all up to this sequence
	Count   int       `json:"count"`   // alerts that it was given
}

// troubled notes that the chat did not accept a message.
func (d *Delivery) troubled(err error, broken bool) {
	o := d.state.Outage
	if o == nil {
		o = &outage{Since: d.Clock.Now().UTC()}
		d.state.Outage = o
	}
	o.Cause, o.Broken = clip(err.Error(), maxLine), broken
}

// recovered notes that the chat accepts messages.
func (d *Delivery) recovered() {
	o := d.state.Outage
	d.state.Outage = nil
	if o == nil || !o.Told {
		return
	}
	line := fmt.Sprintf("No message could be sent here from %s to %s (%s).",
		o.Since.UTC().Format(time.DateTime), d.Clock.Now().UTC().Format(time.DateTime+" MST"), o.Cause)
	if o.Count > 0 {
		line += fmt.Sprintf(" Meanwhile %s printed to the notifier's standard output.", were(o.Count))
	}
	d.state.Notes.add("%s", line)
}

// long returns the outage if it is one to be told of.
func (d *Delivery) long() *outage {
	o := d.state.Outage
	if o == nil {
		return nil
	}
	now := d.Clock.Now()
	if o.Broken || o.Told || now.Sub(o.Since) > longOutage || d.slots.notBefore.Sub(now) > longOutage {
		return o
	}
	return nil
}

// report tells whether the chat can be delivered to.
func (d *Delivery) report() {
	o := d.long()
	if o != nil {
		o.Told = true
	}
	switch {
	case d.stored != nil:
		d.Ready(fmt.Errorf("keeping the plan: %w", d.stored))
	case o != nil:
		d.Ready(fmt.Errorf("no message was accepted since %s: %s", o.Since.UTC().Format(time.RFC3339), o.Cause))
	default:
		d.Ready(nil)
	}
}

// await waits until the plan may be sent: for its slot, and for a chat that is
// broken to say that it works again.
func (d *Delivery) await(ctx context.Context) error {
	for {
		if err := d.look(ctx); err != nil {
			return err
		}
		d.probeIfDue(ctx)
		d.report()
		now, at := d.Clock.Now(), d.slots.next(0)
		o := d.long()
		if o != nil && o.Broken {
			at = later(at, d.lastProbe.Add(probeInterval))
		} else if !at.After(now) {
			return nil
		}
		until := now.Add(lookInterval)
		if o != nil && d.Fallback != nil {
			if err := d.fallBack(ctx, o); err != nil {
				return err
			}
			until = now.Add(fallbackInterval)
		}
		if at.Before(until) {
			until = at
		}
		if err := d.sleep(ctx, until); err != nil {
			return err
		}
	}
}

// probe asks the chat whether it would take a message.
func (d *Delivery) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := d.Chat.Probe(ctx, d.state.Place)
	d.lastProbe = d.Clock.Now()
	var e *sink.Error
	switch {
	case err == nil:
		if o := d.state.Outage; o != nil {
			o.Broken = false
		}
	case errors.As(err, &e) && e.Class == sink.Broken:
		d.troubled(e, true)
		d.Log.Error("the chat is broken", "err", e)
	default:
		d.Log.Warn("asking whether the chat works", "err", err)
	}
}

// probeIfDue probes a chat that is broken, every minute. Without a plan a chat
// that works again has recovered; with one, it has when it accepts that.
func (d *Delivery) probeIfDue(ctx context.Context) {
	o := d.state.Outage
	if o == nil || !o.Broken || d.Clock.Now().Before(d.lastProbe.Add(probeInterval)) {
		return
	}
	d.probe(ctx)
	if !o.Broken && d.state.Plan == nil {
		d.recovered()
	}
	d.report()
}

// fallBack gives the fallback what waits and what it was not given yet. It reads
// the stream, not the lanes: alerts are neither fetched nor acknowledged by that.
func (d *Delivery) fallBack(ctx context.Context, o *outage) error {
	from := o.Printed + 1
	if o.Printed == 0 {
		from = d.unsettled()
	}
	before := o.Count
	for m, err := range d.Conn.History(ctx, proto.StreamAlerts, allAlerts, bus.Start{Sequence: from}) {
		if err != nil {
			return d.absent(ctx, err)
		}
		o.Printed = m.Sequence
		e, err := decodeAlert(m.Subject, m.Data)
		if err != nil {
			continue // dead letters are told of on their own
		}
		_, accepted := d.settled.accepted[alertKey(e, m.Subject, m.Sequence, m.Time)]
		if accepted || e.Severity < d.Least || d.Silenced(e, m.Data) != "" {
			continue
		}
		d.Fallback(e, m.Data)
		o.Count++
	}
	if o.Count == before {
		return nil
	}
	// So that the next process does not print them again.
	ctx, done := outlast(ctx, Grace)
	defer done()
	return d.put(ctx)
}
