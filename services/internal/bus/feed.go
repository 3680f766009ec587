package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// What may wait for a slow reader. The client drops the rest.
	feedMessages = 16 << 10
	feedBytes    = 32 << 20

	// feedDoubt is after how long a feed supposes that it has missed something. In
	// a cluster a message can be sent while the servers are still telling each
	// other of a subscription, and nothing would ever say so.
	feedDoubt = 30 * time.Second
)

// errMissed reports that a feed may have missed messages. It goes on behind them.
var errMissed = errors.New("messages may have been missed")

// Feed is a subscription to what is being stored, and a hint only: what was stored
// while there was no connection, or while too much waited for the reader, is not in
// it. [Conn.Follow] and [Conn.Watch] are complete. It is not safe for concurrent use.
type Feed struct {
	ctx      context.Context
	conn     *Conn
	filter   string
	messages chan *nats.Msg
	sub      *nats.Subscription
	dropped  int // that next has reported
	missed   chan struct{}
	doubt    *time.Timer
	end      func()
}

// Live subscribes to what is stored from now on under filter, until ctx ends or
// Close is called: a pattern of stored subjects, or of [proto.StateChange] for the
// state bucket. When it returns, the server knows of the subscription: nothing
// stored later is missed.
func (c *Conn) Live(ctx context.Context, filter string) (*Feed, error) {
	concerns := func(subject string) bool { return subject == filter }
	ctx, end := c.beginLasting(ctx, concerns)
	f := &Feed{
		ctx: ctx, conn: c, filter: filter, end: end,
		messages: make(chan *nats.Msg), missed: make(chan struct{}, 1), doubt: time.NewTimer(feedDoubt),
	}
	// A callback, because the other kinds of subscription cannot be bounded in
	// bytes, or take an empty message whose publisher gave it a Status header for
	// the server's own word.
	var err error
	f.sub, err = c.nc.Subscribe(filter, func(m *nats.Msg) {
		select {
		case f.messages <- m:
		case <-ctx.Done():
		}
	})
	if err != nil {
		end()
		return nil, fmt.Errorf("subscribing to %s: %w", filter, c.outcome(ctx, err))
	}
	c.addFeed(f)
	err = f.sub.SetPendingLimits(feedMessages, feedBytes)
	if err == nil {
		flush, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		err = c.nc.FlushWithContext(flush)
	}
	if e := c.violation(concerns); e != nil { // comes before the reply to the flush
		err = e
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("subscribing to %s: %w", filter, c.outcome(ctx, err))
	}
	return f, nil
}

// Next waits for the next message. It returns an error when ctx or the feed's own
// context ends, and a [*PermissionError] if the role may not listen.
func (f *Feed) Next(ctx context.Context) (*Stored, error) {
	for {
		if m, err := f.next(ctx); !errors.Is(err, errMissed) {
			return m, err
		}
	}
}

// next is Next that returns errMissed where something may be missing: after a
// reconnect, behind a slow reader, and now and then without any sign.
func (f *Feed) next(ctx context.Context) (*Stored, error) {
	if dropped, err := f.sub.Dropped(); err == nil && dropped > f.dropped {
		f.dropped = dropped
		return nil, errMissed
	}
	select {
	case m := <-f.messages:
		s, err := parseStored(m)
		if err != nil {
			return nil, fmt.Errorf("reading a message on %s: %w", m.Subject, err)
		}
		return s, nil
	case <-f.missed:
		return nil, errMissed
	case <-f.doubt.C:
		f.doubt.Reset(feedDoubt)
		return nil, errMissed
	case <-f.ctx.Done():
		return nil, fmt.Errorf("listening to %s: %w", f.filter, f.conn.outcome(f.ctx, context.Cause(f.ctx)))
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close ends the feed.
func (f *Feed) Close() {
	f.conn.removeFeed(f)
	_ = f.sub.Unsubscribe() // fails only where there is no subscription any more
	f.doubt.Stop()
	f.end()
}

func (c *Conn) addFeed(f *Feed) {
	c.feedsMu.Lock()
	defer c.feedsMu.Unlock()
	if c.feeds == nil {
		c.feeds = make(map[*Feed]struct{})
	}
	c.feeds[f] = struct{}{}
}

func (c *Conn) removeFeed(f *Feed) {
	c.feedsMu.Lock()
	defer c.feedsMu.Unlock()
	delete(c.feeds, f)
}

// interrupted has all feeds say that they may have missed something.
func (c *Conn) interrupted() {
	c.feedsMu.Lock()
	defer c.feedsMu.Unlock()
	for f := range c.feeds {
		select {
		case f.missed <- struct{}{}:
		default:
		}
	}
}
