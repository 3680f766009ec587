// Package sender sends the plan of one chat and stores what came of it.
//
//	plan ─▶ attempt stored ─▶ Chat.Send ─┬─▶ accepted ───▶ stored ─▶ Finish: ledger, acknowledgements
//	  ▲                                  ├─▶ refused ────▶ the next form, at last given up
//	  │                                  ├─▶ unclear ────▶ the next form but the last, then as broken
//	  │                                  ├─▶ moved ──────▶ another place
//	  └──── stored: again, when ◀────────┼─▶ not sent ───▶ after a time
//	                                     ├─▶ ambiguous ──▶ after a time, marked as a possible repetition
//	                                     └─▶ broken ─────▶ once a probe says that the chat works
//
// The plan is stored again for every attempt, so that after a crash the next process
// knows what may have reached the chat: a plan whose attempt has no known outcome is
// sent again as the same bytes, marked. What a chat has accepted is remembered by
// event id, and acknowledged when the server delivers it again.
package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/clock"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/planner"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Grace is how long a delivery that is being stopped waits for the outcome of a
// message that it is sending, and for that to be stored. Without, each stop while a
// message is under way would lead to one that may repeat it.
const Grace = 6 * time.Second

// Waits after an attempt that was not accepted.
const (
	minBackoff = time.Second
	maxBackoff = time.Minute
)

const (
	// longOutage is after how much time without a chat it is reported.
	longOutage = 5 * time.Minute
	// probeInterval is how often a broken chat is probed.
	probeInterval = time.Minute
	probeTimeout  = 10 * time.Second
)

// Options say what to send where.
type Options struct {
	Chat    sink.Chat
	Store   *store.Store
	Limiter *planner.Limiter
	Clock   clock.Clock
	// Ready is called with the reason when the chat cannot be delivered to, and
	// with nil when it can.
	Ready func(error)
	// Done is called once it is stored that the plan was accepted, with the receipt,
	// or given up, with the reason.
	Done func(sink.Receipt, error)
	// HandBack has the server deliver the alerts of a plan that was given up again.
	HandBack func(...*bus.Msg)
	// At is called between steps, for tests.
	At      func(step string)
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Sender sends the messages of one chat. It is not safe for concurrent use.
type Sender struct {
	o       Options
	metrics metrics
	inHand  []*bus.Msg // what the plan is about
	probed  time.Time
}

// New returns a Sender.
func New(o Options) *Sender { return &Sender{o: o, metrics: newMetrics(o.Metrics)} }

// Hold holds the messages of a plan, to be acknowledged when the plan is accepted.
func (s *Sender) Hold(members []planner.Member) {
	for _, m := range members {
		s.inHand = append(s.inHand, m.Msg)
	}
}

// Release returns the messages that are held, and holds them no longer.
func (s *Sender) Release() []*bus.Msg {
	msgs := s.inHand
	s.inHand = nil
	return msgs
}

// Attempt sends the plan once, after it has stored that it does, and stores what came
// of that. If the plan was accepted it finishes it too. An error means that the
// delivery cannot go on.
func (s *Sender) Attempt(ctx context.Context) error {
	p := s.o.Store.Plan
	p.Attempts++
	p.UnderWay = true
	s.o.Limiter.Begin(s.o.Clock.Now())
	if err := s.o.Store.Put(ctx); err != nil {
		return err
	}
	s.o.At("attempt stored")
	ctx, done := Outlast(ctx)
	defer done()
	receipt, err := s.o.Chat.Send(ctx, p.Messages[p.Level], s.o.Store.Place, p.MayRepeat)
	s.o.Limiter.End(s.o.Clock.Now())
	s.o.At("sent")
	if err != nil {
		return s.failed(ctx, err)
	}
	s.metrics.attempts.WithLabelValues("accepted").Inc()
	if err := s.accept(ctx, receipt); err != nil {
		return err
	}
	return s.Finish(ctx)
}

// Outlast returns a context that ends [Grace] after ctx does.
func Outlast(ctx context.Context) (context.Context, func()) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(Grace, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(lasting, func() { t.Stop() })
	})
	return lasting, func() {
		stop()
		cancel(nil)
	}
}

