// Package delivery brings alerts to one chat: each once, at a rate that a person
// can read, also after crashes and outages.
//
//	                    ┌──────────── rate limiter ◀──────────┐
//	                    ▼                                     │ attempts
//	durables ─▶ intake ─▶ pending ─▶ planner ─▶ plan ─▶ sender ─▶ Chat.Send
//	 of streams   │       queues       ▲ few: cards       │
//	              │                    │ many: a digest   │ accepted: ledger, acknowledge
//	              │            Enqueue ┘                  │ refused: dead letters, by intake
//	              ▼                                       ▼
//	       store: key delivery.<sink>: plan, attempts, ids of what was settled
//
// There are four parts: intake fetches and settles what needs no message, planner
// decides (without a clock or a bus), sender sends and stores what came of it, and
// store sets the state by compare-and-set. One goroutine, [Delivery.Run], calls them
// in turn, so that none of them needs a lock.
//
// A plan is a message, rendered, and which alerts it is about. It is stored before
// it is sent.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/clock"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/intake"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/planner"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/sender"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// fallbackInterval is how often the fallback is given what is new.
const fallbackInterval = 2 * time.Second

// ErrEnded reports that the delivery has ended before it could do what was
// requested.
var ErrEnded = errors.New("the delivery has ended")

// Options say what to deliver where.
type Options struct {
	// Conn is the connection to the bus, in the notifier's role.
	Conn *bus.Conn
	// Chat is where the messages go. Its name decides the durables in each stream of
	// alerts ([proto.LaneConsumers]), the key of the state and the ledger's subject.
	Chat sink.Chat
	// Min is the lowest severity that is delivered; alerts below are acknowledged
	// and counted.
	Min proto.Severity
	// Silenced, if set, names the silence that an alert falls under, "" for none.
	// A silenced alert is acknowledged, and counted in the next message.
	Silenced func(e *proto.Event, payload []byte) (by string)
	// Quiet, if set, reports whether messages are to make no sound at that time.
	// One about a critical alert always may.
	Quiet func(time.Time) bool
	// Fallback, if set, is given every alert that waits while the chat has been
	// out of reach for long. The alert is delivered to the chat nevertheless when
	// that is possible again.
	Fallback func(e *proto.Event, payload []byte)
	// Ready, if set, is called with nil when the chat can be delivered to, and with
	// the reason when it cannot.
	Ready func(error)
	// Log is where the delivery logs.
	Log *slog.Logger
	// Metrics is where the delivery registers what it counts, with the label sink.
	Metrics prometheus.Registerer
	// Clock is for tests; nil is the system's.
	Clock clock.Clock
}

// Delivery delivers to one chat.
type Delivery struct {
	o        Options
	limiter  *planner.Limiter
	store    *store.Store
	intake   *intake.Intake
	planner  *planner.Planner
	sender   *sender.Sender
	requests requests

	notStored error // why the state cannot be stored
	notRead   error // why not all streams of alerts can be read
	notSent   error // why the chat cannot be delivered to

	// at is called between steps; tests end a delivery there.
	at func(step string)
}

// New returns a Delivery. Call Run, once.
func New(o Options) *Delivery {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Ready == nil {
		o.Ready = func(error) {}
	}
	if o.Quiet == nil {
		o.Quiet = func(time.Time) bool { return false }
	}
	if o.Silenced == nil {
		o.Silenced = func(*proto.Event, []byte) string { return "" }
	}
	name := o.Chat.Name()
	o.Log = o.Log.With("sink", name)
	consumers := o.Metrics
	o.Metrics = prometheus.WrapRegistererWith(prometheus.Labels{"sink": name}, o.Metrics)

	d := &Delivery{o: o, at: func(string) {}, limiter: planner.NewLimiter(o.Chat.Limits())}
	d.requests = requests{incoming: make(chan *request), ended: make(chan struct{})}
	at := func(step string) { d.at(step) }
	queues := [2]*planner.Queue{new(planner.Queue), new(planner.Queue)}
	d.store = store.New(store.Options{
		Conn: o.Conn, Sink: name, Log: o.Log, Metrics: o.Metrics, Refresh: d.refresh, Predecessor: d.predecessor,
		Ready: func(err error) { d.notStored = err; d.report() },
	})
	d.intake = intake.New(intake.Options{
		Conn: o.Conn, Sink: name, Min: o.Min, Silenced: o.Silenced,
		Queues: queues, Store: d.store, Ready: func(err error) { d.notRead = err; d.report() }, Log: o.Log, Metrics: o.Metrics, Consumers: consumers,
	})
	d.planner = &planner.Planner{
		Queues: queues, Limiter: d.limiter, State: &d.store.State, Render: o.Chat.Render, Quiet: o.Quiet,
	}
	d.sender = sender.New(sender.Options{
		Chat: o.Chat, Store: d.store, Limiter: d.limiter, Clock: o.Clock,
		Ready: func(err error) { d.notSent = err; d.report() },
		Done:  d.requests.done, HandBack: d.intake.HandBack, At: at, Log: o.Log, Metrics: o.Metrics,
	})
	return d
}

