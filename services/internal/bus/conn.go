package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

const (
	dialTimeout    = 2 * time.Second        // for one attempt to connect
	connectRetry   = 500 * time.Millisecond // between attempts, before and after the first success
	connectJitter  = 250 * time.Millisecond
	requestTimeout = 5 * time.Second // for an answer to a question
	closeTimeout   = 2 * time.Second // for the last acknowledgements to leave

	// A server that is out of reach without a word, because a cable was pulled or
	// it has another address now, is given up within 30 s. The client's default
	// takes 6 minutes, and the kernel's far longer.
	pingInterval = 10 * time.Second
	pingsLost    = 2
)

// Options say where and as whom to connect.
type Options struct {
	// URL of the server, or several separated by commas.
	URL string
	// Role is the role to act as: it decides the inbox, and errors name it.
	Role string
	// Key is the role's nkey; nil connects without credentials.
	Key nkeys.KeyPair
	// Log takes what happens to the connection; nil discards it.
	Log *slog.Logger
	// OnState, if set, is told nil when the connection is established and the
	// reason when it is not. It must not block.
	OnState func(error)
}

// Conn is a connection to the bus. It reconnects by itself and is safe for
// concurrent use.
type Conn struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	role    string
	log     *slog.Logger
	onState func(error)
	ops     operations
}

// InboxPrefix is the subject prefix under which a role receives answers. It is
// the role's own: in a shared inbox every role could read every other's.
func InboxPrefix(role string) string { return "_INBOX_" + role }

// Connect connects, and waits for a server that cannot be reached yet until ctx
// ends, logging each new reason once. A rejected key is an error at once,
// wrapping [ErrRejected].
func Connect(ctx context.Context, o Options) (*Conn, error) {
	c := &Conn{
		role:    o.Role,
		log:     cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("role", o.Role),
		onState: o.OnState,
	}
	if c.onState == nil {
		c.onState = func(error) {}
	}
	options, err := c.natsOptions(o)
	if err != nil {
		return nil, fmt.Errorf("preparing the NATS connection of role %s: %w", o.Role, err)
	}
	var reason string
	for {
		nc, err := nats.Connect(o.URL, options...)
		if err == nil {
			return c.start(nc)
		}
		if rejected(err) {
			return nil, fmt.Errorf("connecting to NATS at %s as role %s: %w: %w", o.URL, o.Role, ErrRejected, err)
		}
		c.onState(err)
		if err.Error() != reason {
			reason = err.Error()
			c.log.Warn("waiting for NATS", "url", o.URL, "err", err)
		}
		if pause(ctx, connectRetry) != nil {
			return nil, fmt.Errorf("connecting to NATS at %s: %w; last: %w", o.URL, context.Cause(ctx), err)
		}
	}
}

func (c *Conn) start(nc *nats.Conn) (*Conn, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("preparing JetStream: %w", err)
	}
	c.nc, c.js = nc, js
	c.log.Info("connected to NATS", "server", nc.ConnectedUrlRedacted())
	c.onState(nil)
	return c, nil
}

func (c *Conn) natsOptions(o Options) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name(o.Role),
		nats.CustomInboxPrefix(InboxPrefix(o.Role)),
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsLost),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(connectRetry),
		nats.ReconnectJitter(connectJitter, connectJitter),
		// Nothing is buffered while disconnected: what cannot be sent now fails
		// now, so that its outcome is known.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(c.disconnected),
		nats.ReconnectHandler(c.reconnected),
		nats.ClosedHandler(c.closed),
		nats.ErrorHandler(c.asyncError),
	}
	if o.Key != nil {
		public, err := o.Key.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("reading the public key: %w", err)
		}
		options = append(options, nats.Nkey(public, o.Key.Sign))
	}
	return options, nil
}

// MaxPayload is the most bytes that the server takes in one message, headers
// included.
func (c *Conn) MaxPayload() int { return int(c.nc.MaxPayload()) }

// Close sends what is written, for at most two seconds, and closes the
// connection. An error means that acknowledgements may not have left.
func (c *Conn) Close() error {
	err := c.nc.FlushTimeout(closeTimeout)
	c.nc.Close()
	if err != nil {
		return fmt.Errorf("flushing the NATS connection: %w", err)
	}
	return nil
}

func (c *Conn) disconnected(_ *nats.Conn, err error) {
	c.ops.forget()
	c.ops.fail(func(op *operation) bool { return !op.lasting }, ErrNotConnected)
	if err == nil { // closed by ourselves
		return
	}
	c.log.Warn("disconnected from NATS", "err", err)
	c.onState(fmt.Errorf("%w: %w", ErrNotConnected, err))
}

func (c *Conn) reconnected(nc *nats.Conn) {
	c.log.Info("reconnected to NATS", "server", nc.ConnectedUrlRedacted())
	c.onState(nil)
}

func (c *Conn) closed(nc *nats.Conn) {
	c.ops.fail(func(*operation) bool { return true }, ErrClosed)
	if err := nc.LastError(); rejected(err) {
		c.log.Error("the NATS server rejects the key since a reconnect", "err", err)
		c.onState(fmt.Errorf("%w: %w: %w", ErrClosed, ErrRejected, err))
		return
	}
	c.onState(ErrClosed)
}

func (c *Conn) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if e := parseViolation(c.role, err); e != nil {
		if !c.ops.deny(e) {
			c.log.Error("the NATS server refused an operation", "err", e)
		}
		return
	}
	if sub != nil {
		c.log.Warn("NATS subscription", "subject", sub.Subject, "err", err)
		return
	}
	c.log.Warn("NATS connection", "err", err)
}

func rejected(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) ||
		errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired) ||
		errors.Is(err, nats.ErrNkeysNotSupported)
}

// pause waits for d or until ctx ends, and then returns its error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
