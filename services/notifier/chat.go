package notifier

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/stdout"
)

// notifier is what all sinks of a process share.
type notifier struct {
	cfg      Config
	conn     *bus.Conn
	silences *silence.Keeper
	log      *slog.Logger
	rt       daemon.Runtime
	now      func() time.Time

	prints   bool // standard output is one of the sinks
	printing sync.Mutex
	printer  *stdout.Sink
}

// chat is one chat and the delivery to it.
type chat struct {
	sink.Chat
	delivery *delivery.Delivery
}

func (n *notifier) newChat(to sink.Chat) (*chat, error) {
	quiet, err := parseQuiet(n.cfg.Quiet)
	if err != nil {
		return nil, config.Faultf("QUIET_HOURS", "%w", err)
	}
	n.rt.Ready.Expect(to.Name())
	zone := n.cfg.zone()
	return &chat{Chat: to, delivery: delivery.New(delivery.Options{
		Conn:     n.conn,
		Chat:     to,
		Min:      n.cfg.Alert.MinSeverity,
		Silenced: n.silenced,
		Quiet:    func(at time.Time) bool { return quiet.contains(at.In(zone)) },
		Fallback: n.print,
		Ready:    func(err error) { n.rt.Ready.Set(to.Name(), err) },
		Log:      n.log,
		Metrics:  n.rt.Metrics,
	})}, nil
}

// deliver delivers to a chat. Before that the silences are read: what is
// silenced must not be sent because the notifier has just started.
func (n *notifier) deliver(ctx context.Context, c *chat) error {
	if err := n.silences.Refresh(ctx); err != nil {
		n.log.Warn("reading the silences", "err", err)
	}
	n.log.Info("delivering", "sink", c.Name(), "min_severity", n.cfg.Alert.MinSeverity, "per_minute", c.Limits().PerMinute)
	if err := c.delivery.Run(ctx); err != nil {
		return fmt.Errorf("delivering to %s: %w", c.Name(), err)
	}
	return nil
}

// print shows an alert that waits for a chat that is out of reach.
func (n *notifier) print(e *proto.Event, payload []byte) {
	if n.prints {
		return // it is printed anyway
	}
	n.printing.Lock()
	defer n.printing.Unlock()
	if n.printer == nil {
		n.printer = n.cfg.printer()
	}
	if err := n.printer.Deliver(context.Background(), e, payload, false); err != nil {
		n.log.Warn("printing an alert that cannot be sent", "err", err)
	}
}