// accept stores that the plan was accepted.
func (s *Sender) accept(ctx context.Context, r sink.Receipt) error {
	state := s.o.Store
	p := state.Plan
	now := s.o.Clock.Now()
	state.Unrecorded = &store.Accepted{
		Delivery: proto.Delivery{
			Time:       now.UTC(),
			Sink:       s.o.Chat.Name(),
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
	state.Settle(p.Keys)
	if len(p.Early) > 0 {
		state.Early = append(state.Early, store.Early{Delivery: state.Unrecorded.Delivery, Missing: p.Early})
	}
	state.Plan, state.Failures = nil, 0
	s.recovered()
	if err := state.Put(ctx); err != nil {
		return err
	}
	s.o.At("accepted stored")
	s.metrics.accepted(p, s.inHand, now)
	s.o.Log.Info("a message was accepted", "kind", p.Kind, "alerts", p.Alerts, "message_id", r.MessageID, "attempts", p.Attempts, "may_repeat", p.MayRepeat)
	s.o.Done(r, nil)
	s.Report()
	return nil
}

// Finish does what follows once it is stored that a message was accepted: the
// ledger's record, then the acknowledgements. A process that dies in between
// leaves the rest to the next.
func (s *Sender) Finish(ctx context.Context) error {
	state := s.o.Store
	delivery := state.Unrecorded.Delivery
	delivery.Ranges = state.Unrecorded.Ranges
	if err := state.Record(ctx, &delivery, ""); err != nil {
		return err
	}
	s.o.At("recorded")
	msgs := s.Release()
	// What is not acknowledged, because the bus is away, comes again and is
	// recognized.
	if err := acknowledge(ctx, msgs); err != nil {
		s.o.Log.Warn("acknowledging is delayed", "err", err, "alerts", len(msgs))
	}
	s.o.At("acknowledged")
	state.Unrecorded = nil
	if err := state.Put(ctx); err != nil {
		return err
	}
	s.o.At("cleared")
	return nil
}

// acknowledge acknowledges messages and waits until the server knows.
func acknowledge(ctx context.Context, msgs []*bus.Msg) error {
	type durable struct{ stream, name string }
	last := make(map[durable]*bus.Msg)
	for _, m := range msgs {
		last[durable{m.Stream, m.Durable}] = m
	}
	for _, m := range msgs {
		var err error
		if last[durable{m.Stream, m.Durable}] != m {
			err = m.Ack()
		} else {
			err = m.DoubleAck(ctx) // once the server knows this one, it knows all before
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// failed finds out what a failed attempt means, and stores it.
func (s *Sender) failed(ctx context.Context, err error) error {
	var e *sink.Error
	if !errors.As(err, &e) {
		if ctx.Err() != nil {
			return context.Cause(ctx) // the attempt stays under way
		}
		e = &sink.Error{Class: sink.Ambiguous, Err: err}
	}
	state := s.o.Store
	p := state.Plan
	p.UnderWay = false
	state.Failures++
	s.metrics.attempts.WithLabelValues(e.Class.String()).Inc()
	s.o.Log.Warn("a message was not accepted", "err", e, "class", e.Class.String(), "kind", p.Kind, "attempts", p.Attempts, "alerts", p.Alerts)
	now := s.o.Clock.Now()
	switch {
	case e.Class == sink.Refused:
		p.Level++
		if p.Level >= len(p.Messages) {
			return s.GiveUp(ctx, e.Error())
		}
	case e.Class == sink.Unclear && p.Level < len(p.Messages)-2:
		p.Level++
	case e.Class == sink.Unclear && p.Level == len(p.Messages)-2 && p.Unclear:
		// After a wait the chat still refuses every other form: it is the text. The last
		// form has little of it, so it is sent only now: a chat that works again gets
		// the fullest.
		p.Level++
	case e.Class == sink.Moved && e.MovedTo != "" && e.MovedTo != state.Place.Chat:
		state.Place.Chat = e.MovedTo
		state.Notes.Add("The chat has a new id, %s: messages go there. Set it in the configuration.", e.MovedTo)
	case e.Class == sink.NoThread && !state.Place.NoThread:
		state.Place.NoThread = true
		state.Notes.Add("The topic of the chat is gone or closed: messages go to the chat itself. (%v)", e)
	case e.Class == sink.NotSent:
		wait := e.RetryAfter
		if wait <= 0 {
			wait = backoff(state.Failures)
		}
		s.o.Limiter.Wait(now, wait)
		s.troubled(e, false)
	case e.Class == sink.Ambiguous:
		p.MayRepeat = true
		s.o.Limiter.Wait(now, backoff(state.Failures))
		s.troubled(e, false)
	default: // broken, or moved in a circle
		// The chat refused, not the message, even if it took several forms to find
		// out: a chat that works again gets the fullest.
		p.Unclear = e.Class == sink.Unclear && p.Level < len(p.Messages)-1
		p.Level = 0
		s.probed = now
		s.troubled(e, true)
	}
	s.Report()
	return state.Put(ctx)
}

// backoff doubles with every failure in a row, and varies. It is computed from the
// count, which is stored, so that a crash does not begin it anew.
func backoff(failures int) time.Duration {
	b := min(minBackoff<<min(max(failures-1, 0), 10), maxBackoff)
	return b/2 + rand.N(b/2)
}

// GiveUp drops a plan that the chat refuses in every form: its alerts become dead
// letters when the server delivers them again, with their payloads.
func (s *Sender) GiveUp(ctx context.Context, reason string) error {
	state := s.o.Store
	p := state.Plan
	s.o.Log.Error("the chat refuses a message in every form", "reason", reason, "kind", p.Kind, "alerts", p.Alerts)
	state.Plan = nil
	if p.OfAlerts() {
		state.Refuse(p.Keys, fmt.Sprintf("the chat %s refused it in every form: %s", s.o.Chat.Name(), reason))
		state.Notes.Add("%s not accepted by the chat in any form (%s); copies are in %s.", store.Were(p.Alerts), reason, proto.StreamDead)
	}
	if err := state.Put(ctx); err != nil {
		return err
	}
	s.o.At("refused stored")
	s.o.Done(sink.Receipt{}, fmt.Errorf("the chat refused the message in every form: %s", reason))
	s.o.HandBack(s.Release()...)
	return nil
}

// Next is when the plan may be sent: when the rate allows it, and for a chat that is
// broken after the next probe.
func (s *Sender) Next() (at time.Time, broken bool) {
	at = s.o.Limiter.Next(0)
	o := s.o.Store.Outage
	if o == nil || !o.Broken {
		return at, false
	}
	if probe := s.probed.Add(probeInterval); probe.After(at) {
		at = probe
	}
	return at, true
}

// troubled notes that the chat did not accept a message.
func (s *Sender) troubled(err error, broken bool) {
	state := s.o.Store
	if state.Outage == nil {
		state.Outage = &store.Outage{Since: s.o.Clock.Now().UTC()}
	}
	state.Outage.Cause, state.Outage.Broken = store.Clip(err.Error(), store.MaxLine), broken
}

// recovered notes that the chat accepts messages.
func (s *Sender) recovered() {
	state := s.o.Store
	o := state.Outage
	state.Outage = nil
	if o == nil || !o.Told {
		return
	}
	line := fmt.Sprintf("No message could be sent here from %s to %s (%s).",
		o.Since.UTC().Format(time.DateTime), s.o.Clock.Now().UTC().Format(time.DateTime+" MST"), o.Cause)
	if o.Count > 0 {
		line += fmt.Sprintf(" Meanwhile %s printed to the notifier's standard output.", store.Were(o.Count))
	}
	state.Notes.Add("%s", line)
}

// LongOutage returns the outage if it lasts long enough to be reported.
func (s *Sender) LongOutage() *store.Outage {
	o := s.o.Store.Outage
	if o == nil {
		return nil
	}
	now := s.o.Clock.Now()
	if o.Broken || o.Told || now.Sub(o.Since) > longOutage || s.o.Limiter.NotBefore().Sub(now) > longOutage {
		return o
	}
	return nil
}

// Report reports whether the chat can be delivered to.
func (s *Sender) Report() {
	o := s.LongOutage()
	if o == nil {
		s.o.Ready(nil)
		return
	}
	o.Told = true
	s.o.Ready(fmt.Errorf("no message was accepted since %s: %s", o.Since.UTC().Format(time.RFC3339), o.Cause))
}

// Probe asks the chat whether it would accept a message. Without a plan, a chat that
// would has recovered from an outage; with one, it has when it accepts that.
func (s *Sender) Probe(ctx context.Context) {
	state := s.o.Store
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := s.o.Chat.Probe(ctx, state.Place)
	s.probed = s.o.Clock.Now()
	var e *sink.Error
	switch {
	case err == nil:
		if state.Outage != nil {
			state.Outage.Broken = false
		}
	case errors.As(err, &e) && e.Class == sink.Broken:
		s.troubled(e, true)
		s.o.Log.Error("the chat is broken", "err", e)
	default:
		s.o.Log.Warn("asking whether the chat works", "err", err)
	}
	if o := state.Outage; o != nil && !o.Broken && state.Plan == nil {
		s.recovered()
	}
	s.Report()
}

// ProbeIfDue probes a chat that is broken, every minute.
func (s *Sender) ProbeIfDue(ctx context.Context) {
	o := s.o.Store.Outage
	if o != nil && o.Broken && !s.o.Clock.Now().Before(s.probed.Add(probeInterval)) {
		s.Probe(ctx)
	}
}

type metrics struct {
	delivered *prometheus.CounterVec
	messages  *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	delay     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) metrics {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := metrics{
		delivered: counters("notifier_chat_alerts_delivered_total", "Alerts that a message the chat has accepted is about, by severity.", "severity"),
		messages:  counters("notifier_chat_messages_total", "Messages that the chat has accepted, by kind.", "kind"),
		attempts:  counters("notifier_chat_attempts_total", "Requests to send a message, by outcome.", "outcome"),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "notifier_chat_delivery_delay_seconds",
			Help:    "Time from an alert's being stored to a message about it being accepted.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 10, 30, 60, 300, 3600},
		}),
	}
	r.MustRegister(m.delivered, m.messages, m.attempts, m.delay)
	return m
}

// accepted counts a message that the chat has accepted, and what is in hand for it.
func (m *metrics) accepted(p *store.Plan, inHand []*bus.Msg, now time.Time) {
	m.messages.WithLabelValues(string(p.Kind)).Inc()
	if !p.OfAlerts() {
		return
	}
	for severity, n := range map[string]int{
		"critical": p.Severities.Critical,
		"high":     p.Severities.High,
		"medium":   p.Severities.Medium,
		"low":      p.Severities.Low,
	} {
		m.delivered.WithLabelValues(severity).Add(float64(n))
	}
	for _, one := range inHand {
		m.delay.Observe(now.Sub(one.Stored).Seconds())
	}
}