// refresh brings the state up to date before it is stored.
func (d *Delivery) refresh(s *store.State) {
	s.Attempts = d.limiter.Log(d.o.Clock)
	d.intake.Refresh(s)
}

// predecessor is the chat in whose place this one was configured, as its durables say.
func (d *Delivery) predecessor(ctx context.Context) (string, error) {
	streams, err := d.o.Conn.AlertStreams(ctx)
	if err != nil {
		return "", err
	}
	for _, stream := range streams {
		first := proto.LaneConsumers(d.o.Chat.Name(), stream)[0]
		name, err := d.o.Conn.Predecessor(ctx, stream, first.Durable)
		if err != nil && !errors.Is(err, bus.ErrNotProvisioned) || name != "" {
			return name, err
		}
	}
	return "", nil
}

// report reports whether the chat can be delivered to.
func (d *Delivery) report() {
	if d.notStored != nil {
		d.o.Ready(fmt.Errorf("storing the plan: %w", d.notStored))
		return
	}
	d.o.Ready(errors.Join(d.notSent, d.notRead))
}

// Run delivers until ctx ends, and then returns nil, after at most [sender.Grace]
// for a message that is being sent. It waits out an absent bus and an absent chat.
// It returns an error if the bus refuses for good, and one that wraps
// [bus.ErrFenced] if another notifier delivers to the same chat.
func (d *Delivery) Run(ctx context.Context) error {
	defer close(d.requests.ended)
	err := d.run(ctx)
	d.requests.end()
	if ctx.Err() != nil && !errors.Is(err, bus.ErrFenced) {
		return nil
	}
	return fmt.Errorf("delivering to %s: %w", d.o.Chat.Name(), err)
}

func (d *Delivery) run(ctx context.Context) error {
	if err := d.start(ctx); err != nil {
		return err
	}
	stop := d.intake.Start(ctx)
	defer stop() // the fetches end with Run, however it ends
	err := d.loop(ctx)
	stop()
	d.intake.HandBackAll()
	d.intake.HandBack(d.sender.Release()...)
	return err
}

// loop makes one message after the other, and returns why it stops.
func (d *Delivery) loop(ctx context.Context) error {
	for {
		if d.store.Plan == nil {
			if err := d.plan(ctx); err != nil {
				return err
			}
		}
		if d.store.Plan != nil {
			if err := d.send(ctx); err != nil {
				return err
			}
		}
	}
}

// start claims the state, binds to the durables and finishes what an earlier
// process has left.
func (d *Delivery) start(ctx context.Context) error {
	if err := d.store.Claim(ctx, d.inherit); err != nil {
		return err
	}
	if err := d.intake.Bind(ctx); err != nil {
		return err
	}
	if d.store.Unrecorded != nil {
		if err := d.sender.Finish(ctx); err != nil {
			return err
		}
	}
	// So that readiness is known before there is an alert.
	d.sender.Probe(ctx)
	return nil
}

// inherit continues what another process has left in the state.
func (d *Delivery) inherit(s *store.State) {
	underWay := s.Plan != nil && s.Plan.UnderWay
	if underWay {
		s.Plan.MayRepeat, s.Plan.UnderWay = true, false
	}
	d.limiter.Restore(s.Attempts, d.o.Clock, underWay)
	if address := d.o.Chat.Address(); s.Address != address {
		s.Address, s.Place = address, sink.Place{}
	}
}

