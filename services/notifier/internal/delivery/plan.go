package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// maxSingles is how many urgent alerts that came together get a message of
// their own each, while there are slots in plenty: more would be a burst of
// sounds for what one message can say.
const maxSingles = 3

// maxLevels bounds how many forms of a message are kept, in case one is refused.
const maxLevels = 8

// lookInterval is how often the progress of the lanes is looked at.
const lookInterval = 15 * time.Second

// job is what a message can be about.
type job uint8

const (
	nothing job = iota
	someAlerts
	someRequest
	someNotices
)

// choose says what the next message is about, and when it may go: as soon as
// the chat takes one if it is a few urgent alerts, or a few critical ones among
// many others, or was asked for; and in its turn of an even pace otherwise.
func (d *Delivery) choose() (job, time.Time) {
	u, r := &d.lanes[urgent].pile, &d.lanes[routine].pile
	soon, calm := d.slots.next(0), d.slots.calm()
	starved := d.requestPassed+1 >= max(2, d.slots.limits.PerMinute)
	switch {
	case len(d.waiting) > 0 && starved:
		return someRequest, soon
	case !u.empty() && (u.few() || u.pressing()):
		return someAlerts, soon
	case len(d.waiting) > 0:
		return someRequest, soon
	case !u.empty() || !r.empty():
		return someAlerts, calm
	case d.state.Notes.due():
		return someNotices, calm
	default:
		return nothing, time.Time{}
	}
}

// next waits until there is something to send and a slot for it, and plans it.
func (d *Delivery) next(ctx context.Context) error {
	for {
		d.hearWaiting()
		if err := d.look(ctx); err != nil {
			return err
		}
		d.probeIfDue(ctx)
		if err := d.fillIf(ctx, func(l *lane) bool { return l.pile.empty() }); err != nil {
			return err
		}
		what, at := d.choose()
		hurry := d.lanes[urgent].pile.pressing() && !d.lanes[urgent].pile.few()
		if what == someAlerts && !hurry && !at.After(d.Clock.Now()) {
			if err := d.fillIf(ctx, func(l *lane) bool { return !l.pile.empty() }); err != nil {
				return err
			}
			// What was a few may have become a storm, which can wait.
			what, at = d.choose()
		}
		if what != nothing && !at.After(d.Clock.Now()) {
			return d.build(ctx, what)
		}
		if err := d.idle(ctx, what, at); err != nil {
			return err
		}
	}
}

