// Package intake receives the alerts of one chat: it fetches them from the chat's
// durables, settles those that need no message, and puts the others into the pending
// queues.
//
//	streams of alerts
//	  durable critical ─▶ fetch ─┐               ┌─▶ pending queue: urgent, routine
//	  durable urgent ───▶ fetch ─┼─▶ Accept ─────┼─▶ acknowledged: delivered before, below severity, silenced
//	  durable routine ──▶ fetch ─┘  known? below?└─▶ SECURITY_DEAD: unreadable, refused by the chat
//
// Each durable has a goroutine that fetches, and only while nothing from that durable
// waits: what waits, with no fetch open, is not delivered twice however long the
// rate limiter holds it. Since each stream has durables of its own, alerts that flood
// one keep none of another's back. Poll takes up streams that are added.
package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/planner"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
)

const (
	// Waits of attempts to reach the bus, in real time.
	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
	// pollInterval is how often streams that were added and the progress of the lanes
	// are looked for.
	pollInterval = 15 * time.Second
)

// allAlerts are the subjects of alerts in their streams.
const allAlerts = proto.StoredPrefix + "." + string(proto.ClassAlert) + ".>"

// Options say what to receive.
type Options struct {
	Conn *bus.Conn
	// Sink is the chat's name, which decides the durables in each stream of alerts
	// ([proto.LaneConsumers]).
	Sink string
	// Min is the lowest severity that is delivered; alerts below are acknowledged
	// and counted.
	Min proto.Severity
	// Silenced names the silence that an alert falls under, "" for none.
	Silenced func(e *proto.Event, payload []byte) (by string)
	// Queues are where alerts wait, by [planner.Lane].
	Queues [2]*planner.Queue
	// Store knows what was accepted and refused.
	Store *store.Store
	// Ready is called with the reason when a stream of alerts cannot be read, and
	// with nil when all can.
	Ready   func(error)
	Log     *slog.Logger
	Metrics prometheus.Registerer // of the chat
	// Consumers is where the durables' counters are registered.
	Consumers prometheus.Registerer
}

// Intake receives the alerts of one chat. Its methods belong to one goroutine.
type Intake struct {
	o       Options
	metrics metrics
	streams *streams
	fetched chan Fetched
	polled  time.Time

	fetching context.Context // until stop is called, nil before Start
	running  sync.WaitGroup
}

// New returns an Intake. Call Bind, then Start.
func New(o Options) *Intake {
	i := &Intake{o: o, metrics: newMetrics(o.Metrics), fetched: make(chan Fetched)}
	i.streams = &streams{o: &i.o, added: i.added}
	return i
}

// Bind binds to the durables of all streams of alerts and recognizes the streams, as
// soon as the bus answers. It returns an error if none can be read.
func (i *Intake) Bind(ctx context.Context) error {
	policy := retry.Policy{Min: minRetry, Max: maxRetry, OnRetry: func(err error, wait time.Duration) {
		i.o.Log.Warn("looking for the streams of alerts is delayed", "err", err, "retry_in", wait)
	}}
	return retry.Do(ctx, policy, func(ctx context.Context) error {
		err := i.streams.discover(ctx)
		if err == nil {
			err = i.streams.none()
		}
		if bus.Permanent(err) {
			return retry.Permanent(err)
		}
		return err
	})
}

// Start starts to fetch. The returned function ends that and waits for its end.
func (i *Intake) Start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	i.fetching = ctx
	for _, s := range i.streams.bound {
		i.start(s)
	}
	return func() {
		cancel()
		i.running.Wait()
	}
}

// added starts to fetch from a stream that was bound to after Start was called.
func (i *Intake) added(s *stream) {
	if i.fetching != nil {
		i.o.Log.Info("a stream of alerts was added", "stream", s.name)
		i.start(s)
	}
}

func (i *Intake) start(s *stream) {
	for _, l := range s.lanes {
		i.running.Go(func() { l.run(i.fetching, i.fetched) })
	}
}

// HandBack makes messages available to the next fetch at once, of this process or
// another.
func (i *Intake) HandBack(msgs ...*bus.Msg) {
	for _, m := range msgs {
		if err := m.Nak(0); err != nil {
			i.o.Log.Warn("handing messages back", "err", err, "stream", m.Stream, "sequence", m.Sequence)
			return
		}
	}
}

