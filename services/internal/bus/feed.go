package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// feedBuffer is how many messages may wait for a slow reader. The client drops
// what comes on top, and logs that it does.
const feedBuffer = 16 << 10

// Feed is a subscription to what is being stored. It goes on after a reconnect;
// what was stored in between, or while too much waited, is not in it: a reader
// who must have all of it fills the holes between sequences from
// [Conn.History]. It is not safe for concurrent use.
type Feed struct {
	ctx      context.Context
	conn     *Conn
	filter   string
	messages chan *nats.Msg
	sub      *nats.Subscription
	end      func()
}

// Live subscribes to what is stored from now on under filter, a pattern of
// stored subjects, until ctx ends or Close is called. When it returns, the
// server knows of the subscription: nothing stored later is missed.
func (c *Conn) Live(ctx context.Context, filter string) (*Feed, error) {
	concerns := func(subject string) bool { return subject == filter }
	ctx, end := c.beginLasting(ctx, concerns)
	f := &Feed{ctx: ctx, conn: c, filter: filter, messages: make(chan *nats.Msg, feedBuffer), end: end}
	var err error
	if f.sub, err = c.nc.ChanSubscribe(filter, f.messages); err != nil {
		end()
		return nil, fmt.Errorf("subscribing to %s: %w", filter, c.outcome(ctx, err))
	}
	flush, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = c.nc.FlushWithContext(flush)
	if e := c.violation(concerns); e != nil { // comes before the answer to the flush
		err = e
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("subscribing to %s: %w", filter, c.outcome(ctx, err))
	}
	return f, nil
}

// Next waits for the next message. It returns an error when ctx or the feed's
// own context ends, and a [*PermissionError] if the role may not listen.
func (f *Feed) Next(ctx context.Context) (*Stored, error) {
	select {
	case m := <-f.messages:
		s, err := parseStored(m)
		if err != nil {
			return nil, fmt.Errorf("reading a message on %s: %w", m.Subject, err)
		}
		return s, nil
	case <-f.ctx.Done():
		return nil, fmt.Errorf("listening to %s: %w", f.filter, f.conn.outcome(f.ctx, context.Cause(f.ctx)))
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close ends the feed.
func (f *Feed) Close() {
	_ = f.sub.Unsubscribe() // fails only where there is no subscription any more
	f.end()
}
