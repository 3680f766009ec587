package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// The lanes, by what they hold.
const (
	urgent  = 0 // high and critical
	routine = 1 // the rest
)

const (
	chunk       = 512             // alerts fetched at once
	fillTimeout = 2 * time.Second // for a chunk that the server says is there
)

// lane is one of the two durables of a chat, and what was fetched from it.
type lane struct {
	which    int
	consumer *bus.Consumer
	most     int // unacknowledged alerts that the server hands out
	want     chan struct{}
	polling  bool
	pile     pile
	progress bus.Progress
}

func newLane(which int, consumer *bus.Consumer, most int) *lane {
	return &lane{which: which, consumer: consumer, most: most, want: make(chan struct{}, 1)}
}

func (l *lane) String() string { return [...]string{"urgent", "routine"}[l.which] }

// fetched is what a fetch has brought.
type fetched struct {
	lane *lane
	msgs []*bus.Msg
	err  error
}

// poll waits for alerts each time the lane is told to. out has room for what it
// sends.
func (l *lane) poll(ctx context.Context, out chan<- fetched) {
	for {
		select {
		case <-l.want:
		case <-ctx.Done():
			return
		}
		msgs, err := l.consumer.Fetch(ctx, chunk)
		out <- fetched{l, msgs, err}
		if err != nil {
			return
		}
	}
}

// ask has the lane wait for alerts if it has none.
func (l *lane) ask() {
	if !l.polling && l.pile.empty() {
		l.polling = true
		l.want <- struct{}{}
	}
}

// fill fetches what else waits, as much as the server hands out, to be told of
// in one message. Sooner or later it comes to an end even if alerts come faster
// than they are taken, or all are such as need no message.
func (d *Delivery) fill(ctx context.Context, l *lane) error {
	for range 2 * (l.most/chunk + 1) {
		p, err := l.consumer.Progress(ctx)
		if err != nil {
			return d.absent(ctx, err)
		}
		l.progress = p
		room := l.most - max(len(l.pile.members), p.Unacked)
		if p.Pending == 0 || room <= 0 {
			return nil
		}
		limit := min(chunk, room)
		fetching, cancel := context.WithTimeout(ctx, fillTimeout)
		msgs, err := l.consumer.Fetch(fetching, limit)
		expired := fetching.Err() != nil
		cancel()
		switch {
		case err != nil && ctx.Err() == nil && expired:
			return nil
		case err != nil:
			return fmt.Errorf("fetching %s alerts: %w", l, err)
		}
		if err := d.take(ctx, l, msgs); err != nil {
			return err
		}
		if len(msgs) < limit {
			return nil
		}
	}
	return nil
}

// fillIf fills the lanes that which selects, but for those that are waiting for
// alerts anyway.
func (d *Delivery) fillIf(ctx context.Context, which func(*lane) bool) error {
	for _, l := range d.lanes {
		if l.polling || !which(l) {
			continue
		}
		if err := d.fill(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// absent is nil if err is such that the bus may answer later.
func (d *Delivery) absent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if bus.Permanent(err) {
		return err
	}
	d.Log.Debug("the bus does not answer", "err", err)
	return nil
}

// handBack makes what is held available to the next notifier at once, which
// would otherwise have to wait until the time to acknowledge has run out.
func (d *Delivery) handBack() {
	var msgs []*bus.Msg
	for _, l := range d.lanes {
		for _, m := range l.pile.takeAll() {
			if m.msg != nil {
				msgs = append(msgs, m.msg)
			}
		}
		msgs = append(msgs, d.inHand[l.which]...)
	}
	for len(d.fetched) > 0 {
		msgs = append(msgs, (<-d.fetched).msgs...)
	}
	for _, m := range msgs {
		if err := m.Nak(0); err != nil {
			d.Log.Warn("handing alerts back", "err", err, "sequence", m.Sequence)
			return
		}
	}
}

// look asks, every now and then, how far the lanes are, for the metrics and to
// find out what retention has removed.
func (d *Delivery) look(ctx context.Context) error {
	now := d.Clock.Now()
	if !d.lastLook.IsZero() && now.Sub(d.lastLook) < lookInterval {
		return nil
	}
	doubt := d.lastLook.IsZero() || len(d.seen.above) > 0
	d.lastLook = now
	idle := len(d.fetched) == 0
	for _, l := range d.lanes {
		p, err := l.consumer.Progress(ctx)
		if err != nil {
			return d.absent(ctx, err)
		}
		l.progress = p
		idle = idle && p.Pending == 0 && p.Unacked == 0
		doubt = doubt || p.Pending > 0
		d.metrics.waiting.WithLabelValues(l.String()).Set(float64(p.Pending) + float64(p.Unacked))
	}
	d.metrics.oldest.Set(d.oldest(now).Seconds())
	if doubt {
		if err := d.lookForLost(ctx); err != nil {
			return err
		}
	}
	if idle {
		d.seen.all()
	}
	return nil
}

// oldest is for how long the oldest alert that is held has been waiting.
func (d *Delivery) oldest(now time.Time) time.Duration {
	oldest := now
	if p := d.state.Plan; p != nil && !p.Oldest.IsZero() {
		oldest = p.Oldest
	}
	for _, l := range d.lanes {
		if len(l.pile.members) > 0 && l.pile.members[0].stored.Before(oldest) {
			oldest = l.pile.members[0].stored
		}
	}
	return now.Sub(oldest)
}