// plan waits until there is something to send and the rate allows it, and plans it.
func (d *Delivery) plan(ctx context.Context) error {
	for {
		if err := d.intake.Poll(ctx, d.o.Clock.Now()); err != nil {
			return err
		}
		d.sender.ProbeIfDue(ctx)
		if err := d.intake.FillEmpty(ctx); err != nil {
			return err
		}
		job, at, hurry := d.planner.Next(len(d.requests.waiting))
		if job == planner.Alerts && !hurry && !at.After(d.o.Clock.Now()) {
			if err := d.intake.FillUp(ctx); err != nil {
				return err
			}
			// What was a few may have become a storm, which can wait.
			job, at, _ = d.planner.Next(len(d.requests.waiting))
		}
		if job != planner.Nothing && !at.After(d.o.Clock.Now()) {
			return d.planJob(ctx, job)
		}
		if job == planner.Nothing {
			at = d.intake.NextPoll()
		}
		if err := d.wait(ctx, at); err != nil {
			return err
		}
	}
}

// planJob plans a message. It is stored with its first attempt.
func (d *Delivery) planJob(ctx context.Context, job planner.Job) error {
	now := d.o.Clock.Now()
	switch job {
	case planner.Request:
		r := d.requests.next()
		if d.store.IsAccepted(r.key) {
			r.done <- reply{}
			return nil
		}
		d.requests.planned = r
		d.store.Plan = d.planner.PlanRequest(r.key, r.batch)
	case planner.Notices:
		d.store.Plan = d.planner.PlanNotices(now)
	default:
		plan, members := d.planner.PlanAlerts(now, len(d.requests.waiting))
		d.store.Plan = plan
		d.sender.Hold(members)
	}
	if len(d.store.Plan.Messages) == 0 {
		return d.sender.GiveUp(ctx, "the chat has no form for it")
	}
	return nil
}

// wait waits until something comes in, or until a time, the next poll at the latest.
func (d *Delivery) wait(ctx context.Context, until time.Time) error {
	if poll := d.intake.NextPoll(); poll.Before(until) {
		until = poll
	}
	d.intake.Request()
	timer, stop := d.o.Clock.Timer(until.Sub(d.o.Clock.Now()))
	defer stop()
	select {
	case f := <-d.intake.Fetched():
		return d.intake.Accept(ctx, f)
	case r := <-d.requests.accept():
		d.requests.waiting = append(d.requests.waiting, r)
		return nil
	case <-timer:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send attempts to send the plan as soon as the rate allows it and the chat works,
// and prints meanwhile what waits if that takes long.
func (d *Delivery) send(ctx context.Context) error {
	for {
		now := d.o.Clock.Now()
		if err := d.intake.Poll(ctx, now); err != nil {
			return err
		}
		d.sender.ProbeIfDue(ctx)
		d.sender.Report()
		at, broken := d.sender.Next()
		if !broken && !at.After(d.o.Clock.Now()) {
			return d.sender.Attempt(ctx)
		}
		until := d.intake.NextPoll()
		if o := d.sender.LongOutage(); o != nil && d.o.Fallback != nil {
			if err := d.fallBack(ctx, o); err != nil {
				return err
			}
			until = now.Add(fallbackInterval)
		}
		if at.Before(until) {
			until = at
		}
		timer, stop := d.o.Clock.Timer(until.Sub(d.o.Clock.Now()))
		select {
		case <-timer:
		case <-ctx.Done():
			stop()
			return context.Cause(ctx)
		}
	}
}

// fallBack gives the fallback what waits and what it was not given yet.
func (d *Delivery) fallBack(ctx context.Context, o *store.Outage) error {
	if o.Printed == nil {
		o.Printed = make(map[string]uint64)
	}
	n, err := d.intake.Unsettled(ctx, o.Printed, d.o.Fallback)
	o.Count += n
	if n == 0 {
		return err
	}
	// So that the next process does not print them again.
	ctx, done := sender.Outlast(ctx)
	defer done()
	return errors.Join(err, d.store.Put(ctx))
}