// HandBackAll hands back all that waits. Nothing may be fetching any more.
func (i *Intake) HandBackAll() {
	for _, q := range i.o.Queues {
		for _, m := range q.Drain() {
			i.HandBack(m.Msg)
		}
	}
}

// Request starts a fetch for each lane of which nothing waits and none is open. What
// it brings comes by Fetched.
func (i *Intake) Request() {
	for _, l := range i.streams.lanes() {
		l.request()
	}
}

// Fetched brings alerts, for Accept.
func (i *Intake) Fetched() <-chan Fetched { return i.fetched }

// Accept puts those alerts of a fetch into the lane's queue that have to be
// delivered, and settles the others at once.
func (i *Intake) Accept(ctx context.Context, f Fetched) error {
	f.lane.fetching = false
	if !slices.Contains(i.streams.lanes(), f.lane) {
		i.HandBack(f.msgs...) // of a stream that could not be read any more
		return nil
	}
	if f.err != nil {
		return i.streams.gone(f.lane.def.Stream, f.err)
	}
	return i.accept(ctx, f.lane, f.msgs)
}

func (i *Intake) accept(ctx context.Context, l *lane, msgs []*bus.Msg) error {
	// Meanwhile, other lanes may have filled the queue.
	if room := max(0, l.room()); len(msgs) > room {
		i.HandBack(msgs[room:]...)
		msgs = msgs[:room]
	}
	dead := i.o.Store.Notes.Dead
	for _, m := range msgs {
		if err := i.acceptOne(ctx, l, m); err != nil {
			return err
		}
	}
	if i.o.Store.Notes.Dead != dead {
		return i.o.Store.Put(ctx) // so that the owner is notified even after a crash
	}
	return nil
}

func (i *Intake) acceptOne(ctx context.Context, l *lane, m *bus.Msg) error {
	if s := i.streams.of(m.Stream); s != nil {
		s.retention.add(m.Sequence)
	}
	e, payload, err := consume.Decode(m.Subject, m.Data)
	if err != nil {
		if dead, err := l.consumer.DeadLetter(ctx, m, err); !dead {
			return err
		}
		i.o.Store.Notes.Dead++
		return nil
	}
	k := keyOf(e, m.Subject, m.Sequence, m.Stored)
	switch {
	case i.o.Store.IsRefused(k):
		_, err := l.consumer.DeadLetter(ctx, m, errors.New(i.o.Store.RefusedReason))
		return err
	case i.o.Store.IsAccepted(k):
		if err := i.recordEarly(ctx, k, m); err != nil {
			return err
		}
		i.metrics.repeated.Inc()
	case e.Severity < i.o.Min:
		i.metrics.below.Inc()
	default:
		by := i.o.Silenced(e, payload)
		if by == "" {
			l.queue.Add(m, k, e)
			return nil
		}
		i.metrics.silenced.Inc()
		i.o.Store.Notes.AddSilenced(by)
	}
	l.consumer.Acknowledge(m) // if that gets lost, it comes again and is settled as now
	return nil
}

// recordEarly records where an alert is stored that version 1 sent before that was
// known.
func (i *Intake) recordEarly(ctx context.Context, k store.Key, m *bus.Msg) error {
	s := i.o.Store
	for n := range s.Early {
		early := &s.Early[n]
		at := slices.Index(early.Missing, k)
		if at < 0 {
			continue
		}
		delivery := early.Delivery
		delivery.Ranges = store.Ranges{{Stream: m.Stream, First: m.Sequence, Last: m.Sequence}}
		// If this process ends before it stores that the key is not missing any
		// more, there can be another such record, which says the same.
		if err := s.Record(ctx, &delivery, fmt.Sprintf(" %s %d", m.Stream, m.Sequence)); err != nil {
			return err
		}
		early.Missing = slices.Delete(early.Missing, at, at+1)
		if len(early.Missing) == 0 {
			s.Early = slices.Delete(s.Early, n, n+1)
		}
		return nil
	}
	return nil
}

