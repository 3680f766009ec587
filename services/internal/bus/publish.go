package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ackTimeout bounds the wait for an acknowledgement. It is the server's own
// bound on an unfinished batch (nats-server 2.15: streamDefaultMaxBatchTimeout).
const ackTimeout = 10 * time.Second

// JetStream's error codes for what a stream refuses, as far as jetstream does
// not name them (nats-server 2.15, server/errors.json).
const (
	codeAccountResources = 10002
	codeNoResources      = 10023
	codeStoreFailed      = 10077
	codeBatchIncomplete  = 10176
	codeBatchTooLarge    = 10199
	codeBatchTooMany     = 10210
)

// Publish makes one attempt to store msg and waits for the stream's
// acknowledgement, up to ten seconds. nil means that it is stored durably;
// [ErrMaybeStored] that nobody knows; any other error that it is not stored.
func (c *Conn) Publish(ctx context.Context, msg *nats.Msg) error {
	_, err := c.store(ctx, []*nats.Msg{msg})
	if err != nil {
		return fmt.Errorf("publishing to %s: %w", msg.Subject, err)
	}
	return nil
}

// Broadcast sends msg to those who are subscribed now; nothing stores it, and there
// is no reply: without the right to send there, it is lost.
func (c *Conn) Broadcast(msg *nats.Msg) error {
	if err := c.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("sending to %s: %w", msg.Subject, c.outcome(context.Background(), err))
	}
	return nil
}

// Flush waits until the server has received everything that was sent.
func (c *Conn) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("waiting until the server has received everything: %w", c.outcome(ctx, err))
	}
	return nil
}

// ack is a stream's reply to a publish or to the commit of a batch.
type ack struct {
	Error    *jetstream.APIError `json:"error"`
	Stream   string              `json:"stream"`
	Sequence uint64              `json:"seq"` // of the last message stored
}

// store sends msgs and waits for the reply to the last of them. All but the
// last are parts of a batch, which the server acknowledges as a whole only.
func (c *Conn) store(ctx context.Context, msgs []*nats.Msg) (*ack, error) {
	if err := c.checkSendable(ctx, msgs); err != nil {
		return nil, err
	}
	concerns := func(subject string) bool {
		for _, m := range msgs {
			if m.Subject == subject {
				return true
			}
		}
		return false
	}
	ctx, end := c.begin(ctx, ackTimeout, concerns)
	defer end()

	staged, last := msgs[:len(msgs)-1], msgs[len(msgs)-1]
	for _, m := range staged {
		if err := c.nc.PublishMsg(m); err != nil {
			// Without its last message the server drops the batch.
			return nil, c.outcome(ctx, err)
		}
	}
	reply, err := c.nc.RequestMsgWithContext(ctx, last)
	if err != nil {
		return nil, c.unanswered(ctx, last.Subject, err)
	}
	a, err := parseAck(reply.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMaybeStored, err)
	}
	if a.Error == nil {
		return a, nil
	}
	if a.Error.ErrorCode == codeBatchIncomplete {
		// A part that the server refused for lack of permission is missing too.
		if e := c.violation(concerns); e != nil {
			return nil, e
		}
	}
	return nil, refusal(a.Error)
}

// checkSendable finds what makes sending pointless.
func (c *Conn) checkSendable(ctx context.Context, msgs []*nats.Msg) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.nc.IsClosed() {
		return c.outcome(ctx, nats.ErrConnectionClosed)
	}
	if !c.nc.IsConnected() {
		return ErrNotConnected
	}
	for _, m := range msgs {
		if size := messageSize(m); int64(size) > c.nc.MaxPayload() {
			return fmt.Errorf("%w: a message of %d bytes, where the server takes %d", ErrTooLarge, size, c.nc.MaxPayload())
		}
	}
	return nil
}

// unanswered is what the absence of a reply means.
func (c *Conn) unanswered(ctx context.Context, subject string, err error) error {
	var permission *PermissionError
	switch explained := c.outcome(ctx, err); {
	case errors.As(explained, &permission):
		return permission
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("no stream takes %s: %w", subject, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded), // nothing was written
		errors.Is(err, nats.ErrMaxPayload),
		errors.Is(err, nats.ErrBadSubject),
		errors.Is(err, nats.ErrConnectionDraining):
		return explained
	default:
		return fmt.Errorf("%w: %v", ErrMaybeStored, explained)
	}
}

func parseAck(data []byte) (*ack, error) {
	a := new(ack)
	if err := json.Unmarshal(data, a); err != nil {
		return nil, fmt.Errorf("reading the acknowledgement: %w", err)
	}
	if a.Error == nil && (a.Stream == "" || a.Sequence == 0) {
		return nil, errors.New("reading the acknowledgement: it names no stream and sequence")
	}
	return a, nil
}

// refusal is the error for a stream's definite no.
func refusal(e *jetstream.APIError) error {
	switch e.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", ErrFenced, e)
	case codeAccountResources, codeNoResources, codeStoreFailed:
		return fmt.Errorf("%w: %w", ErrNoSpace, e)
	case jetstream.JSErrCodeStreamMessageExceedsMaximum, codeBatchTooLarge:
		return fmt.Errorf("%w: %w", ErrTooLarge, e)
	case codeBatchIncomplete, codeBatchTooMany:
		return fmt.Errorf("%w: %w", ErrBatchRefused, e)
	default:
		return fmt.Errorf("the stream refuses it: %w", e)
	}
}

// messageSize is what m counts against the server's limit, a few bytes rounded up.
func messageSize(m *nats.Msg) int {
	size := len("NATS/1.0\r\n\r\n") + len(m.Data)
	for key, values := range m.Header {
		for _, v := range values {
			size += len(key) + len(": \r\n") + len(v)
		}
	}
	return size
}
