package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/planner"
)

const (
	chunk       = 512             // alerts fetched at once
	fillTimeout = 2 * time.Second // for a chunk that the server says is there

	// maxWaiting bounds a pending queue, and with it what a plan is about. reserved
	// is the part of it that only critical alerts get.
	maxWaiting = 8192
	reserved   = 1024
)

// lane is one of the durables of a chat, in one stream.
type lane struct {
	which    planner.Lane // the queue of its alerts
	critical bool         // it has the critical alerts of its stream
	def      proto.Consumer
	limit    int // alerts in that queue, beyond which nothing is fetched
	consumer *consume.Consumer
	queue    *planner.Queue
	want     chan struct{}
	fetching bool
}

// newLane returns the lane of a durable of [proto.LaneConsumers], bound.
func newLane(ctx context.Context, o *Options, def proto.Consumer, routine, critical bool) (*lane, error) {
	l := &lane{which: planner.Urgent, critical: critical, def: def, limit: maxWaiting - reserved, want: make(chan struct{}, 1)}
	if routine {
		l.which = planner.Routine
	}
	if routine || critical {
		l.limit = maxWaiting
	}
	l.queue = o.Queues[l.which]
	var err error
	l.consumer, err = consume.Bind(ctx, consume.Options{Conn: o.Conn, Durable: def, Log: o.Log, Metrics: o.Consumers})
	return l, err
}

// Fetched is what a fetch has brought, for [Intake.Accept].
type Fetched struct {
	lane *lane
	msgs []*bus.Msg
	err  error
}

// run makes a fetch, which waits for alerts, for each request, until ctx ends.
func (l *lane) run(ctx context.Context, out chan<- Fetched) {
	for {
		select {
		case <-l.want:
		case <-ctx.Done():
			return
		}
		msgs, err := l.consumer.Fetch(ctx, chunk)
		select {
		case out <- Fetched{l, msgs, err}:
		case <-ctx.Done():
			l.consumer.HandBack(msgs...)
			return
		}
		if err != nil {
			return
		}
	}
}

// waiting is how many of its alerts are in the queue.
func (l *lane) waiting() int { return l.queue.Fetched(l.def.Stream, l.def.Durable) }

// room is how many alerts there is room for in the queue.
func (l *lane) room() int { return l.limit - l.queue.Len() }

// request has run fetch, if nothing of the lane waits and it does not fetch already.
func (l *lane) request() {
	if !l.fetching && l.waiting() == 0 && l.room() > 0 {
		l.fetching = true
		l.want <- struct{}{}
	}
}

// FillEmpty fetches what waits in the lanes of which nothing has been fetched.
func (i *Intake) FillEmpty(ctx context.Context) error { return i.fill(ctx, true) }

// FillUp fetches what else waits in the other lanes, as much as there is room for, so
// that one message is about all of it.
func (i *Intake) FillUp(ctx context.Context) error { return i.fill(ctx, false) }

// fill goes around the lanes, a chunk of each at a time: alerts that one source
// floods its stream with leave room for those of the others, and critical ones come
// first. A critical alert that comes meanwhile ends it. It comes to an end even if
// alerts come faster than they are accepted, or if none of them needs a message.
func (i *Intake) fill(ctx context.Context, empty bool) error {
	var lanes []*lane
	for _, l := range i.streams.lanes() {
		if !l.fetching && (l.waiting() == 0) == empty {
			lanes = append(lanes, l)
		}
	}
	for range 2 * (maxWaiting/chunk + 1) {
		var more []*lane
		for _, l := range lanes {
			all, err := i.fetchChunk(ctx, l)
			if err != nil {
				return err
			}
			if !all {
				more = append(more, l)
			}
		}
		if lanes = more; len(lanes) == 0 {
			return nil
		}
		if came, err := i.criticalCame(ctx); came || err != nil {
			return err
		}
	}
	return nil
}

// criticalCame has the lanes of critical alerts fetch, accepts what fetches have brought
// meanwhile, and reports whether that leaves a few critical alerts to be sent first.
func (i *Intake) criticalCame(ctx context.Context) (bool, error) {
	before := i.o.Queues[planner.Urgent].Hurries()
	for _, l := range i.streams.lanes() {
		if i.fetching != nil && l.critical {
			l.request()
		}
	}
	for {
		select {
		case f := <-i.fetched:
			if err := i.Accept(ctx, f); err != nil {
				return false, err
			}
		default:
			return !before && i.o.Queues[planner.Urgent].Hurries(), nil
		}
	}
}

// fetchChunk fetches a chunk of what waits in a lane. It reports whether that was all
// that can be fetched now.
func (i *Intake) fetchChunk(ctx context.Context, l *lane) (all bool, err error) {
	p, err := l.consumer.Progress(ctx)
	if err != nil {
		return true, i.absent(ctx, i.streams.gone(l.def.Stream, err))
	}
	room := min(l.room(), l.def.MaxAckPending-max(l.waiting(), p.Unacked))
	if p.Pending == 0 || room <= 0 {
		return true, nil
	}
	limit := min(chunk, room)
	fetching, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	msgs, err := l.consumer.Fetch(fetching, limit)
	switch {
	case err != nil && ctx.Err() == nil && fetching.Err() != nil:
		return true, nil
	case err != nil:
		return true, i.streams.gone(l.def.Stream, fmt.Errorf("fetching %s alerts: %w", l.which, err))
	}
	return len(msgs) < limit, i.accept(ctx, l, msgs)
}
