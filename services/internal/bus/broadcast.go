package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Broadcast sends msg to whoever listens now; nothing stores it, and nobody
// answers. Flush tells whether the server took what was sent.
func (c *Conn) Broadcast(msg *nats.Msg) error {
	if err := c.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("sending to %s: %w", msg.Subject, c.outcome(context.Background(), err))
	}
	return nil
}

// Flush waits until the server has taken everything that was sent. It returns a
// [*PermissionError] if it refused to take what went to subject.
func (c *Conn) Flush(ctx context.Context, subject string) error {
	ctx, end := c.begin(ctx, requestTimeout, func(s string) bool { return s == subject })
	defer end()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("sending to %s: %w", subject, c.outcome(ctx, err))
	}
	return nil
}
