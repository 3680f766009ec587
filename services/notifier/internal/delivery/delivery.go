// Package delivery takes alerts to one chat: each once, at a humane rate,
// whatever breaks.
//
//	heard ──┐
//	urgent ─┴▶ pile ─┐          ┌─ few: cards
//	routine ─▶ pile ─┼─▶ plan ──┤                ─▶ slot ─▶ attempt ─▶ Chat.Send
//	Enqueue ─────────┤          └─ many: digest       ▲        │          │
//	notices ─────────┘                                └────────┼── not sent, ambiguous, refused
//	                                                           ▼          ▼ accepted
//	                 key delivery.<sink>:    plan, attempts, ids of what was settled
//	                                                                      │
//	                                   ledger record ─▶ acknowledge ─▶ plan cleared
//
// A plan is a message, rendered, and which alerts it is about. It is stored before
// it is sent and again for every attempt, so that whoever comes after a crash
// knows what may have reached the chat: a plan whose attempt has no known
// outcome is sent again as the same bytes, marked as a possible repetition. What a
// chat has accepted is remembered by event id, and acknowledged when the server
// delivers it again.
//
// The key is set by comparing revisions: of two notifiers for one chat the
// second to write finds out, and stops.
//
// One goroutine decides and sends. Two more fetch, one for each lane, and only
// while nothing of that lane is held: what is held, with no fetch open, is not
// delivered twice however long a slot takes to come. A fourth hears of critical
// alerts before the lanes have them.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Options say what to deliver where.
type Options struct {
	// Conn is the connection to the bus, in the notifier's role.
	Conn *bus.Conn
	// Chat is where the messages go. Its name decides the durables
	// ([proto.LaneConsumers]), the key of the plan and the ledger's subject.
	Chat sink.Chat
	// Address is what the chat is configured to be. When it changes, what was
	// learnt about the former one (a new id, a lost topic) is forgotten.
	Address string
	// Least is the least severity that is delivered; alerts below are
	// acknowledged and counted.
	Least proto.Severity
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
	// Ready, if set, is told nil when the chat can be delivered to, and the
	// reason when it cannot.
	Ready func(error)
	// Log is where the delivery logs.
	Log *slog.Logger
	// Metrics is where the delivery registers what it counts, with the label sink.
	Metrics prometheus.Registerer
	// Clock is for tests; nil is the system's.
	Clock Clock
}

// Delivery delivers to one chat.
type Delivery struct {
	Options
	name    string
	metrics metrics
	lanes   [2]*lane // urgent, routine
	fetched chan fetched
	heard   chan *bus.Stored
	asked   chan *request
	ended   chan struct{} // closed when Run has returned

	// What follows belongs to Run's goroutine.
	slots         slots
	state         state
	revision      uint64 // of the state's key
	settled       index
	seen          seen
	recognised    bool // seen is about the stream that is there now
	waiting       []*request
	requestPassed int // messages in a row that a request has waited for
	inHand        [2][]*bus.Msg
	asker         *request // whom to answer when the plan is through
	lastLook      time.Time
	lastProbe     time.Time
	stored        error // why the state cannot be stored

	// at is called between steps, and from its own goroutine once the delivery
	// listens; tests end a delivery there.
	at func(step string)
}

// New returns a Delivery. Call Run, once.
func New(o Options) *Delivery {
	d := &Delivery{
		Options: o,
		name:    o.Chat.Name(),
		metrics: newMetrics(o.Metrics, o.Chat.Name()),
		fetched: make(chan fetched, 2),
		heard:   make(chan *bus.Stored, maxHeard),
		asked:   make(chan *request),
		ended:   make(chan struct{}),
		at:      func(string) {},
	}
	d.Log = d.Log.With("sink", d.name)
	if d.Clock == nil {
		d.Clock = systemClock{}
	}
	if d.Ready == nil {
		d.Ready = func(error) {}
	}
	if d.Quiet == nil {
		d.Quiet = func(time.Time) bool { return false }
	}
	if d.Silenced == nil {
		d.Silenced = func(*proto.Event, []byte) string { return "" }
	}
	return d
}

// ErrEnded reports that the delivery has ended before it could do what was asked.
var ErrEnded = errors.New("the delivery has ended")

// Run delivers until ctx ends, and then returns nil, after at most [Grace] for
// a message that is being sent. It waits out an absent bus and an absent chat. It
// returns an error if the bus refuses for good, and one that wraps
// [bus.ErrFenced] if another notifier delivers to the same chat.
func (d *Delivery) Run(ctx context.Context) error {
	defer close(d.ended)
	err := d.run(ctx)
	d.failWaiting()
	if ctx.Err() != nil && !errors.Is(err, bus.ErrFenced) {
		return nil
	}
	return err
}

func (d *Delivery) run(ctx context.Context) error {
	if err := d.start(ctx); err != nil {
		return fmt.Errorf("starting the delivery to %s: %w", d.name, err)
	}
	// The fetches end with Run, however it ends.
	fetching, stop := context.WithCancel(ctx)
	var fetchers sync.WaitGroup
	defer fetchers.Wait()
	defer stop()
	for _, l := range d.lanes {
		fetchers.Go(func() { l.poll(fetching, d.fetched) })
	}
	fetchers.Go(func() { d.listen(fetching) })
	err := d.loop(ctx)
	stop()
	fetchers.Wait()
	d.handBack()
	return fmt.Errorf("delivering to %s: %w", d.name, err)
}

// start takes the key, binds to the durables and finishes what an earlier
// process has left.
func (d *Delivery) start(ctx context.Context) error {
	if err := d.claim(ctx); err != nil {
		return err
	}
	urgent, routine := proto.LaneConsumers(d.name)
	for i, def := range []proto.Consumer{urgent, routine} {
		consumer, err := d.bind(ctx, def)
		if err != nil {
			return err
		}
		d.lanes[i] = newLane(i, consumer, def.MaxAckPending)
	}
	if err := d.recognise(ctx); err != nil {
		return err
	}
	d.recognised = true
	if d.state.Unrecorded != nil {
		if err := d.finish(ctx); err != nil {
			return err
		}
	}
	// So that readiness can tell before there is an alert.
	d.probe(ctx)
	if o := d.state.Outage; o != nil && !o.Broken && d.state.Plan == nil {
		d.recovered()
	}
	d.report()
	return nil
}

// loop makes one message after the other, and returns why it stops.
func (d *Delivery) loop(ctx context.Context) error {
	for {
		if d.state.Plan == nil {
			if err := d.next(ctx); err != nil {
				return err
			}
		}
		if err := d.deliver(ctx); err != nil {
			return err
		}
	}
}

// bind binds to a durable as soon as the bus answers.
func (d *Delivery) bind(ctx context.Context, def proto.Consumer) (*bus.Consumer, error) {
	for retry := newRetry(); ; {
		consumer, err := d.Conn.Bind(ctx, def.Stream, def.Durable)
		if err == nil || bus.Permanent(err) {
			return consumer, err
		}
		d.Log.Warn("binding to the alerts is delayed", "err", err, "durable", def.Durable)
		if err := retry.wait(ctx); err != nil {
			return nil, err
		}
	}
}
