package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// operation is a call that waits for the server. What reaches the connection on
// the side, a permission violation or a disconnect, ends the operation by
// cancelling its context with that cause.
type operation struct {
	concerns func(subject string) bool // subjects that it publishes or subscribes to
	cancel   context.CancelCauseFunc
	lasting  bool // goes on after a disconnect
}

// operations are those under way on one connection.
type operations struct {
	mu       sync.Mutex
	active   map[*operation]struct{}
	noInbox  *PermissionError // no reply can arrive: the inbox is denied
	reported map[string]bool  // violations that were nobody's, by operation and subject head
}

// begin returns a context for an operation that concerns the subjects, up to
// timeout long unless ctx ends sooner. The caller must call end.
func (c *Conn) begin(ctx context.Context, timeout time.Duration, concerns func(subject string) bool) (_ context.Context, end func()) {
	ctx, stop := context.WithTimeout(ctx, timeout)
	ctx, cancel := context.WithCancelCause(ctx)
	remove := c.ops.add(&operation{concerns: concerns, cancel: cancel})
	return ctx, func() {
		remove()
		cancel(nil)
		stop()
	}
}

// beginLasting is begin for an operation that a disconnect or the time does not
// end.
func (c *Conn) beginLasting(ctx context.Context, concerns func(subject string) bool) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	remove := c.ops.add(&operation{concerns: concerns, cancel: cancel, lasting: true})
	return ctx, func() {
		remove()
		cancel(nil)
	}
}

// beginOn is begin for an operation that concerns exactly one subject.
func (c *Conn) beginOn(ctx context.Context, subject string) (_ context.Context, end func()) {
	return c.begin(ctx, requestTimeout, func(s string) bool { return s == subject })
}

func (o *operations) add(op *operation) (remove func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.active == nil {
		o.active = make(map[*operation]struct{})
	}
	o.active[op] = struct{}{}
	if o.noInbox != nil {
		op.cancel(o.noInbox)
	}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.active, op)
	}
}

// fail ends the operations that which selects and reports whether there was any.
func (o *operations) fail(which func(*operation) bool, cause error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := false
	for op := range o.active {
		if which(op) {
			op.cancel(cause)
			found = true
		}
	}
	return found
}

// deny ends the operations that a violation concerns. It reports whether the
// violation is dealt with: returned by an operation, or seen before.
func (o *operations) deny(e *PermissionError) bool {
	if e.Op == "subscribe" && strings.HasPrefix(e.Subject, InboxPrefix(e.Role)+".") {
		o.mu.Lock()
		o.noInbox = e
		o.mu.Unlock()
		if o.fail(func(*operation) bool { return true }, e) {
			return true
		}
	}
	if o.fail(func(op *operation) bool { return op.concerns(e.Subject) }, e) {
		return true
	}
	// The first four tokens name a source, a consumer or a request; what
	// follows may differ each time, and would be reported without end.
	head := e.Subject
	if tokens := strings.SplitN(e.Subject, ".", 5); len(tokens) == 5 {
		head = strings.Join(tokens[:4], ".")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reported == nil {
		o.reported = make(map[string]bool)
	}
	seen := o.reported[e.Op+" "+head]
	o.reported[e.Op+" "+head] = true
	return seen
}

// forget forgets what was denied: after a reconnect the server says it again, if
// it still is.
func (o *operations) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.noInbox, o.reported = nil, nil
}

// parseViolation reads the server's report of a permission violation, nil if err
// is something else. It comes as text only: `Permissions Violation for Publish
// to "subject"`, or for Subscription (nats-server, client.go).
func parseViolation(role string, err error) *PermissionError {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return nil
	}
	_, rest, _ := strings.Cut(err.Error(), "Violation for ")
	what, rest, _ := strings.Cut(rest, " to ")
	quoted, quoteErr := strconv.QuotedPrefix(rest)
	if quoteErr != nil {
		return nil
	}
	subject, quoteErr := strconv.Unquote(quoted)
	if quoteErr != nil {
		return nil
	}
	op := "publish"
	if what == "Subscription" {
		op = "subscribe"
	}
	return &PermissionError{Role: role, Op: op, Subject: subject}
}

// violation is the violation reported last, if it concerns the subjects. It is
// known here as soon as it has arrived, when the error handler that ends
// operations may not have had its turn.
func (c *Conn) violation(concerns func(subject string) bool) error {
	if e := parseViolation(c.role, c.nc.LastError()); e != nil && concerns(e.Subject) {
		return e
	}
	return nil
}

// outcome explains why an operation ended with err: by what came on the side, if
// anything did.
func (c *Conn) outcome(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var permission *PermissionError
	switch {
	case errors.As(cause, &permission):
		return permission
	case errors.Is(cause, ErrNotConnected), errors.Is(cause, ErrClosed):
		return cause
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected):
		return fmt.Errorf("%w: %w", ErrNotConnected, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("waiting for the server's reply: %w", err)
	default:
		return err
	}
}