// Poll finds out, every now and then, which streams were added, how far the lanes
// are, for the metrics, and what retention has removed.
func (i *Intake) Poll(ctx context.Context, now time.Time) error {
	if !i.polled.IsZero() && now.Sub(i.polled) < pollInterval {
		return nil
	}
	first := i.polled.IsZero()
	i.polled = now
	if err := i.streams.discover(ctx); err != nil {
		return i.absent(ctx, err)
	}
	var waiting [2]float64
	evicted := uint64(0)
	for _, s := range i.streams.bound {
		lost, err := s.poll(ctx, &waiting, first)
		if err != nil {
			return i.absent(ctx, i.streams.gone(s.name, err))
		}
		evicted += lost
	}
	for which, n := range waiting {
		i.metrics.waiting.WithLabelValues(planner.Lane(which).String()).Set(n)
	}
	i.metrics.oldest.Set(now.Sub(i.oldest(now)).Seconds())
	if evicted == 0 {
		return nil
	}
	i.metrics.evicted.Add(float64(evicted))
	return i.o.Store.Put(ctx)
}

// NextPoll is when Poll has something to do again.
func (i *Intake) NextPoll() time.Time { return i.polled.Add(pollInterval) }

// oldest is when the alert was stored that has been waiting longest.
func (i *Intake) oldest(now time.Time) time.Time {
	oldest := now
	if p := i.o.Store.Plan; p != nil && !p.Oldest.IsZero() {
		oldest = p.Oldest
	}
	for _, q := range i.o.Queues {
		if stored, ok := q.Oldest(); ok && stored.Before(oldest) {
			oldest = stored
		}
	}
	return oldest
}

// Refresh brings the positions in the state up to date.
func (i *Intake) Refresh(state *store.State) {
	for _, s := range i.streams.bound {
		s.retention.refresh(state)
	}
}

// Unsettled passes the alerts that wait to be delivered to show, those of a stream
// behind the sequence in shown, all of them if it is not there. It reads the streams,
// not the lanes: alerts are neither fetched nor acknowledged by that. It returns how
// many there were, and notes in shown how far it has read.
func (i *Intake) Unsettled(ctx context.Context, shown map[string]uint64, show func(*proto.Event, []byte)) (n int, err error) {
	for _, s := range i.streams.bound {
		from := shown[s.name] + 1
		if from == 1 {
			from = s.retention.firstUnsettled()
		}
		for m, err := range i.o.Conn.History(ctx, s.name, allAlerts, bus.Start{Sequence: from}) {
			if err != nil {
				return n, i.absent(ctx, err)
			}
			shown[s.name] = m.Sequence
			e, payload, err := consume.Decode(m.Subject, m.Data)
			if err != nil {
				continue // dead letters are reported on their own
			}
			accepted := i.o.Store.IsAccepted(keyOf(e, m.Subject, m.Sequence, m.Time))
			if accepted || e.Severity < i.o.Min || i.o.Silenced(e, payload) != "" {
				continue
			}
			show(e, payload)
			n++
		}
	}
	return n, nil
}

// absent is nil if the bus may reply later.
func (i *Intake) absent(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if bus.Permanent(err) {
		return err
	}
	i.o.Log.Debug("the bus does not reply", "err", err)
	return nil
}

// keyOf identifies the alert by its id; one without any by where it is stored.
func keyOf(e *proto.Event, subject string, sequence uint64, stored time.Time) store.Key {
	if e.ID == "" {
		return store.KeyOf(subject, fmt.Sprintf("%d %d", sequence, stored.UnixNano()))
	}
	return store.KeyOf(subject, e.ID)
}

type metrics struct {
	waiting  *prometheus.GaugeVec
	oldest   prometheus.Gauge
	below    prometheus.Counter
	silenced prometheus.Counter
	repeated prometheus.Counter
	evicted  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := metrics{
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "notifier_chat_alerts_waiting",
			Help: "Alerts stored and not acknowledged, by lane.",
		}, []string{"lane"}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "notifier_chat_oldest_waiting_seconds",
			Help: "For how long the oldest alert that was fetched has been waiting.",
		}),
		below:    counter("notifier_chat_alerts_below_severity_total", "Alerts acknowledged without delivery because they are below ALERT_MIN_SEVERITY."),
		silenced: counter("notifier_chat_alerts_silenced_total", "Alerts acknowledged without delivery because of a silence."),
		repeated: counter("notifier_chat_alerts_repeated_total", "Alerts that were delivered to the notifier again after a message about them had been accepted."),
		evicted:  counter("notifier_chat_alerts_evicted_total", "Alerts that retention has removed before they could be delivered."),
	}
	for _, lane := range []planner.Lane{planner.Urgent, planner.Routine} {
		m.waiting.WithLabelValues(lane.String())
	}
	r.MustRegister(m.waiting, m.oldest, m.below, m.silenced, m.repeated, m.evicted)
	return m
}
