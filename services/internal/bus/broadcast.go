package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Broadcast sends msg to whoever listens now; nothing stores it, and nobody
// answers: without the right to send there, it is lost.
func (c *Conn) Broadcast(msg *nats.Msg) error {
	if err := c.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("sending to %s: %w", msg.Subject, c.outcome(context.Background(), err))
	}
	return nil
}

// Flush waits until the server has got everything that was sent.
func (c *Conn) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("waiting until the server has got everything: %w", c.outcome(ctx, err))
	}
	return nil
}
