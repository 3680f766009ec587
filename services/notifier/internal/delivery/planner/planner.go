// Package planner decides what the next message to a chat is about, and when it may go:
// with neither a clock nor a bus, by what waits, by the attempts of the last minute and by the state.
//
//	pending queues ─┐
//	requests ───────┼─▶ Next: what, and not before when ─▶ Plan: a message, stored and sent by others
//	notes ──────────┤
//	rate limiter ───┘
package planner

import (
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// maxSingles is how many urgent alerts that came together get a message of their
// own each, while the rate allows for plenty: more would be a burst of sounds for
// what one message can say.
const maxSingles = 3

// maxLevels bounds how many forms of a message are stored, in case one is refused.
const maxLevels = 8

// Job is what a message can be about.
type Job uint8

// The jobs.
const (
	Nothing Job = iota
	Alerts
	Request
	Notices
)

// Planner plans the messages of one chat. It is not safe for concurrent use.
type Planner struct {
	// Queues are the alerts that wait, by [Lane].
	Queues  [2]*Queue
	Limiter *Limiter
	// State is where Passed and Notes are read and updated; Next and the plans
	// touch nothing else in it.
	State *store.State
	// Render writes a message in one of its forms, as [sink.Chat] does.
	Render func(b sink.Batch, level int) (sink.Message, bool)
	// Quiet reports whether messages are to make no sound at that time.
	Quiet func(time.Time) bool

	requestPassed int // messages in a row that a request has waited for
}

// Next says what the next message is about if that many requests wait, and when it
// may go: at the rate's limit if it is about a few urgent alerts, or a few critical
// ones among many others, or was requested; and at an even pace otherwise. hurry
// says that it must not wait until more is fetched: it is about critical alerts
// among many others.
func (p *Planner) Next(requests int) (job Job, at time.Time, hurry bool) {
	u, r := p.Queues[Urgent], p.Queues[Routine]
	soon, calm := p.Limiter.Next(0), p.Limiter.Calm()
	starved := p.requestPassed+1 >= max(2, p.Limiter.limits.PerMinute)
	hurry = u.Hurries() && !u.few()
	switch {
	case requests > 0 && starved:
		return Request, soon, false
	case !u.Empty() && (u.few() || u.Hurries()):
		return Alerts, soon, hurry
	case requests > 0:
		return Request, soon, false
	case !u.Empty() || !r.Empty():
		return Alerts, calm, hurry
	case p.State.Notes.Due():
		return Notices, calm, false
	default:
		return Nothing, time.Time{}, false
	}
}

// PlanRequest plans the message that a request asks for.
func (p *Planner) PlanRequest(key store.Key, b sink.Batch) *store.Plan {
	p.requestPassed = 0
	plan := p.plan(b)
	plan.Keys = store.Keys{key}
	for _, a := range b.Alerts {
		plan.Alerts += a.Count
		digest.Tally(&plan.Severities, a.Event.Severity, a.Count)
	}
	if b.Digest != nil {
		plan.Alerts, plan.Severities = b.Digest.Total, b.Digest.Severities
	}
	return plan
}

// PlanNotices plans a message about the delivery itself.
func (p *Planner) PlanNotices(now time.Time) *store.Plan {
	return p.plan(sink.Batch{Kind: proto.DeliveryNotice, Silent: p.Quiet(now)})
}

// PlanAlerts removes alerts from the queues and plans the message about them. It
// returns them too: they are the plan's until it is accepted or given up. requests
// is how many requests wait meanwhile.
func (p *Planner) PlanAlerts(now time.Time, requests int) (*store.Plan, []Member) {
	if requests > 0 {
		p.requestPassed++
	}
	b, members := p.choose(now)
	critical := false
	for i, m := range members {
		if i == 0 || m.Stored.Before(b.First) {
			b.First = m.Stored
		}
		if m.Stored.After(b.Last) {
			b.Last = m.Stored
		}
		critical = critical || m.Severity == proto.SeverityCritical
	}
	b.Silent = !critical && p.Quiet(now)
	plan := p.plan(b)
	sequences := make(map[string][]uint64)
	for _, m := range members {
		plan.Keys = append(plan.Keys, m.EventKey)
		sequences[m.Msg.Stream] = append(sequences[m.Msg.Stream], m.Msg.Sequence)
		if !m.Repeat {
			plan.Alerts++
			digest.Tally(&plan.Severities, m.Severity, 1)
		}
	}
	plan.Ranges = store.RangesOf(sequences)
	return plan, members
}

// choose removes alerts from the queues. Few are shown each by itself, the urgent ones
// before the routine ones; many are counted, of both lanes in one, but for a few
// critical ones among them, which go before.
func (p *Planner) choose(now time.Time) (sink.Batch, []Member) {
	u, r := p.Queues[Urgent], p.Queues[Routine]
	groups := len(u.groups)
	perMinute := p.Limiter.limits.PerMinute
	turn := !r.Empty() && p.State.Passed+1 >= perMinute
	passed := p.State.Passed + 1
	p.State.Passed = 0
	defer func() {
		if !r.Empty() {
			p.State.Passed = passed
		}
	}()

	single := groups <= maxSingles && p.Limiter.Free(now) >= groups+perMinute/2
	switch {
	case u.few() && r.few() && groups+len(r.groups) <= maxCards && (turn || u.Empty() || !single):
		return cards(append(u.cards(anyKey), r.cards(anyKey)...)), append(u.Drain(), r.Drain()...)
	case turn || u.Empty() || !u.few() && !u.Hurries():
		members := append(u.Drain(), r.Drain()...)
		folded := digest.Fold(described(members))
		return sink.Batch{Kind: proto.DeliveryDigest, Digest: &folded}, members
	case !u.few():
		return cards(u.cards(isCritical)), u.remove(isCritical)
	case single:
		first := u.cards(anyKey)[0]
		which := digest.Describe(first.Event).Key
		return cards([]sink.Alert{first}), u.remove(func(k digest.Key) bool { return k == which })
	default:
		return cards(u.cards(anyKey)), u.Drain()
	}
}

func cards(alerts []sink.Alert) sink.Batch {
	return sink.Batch{Kind: proto.DeliveryCards, Alerts: alerts}
}

// described are the alerts, each once.
func described(members []Member) []digest.Alert {
	alerts := make([]digest.Alert, 0, len(members))
	for _, m := range members {
		if !m.Repeat {
			alerts = append(alerts, m.Alert)
		}
	}
	return alerts
}

// plan makes the message about a batch, with the notes that wait. It has no forms
// if the chat has none for it.
func (p *Planner) plan(b sink.Batch) *store.Plan {
	b.Notices = append(slices.Clone(b.Notices), p.State.Notes.Text()...)
	p.State.Notes = store.Notes{}
	return &store.Plan{Kind: b.Kind, Messages: p.render(b), Oldest: b.First}
}

// render writes a message in all its forms at once: after a crash there is
// nothing left to write it from.
func (p *Planner) render(b sink.Batch) [][]byte {
	var messages [][]byte
	size := 0
	for level := range maxLevels {
		m, ok := p.Render(b, level)
		if !ok {
			break
		}
		messages = append(messages, m)
		size += len(m)
	}
	for size > store.MaxMessages && len(messages) > 1 {
		size -= len(messages[0])
		messages = messages[1:]
	}
	return messages
}
