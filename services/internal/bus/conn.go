// Package bus is how the services speak to NATS JetStream: connecting as a
// role, publishing with known outcomes, consuming, reading history, and
// provisioning what package proto defines.
//
//	Connect ──▶ Conn ──┬─▶ Fence      one writer per source, in order, no doubles
//	                   ├─▶ Publish    one message, acknowledged
//	                   ├─▶ Consumer   a durable: Fetch ─▶ Msg ─▶ Ack | DeadLetter
//	                   ├─▶ History    what is stored, read without a consumer
//	                   ├─▶ Follow     what is stored and then what is added, each once
//	                   └─▶ Provision  streams and durables, created or migrated
//
// Every role has credentials and an inbox of its own ([Roles]). The server
// answers a request that a role may not make with silence, and reports the
// violation on the side; this package brings the two together, so that the call
// concerned returns a [*PermissionError] at once instead of timing out.
//
// A stored message's own headers come from its publisher and can imitate
// those that the server adds. Nothing here trusts them: see [Stored] and [Msg].
package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/services/internal/retry"
)

const (
	dialTimeout    = 2 * time.Second        // for one attempt to connect
	connectRetry   = 500 * time.Millisecond // between attempts, before and after the first success
	connectJitter  = 250 * time.Millisecond
	requestTimeout = 5 * time.Second // for a reply to a request
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
	// OnState, if set, is called with nil when the connection is established and
	// with the reason when it is not. It must not block.
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

	feedsMu sync.Mutex
	feeds   map[*Feed]struct{} // that are open

	denied sync.Map // names of streams that the role was found not to be allowed to read
}

// InboxPrefix is the subject prefix under which a role receives replies. It is
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
	var nc *nats.Conn
	var last error
	err = retry.Do(ctx, retry.Policy{Min: connectRetry, Max: connectRetry}, func(context.Context) (err error) {
		nc, err = nats.Connect(o.URL, options...)
		switch {
		case err == nil:
			return nil
		case rejected(err):
			return retry.Permanent(fmt.Errorf("%w: %w", ErrRejected, err))
		}
		c.onState(err)
		if last == nil || err.Error() != last.Error() {
			c.log.Warn("waiting for NATS", "url", o.URL, "err", err)
		}
		last = err
		return err
	})
	switch {
	case err == nil:
		return c.start(nc)
	case errors.Is(err, ErrRejected):
		return nil, fmt.Errorf("connecting to NATS at %s as role %s: %w", o.URL, o.Role, err)
	default:
		return nil, fmt.Errorf("connecting to NATS at %s: %w; last: %w", o.URL, err, last)
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
		nats.SetCustomDialer(dialer{}),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsLost),
		nats.MaxReconnects(-1),
		// Those that a server names are the server's choice, not the owner's.
		nats.IgnoreDiscoveredServers(),
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

// dialer makes connections that are reset when they are closed, as the kernel closes
// those of a process that was killed. Of what was sent, the server's machine has
// received all that it ever will by then. Otherwise the kernel goes on sending for
// many minutes if the network fails (tcp(7), tcp_retries2), and a publish could arrive
// after the next process has read back what is stored.
type dialer struct{}

var _ nats.CustomDialer = dialer{}

// Dial implements [nats.CustomDialer].
func (dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, dialTimeout)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// Reconnects is how often the connection was lost and made anew.
func (c *Conn) Reconnects() uint64 { return c.nc.Stats().Reconnects }

// MaxPayload is the maximum size in bytes of a message that the server takes, headers
// included.
func (c *Conn) MaxPayload() int { return int(c.nc.MaxPayload()) }

// Close sends what is written, within two seconds, and closes the
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
	c.interrupted() // the client has subscribed again before it says so
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
