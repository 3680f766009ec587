package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrUnanswered reports that nobody listens for a request.
var ErrUnanswered = errors.New("nobody answers requests of this kind")

// maxRequest bounds how long Request waits for a reply if its context does not.
const maxRequest = time.Minute

// Request sends a request to the role that answers it, and returns the reply. The
// error wraps [ErrUnanswered] if nobody does, and is ctx's if the reply takes too
// long.
func (c *Conn) Request(ctx context.Context, subject string, body []byte) ([]byte, error) {
	ctx, end := c.begin(ctx, maxRequest, func(s string) bool { return s == subject })
	defer end()
	reply, err := c.nc.RequestWithContext(ctx, subject, body)
	if errors.Is(err, nats.ErrNoResponders) {
		err = ErrUnanswered
	}
	if err != nil {
		return nil, fmt.Errorf("requesting %s: %w", subject, c.outcome(ctx, err))
	}
	return reply.Data, nil
}

// maxAnswering bounds the requests that are answered at the same time. Further ones
// are dropped, and their senders wait in vain.
const maxAnswering = 64

// Answer replies to the requests under filter, a pattern of subjects, until ctx
// ends, and then waits for the answers under way: each request is handled in a
// goroutine of its own. It returns an error if the role may not listen.
func (c *Conn) Answer(ctx context.Context, filter string, handle func(ctx context.Context, subject string, body []byte) (reply []byte)) error {
	concerns := func(subject string) bool { return subject == filter }
	parent := ctx
	ctx, end := c.beginLasting(ctx, concerns)
	defer end()
	requests := make(chan *nats.Msg, maxAnswering)
	sub, err := c.nc.ChanSubscribe(filter, requests)
	if err != nil {
		return fmt.Errorf("listening for requests of %s: %w", filter, c.outcome(ctx, err))
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only where there is no subscription any more
	var answering sync.WaitGroup
	defer answering.Wait()
	places := make(chan struct{}, maxAnswering)
	for {
		select {
		case m := <-requests:
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				continue
			}
			answering.Go(func() {
				defer func() { <-places }()
				reply := handle(ctx, m.Subject, m.Data)
				if err := m.Respond(reply); err != nil {
					c.log.Warn("a reply was not sent", "err", err, "subject", m.Subject)
				}
			})
		case <-ctx.Done():
			if parent.Err() != nil {
				return nil
			}
			return fmt.Errorf("listening for requests of %s: %w", filter, c.outcome(ctx, context.Cause(ctx)))
		}
	}
}
