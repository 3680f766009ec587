package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/services/internal/retry"
)

const (
	fetchExpiry  = time.Second     // of a request that waits; Fetch makes another
	fetchSilence = 5 * time.Second // beyond it, after which a request has been lost
	fetchRetry   = 250 * time.Millisecond
)

// fetchBytes bounds what one request brings, in bytes. It is far more than one
// message may have.
const fetchBytes = 16 << 20

// Consumer is a durable to fetch from. It is safe for concurrent use.
type Consumer struct {
	conn    *Conn
	stream  string
	durable string
}

// Bind returns the durable after checking that it exists and has this program's
// schema version; errors as for [Conn.CheckSchema].
func (c *Conn) Bind(ctx context.Context, stream, durable string) (*Consumer, error) {
	info, err := c.consumerInfo(ctx, stream, durable)
	if err != nil {
		return nil, fmt.Errorf("binding to durable %s of %s: %w", durable, stream, err)
	}
	if err := checkVersion("durable "+durable, info.Config.Metadata); err != nil {
		return nil, err
	}
	return &Consumer{conn: c, stream: stream, durable: durable}, nil
}

// AwaitBind is Bind as soon as the bus answers: it waits out an absent server. It
// returns an error if the bus refuses for good, and the cause of ctx's end.
func (c *Conn) AwaitBind(ctx context.Context, stream, durable string) (consumer *Consumer, err error) {
	policy := retry.Policy{Min: bindRetry, Max: maxBindRetry, OnRetry: func(err error, wait time.Duration) {
		c.log.Warn("binding is delayed", "durable", durable, "err", err, "retry_in", wait)
	}}
	err = retry.Do(ctx, policy, func(ctx context.Context) error {
		consumer, err = c.Bind(ctx, stream, durable)
		if Permanent(err) {
			return retry.Permanent(err)
		}
		return err
	})
	return consumer, err
}

// Waits between attempts to bind.
const (
	bindRetry    = 200 * time.Millisecond
	maxBindRetry = 10 * time.Second
)

// Progress says how far a durable has got.
type Progress struct {
	Pending      uint64 // stored and not delivered yet
	Unacked      int    // delivered and not acknowledged
	Redelivered  int    // of those, delivered more than once
	AckedThrough uint64 // everything up to this sequence is acknowledged
	Delivered    uint64 // how many deliveries there were, repeated ones included
}

// Progress asks the server how far the durable has got.
func (c *Consumer) Progress(ctx context.Context) (Progress, error) {
	info, err := c.conn.consumerInfo(ctx, c.stream, c.durable)
	if err != nil {
		return Progress{}, fmt.Errorf("asking for the progress of durable %s: %w", c.durable, err)
	}
	return progress(info), nil
}

func progress(info *jetstream.ConsumerInfo) Progress {
	return Progress{
		Pending:      info.NumPending,
		Unacked:      info.NumAckPending,
		Redelivered:  info.NumRedelivered,
		AckedThrough: info.AckFloor.Stream,
		Delivered:    info.Delivered.Consumer,
	}
}

// Fetch waits until there is a message and returns those that there are, up to
// limit. It outlasts disconnects, restarts of the server and changes of its
// leader. It returns an error when ctx ends, when the connection is closed for
// good, when the role may not fetch, and, wrapping [ErrNotProvisioned], when the
// durable is gone.
//
// No request stays open between calls, so that the time to acknowledge starts
// only when the caller is ready.
func (c *Consumer) Fetch(ctx context.Context, limit int) ([]*Msg, error) {
	// Every request must be ended by the server, which has no way to cancel
	// one: what it sends while the client no longer listens is lost, and is not
	// sent again until AckWait has passed. So the first request brings what is
	// there and ends at once; the second waits a short time and ends with its
	// only message; and ctx is checked between requests.
	ready := pullRequest{Batch: limit, MaxBytes: fetchBytes, NoWait: true}
	next := pullRequest{Batch: 1, Expires: fetchExpiry}
	for request := ready; ; {
		msgs, err := c.pull(ctx, request)
		switch {
		case ctx.Err() != nil:
			return nil, errors.Join(context.Cause(ctx), handBack(msgs))
		case len(msgs) > 0:
			return msgs, nil
		case err == nil:
			request = next
			continue
		}
		if err = c.fatal(ctx, err); err != nil {
			return nil, fmt.Errorf("fetching from durable %s of %s: %w", c.durable, c.stream, err)
		}
		if retry.Sleep(ctx, fetchRetry) != nil {
			return nil, context.Cause(ctx)
		}
		request = ready
	}
}

// handBack makes msgs available to the next fetch at once.
func handBack(msgs []*Msg) error {
	for _, m := range msgs {
		if err := m.Nak(0); err != nil {
			return err
		}
	}
	return nil
}

// fatal returns err if trying again cannot help, nil if it can.
func (c *Consumer) fatal(ctx context.Context, err error) error {
	var permission *PermissionError
	if errors.As(err, &permission) || errors.Is(err, ErrClosed) {
		return err
	}
	// There is no reply for a durable that is gone, and none either while
	// its server starts or its leader changes.
	if _, err := c.conn.consumerInfo(ctx, c.stream, c.durable); errors.Is(err, ErrNotProvisioned) || errors.As(err, &permission) {
		return err
	}
	return nil
}

// pullRequest is the body of a pull request (nats-server:
// JSApiConsumerGetNextRequest).
type pullRequest struct {
	Batch int `json:"batch"`
	// Without a bound the server writes all of a batch at once, and takes a client
	// that does not keep up for one that is stuck.
	MaxBytes int           `json:"max_bytes,omitempty"`
	NoWait   bool          `json:"no_wait,omitempty"`
	Expires  time.Duration `json:"expires,omitempty"`
}

// pull makes one pull request and collects what it brings until the server ends
// it, even if ctx ends.
func (c *Consumer) pull(ctx context.Context, r pullRequest) ([]*Msg, error) {
	nc := c.conn.nc
	if !nc.IsConnected() && !nc.IsClosed() {
		return nil, ErrNotConnected
	}
	request, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	subject := "$JS.API.CONSUMER.MSG.NEXT." + c.stream + "." + c.durable
	ctx, end := c.conn.begin(context.WithoutCancel(ctx), r.Expires+fetchSilence, func(s string) bool { return s == subject })
	defer end()
	replies := make(chan *nats.Msg, r.Batch+16)
	inbox := nc.NewInbox()
	sub, err := nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return nil, c.conn.outcome(ctx, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // only fails on a closed connection
	if err := nc.PublishRequest(subject, inbox, request); err != nil {
		return nil, c.conn.outcome(ctx, err)
	}
	return c.collect(ctx, replies, r.Batch)
}

func (c *Consumer) collect(ctx context.Context, replies <-chan *nats.Msg, limit int) ([]*Msg, error) {
	var msgs []*Msg
	for len(msgs) < limit {
		select {
		case m := <-replies:
			// The reply subject decides, which only the server sets: a publisher
			// can give its message a Status header too.
			if !strings.HasPrefix(m.Reply, "$JS.ACK.") {
				return msgs, endOfPull(m)
			}
			msg, err := c.message(m)
			if err != nil {
				return msgs, err
			}
			msgs = append(msgs, msg)
		case <-ctx.Done():
			return msgs, c.conn.outcome(ctx, ctx.Err())
		}
	}
	return msgs, nil
}

// endOfPull is nil for the ordinary ends of a request: nothing (more) there, or
// expired.
func endOfPull(m *nats.Msg) error {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	if code == "404" || code == "408" && text == "Request Timeout" {
		return nil
	}
	return &statusError{code, text}
}