// idle waits until there may be something to do.
func (d *Delivery) idle(ctx context.Context, what job, at time.Time) error {
	now := d.Clock.Now()
	until := now.Add(lookInterval)
	if what != nothing && at.Before(until) {
		until = at
	}
	for _, l := range d.lanes {
		l.ask()
	}
	asked := d.asked
	if len(d.waiting) >= maxRequests {
		asked = nil
	}
	timer, stop := d.Clock.Timer(until.Sub(now))
	defer stop()
	select {
	case f := <-d.fetched:
		f.lane.polling = false
		if f.err != nil {
			return f.err
		}
		return d.take(ctx, f.lane, f.msgs)
	case m := <-d.heard:
		d.hear(m)
		return nil
	case r := <-asked:
		d.waiting = append(d.waiting, r)
		return nil
	case <-timer:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// build makes the plan for a job.
func (d *Delivery) build(ctx context.Context, what job) error {
	switch what {
	case someRequest:
		r := d.waiting[0]
		d.waiting, d.requestPassed = d.waiting[1:], 0
		if _, done := d.settled.accepted[r.key]; done {
			r.done <- answer{}
			return nil
		}
		d.asker = r
		return d.plan(ctx, r.batch, keys{r.key}, nil)
	case someNotices:
		return d.plan(ctx, sink.Batch{Kind: proto.DeliveryNotice, Silent: d.Quiet(d.Clock.Now())}, nil, nil)
	default:
		if len(d.waiting) > 0 {
			d.requestPassed++
		}
		batch, members := d.batch()
		return d.plan(ctx, batch, nil, members)
	}
}

// batch takes alerts off the piles. Few are shown each by itself, the urgent ones
// before the routine ones; many are counted, of both lanes in one, but for a few
// critical ones among them, which go before.
func (d *Delivery) batch() (sink.Batch, []member) {
	u, r := &d.lanes[urgent].pile, &d.lanes[routine].pile
	groups := len(u.groups)
	turn := !r.empty() && d.state.Passed+1 >= d.slots.limits.PerMinute
	passed := d.state.Passed + 1
	d.state.Passed = 0

	single := groups <= maxSingles && d.slots.free(d.Clock.Now()) >= groups+d.slots.limits.PerMinute/2
	var b sink.Batch
	var members []member
	switch {
	case u.few() && r.few() && groups+len(r.groups) <= maxCards && (turn || u.empty() || !single):
		b = sink.Batch{Kind: proto.DeliveryCards, Alerts: append(u.cards(anyKey), r.cards(anyKey)...)}
		members = append(u.takeAll(), r.takeAll()...)
	case turn || u.empty() || !u.few() && !u.pressing():
		members = append(u.takeAll(), r.takeAll()...)
		folded := digest.Fold(described(members))
		b = sink.Batch{Kind: proto.DeliveryDigest, Digest: &folded}
	case !u.few():
		b = sink.Batch{Kind: proto.DeliveryCards, Alerts: u.cards(isCritical)}
		members = u.take(isCritical)
	case single:
		first := u.cards(anyKey)[0]
		which := digest.Describe(first.Event).Key
		b = sink.Batch{Kind: proto.DeliveryCards, Alerts: []sink.Alert{first}}
		members = u.take(func(k digest.Key) bool { return k == which })
	default:
		b = sink.Batch{Kind: proto.DeliveryCards, Alerts: u.cards(anyKey)}
		members = u.takeAll()
	}
	if !r.empty() {
		d.state.Passed = passed
	}
	critical := false
	for i, m := range members {
		if i == 0 || m.stored.Before(b.First) {
			b.First = m.stored
		}
		if m.stored.After(b.Last) {
			b.Last = m.stored
		}
		critical = critical || m.Severity == proto.SeverityCritical
	}
	b.Silent = !critical && d.Quiet(d.Clock.Now())
	return b, members
}

// described are the alerts, each once.
func described(members []member) []digest.Alert {
	alerts := make([]digest.Alert, 0, len(members))
	for _, m := range members {
		if !m.repeat {
			alerts = append(alerts, m.Alert)
		}
	}
	return alerts
}

// plan makes the message about a batch, with what there is to be told beside it.
// From here on the alerts are in hand. The plan is stored with its first attempt.
func (d *Delivery) plan(ctx context.Context, b sink.Batch, requested keys, members []member) error {
	b.Notices = append(slices.Clone(b.Notices), d.state.Notes.lines()...)
	d.state.Notes = notes{}
	p := &plan{Kind: b.Kind, Keys: requested, Messages: d.render(b), Oldest: b.First}
	var sequences []uint64
	for _, m := range members {
		p.Keys = append(p.Keys, m.key)
		if m.msg != nil {
			d.inHand[m.lane] = append(d.inHand[m.lane], m.msg)
			sequences = append(sequences, m.msg.Sequence)
		} else {
			p.Ahead = append(p.Ahead, m.key)
		}
		if !m.repeat {
			p.Alerts++
			digest.Tally(&p.Severities, m.Severity, 1)
		}
	}
	p.Ranges = rangesOf(sequences)
	if members == nil {
		p.count(b)
	}
	d.state.Plan = p
	if len(p.Messages) == 0 {
		return d.giveUp(ctx, "the chat has no form for it")
	}
	return nil
}

// count counts the alerts that were asked for.
func (p *plan) count(b sink.Batch) {
	for _, a := range b.Alerts {
		p.Alerts += a.Count
		digest.Tally(&p.Severities, a.Event.Severity, a.Count)
	}
	if b.Digest != nil {
		p.Alerts, p.Severities = b.Digest.Total, b.Digest.Severities
	}
}

// render writes a message in all its forms at once: after a crash there is
// nothing left to write it from.
func (d *Delivery) render(b sink.Batch) [][]byte {
	var messages [][]byte
	size := 0
	for level := range maxLevels {
		m, ok := d.Chat.Render(b, level)
		if !ok {
			break
		}
		messages = append(messages, m)
		size += len(m)
	}
	for size > maxMessages && len(messages) > 1 {
		size -= len(messages[0])
		messages = messages[1:]
	}
	return messages
}
