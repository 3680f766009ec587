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
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/stdout"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/telegram"
)

// notifier is what all sinks of a process share.
type notifier struct {
	cfg      Config
	conn     *bus.Conn
	prices   *price.Table
	silences *silence.Keeper
	log      *slog.Logger
	rt       daemon.Runtime
	now      func() time.Time

	printing sync.Mutex
	printer  *stdout.Sink
}

// chat is one chat and the delivery to it.
type chat struct {
	*telegram.Chat
	delivery *delivery.Delivery
}

func (n *notifier) newChat(at config.TelegramChat) (*chat, error) {
	t, err := telegram.New(telegramConfig(n.cfg, at))
	if err != nil {
		return nil, fmt.Errorf("preparing the chat %s: %w", at.Name(), err)
	}
	quiet, err := parseQuiet(n.cfg.Quiet)
	if err != nil {
		return nil, config.Faultf("QUIET_HOURS", "%w", err)
	}
	n.rt.Ready.Expect(at.Name())
	zone := n.cfg.zone()
	c := &chat{Chat: t}
	c.delivery = delivery.New(delivery.Options{
		Conn:    n.conn,
		Chat:    t,
		Address: fmt.Sprintf("%s:%d", at.ID, at.Thread),
		Least:   n.cfg.Alert.MinSeverity,
		Silenced: func(e *proto.Event, payload []byte) string {
			s, _ := n.silences.Match(e.Severity, payload, n.now())
			return s.ID
		},
		Quiet:    func(at time.Time) bool { return quiet.contains(at.In(zone)) },
		Fallback: n.print,
		Ready:    func(err error) { n.rt.Ready.Set(at.Name(), err) },
		Log:      n.log,
		Metrics:  n.rt.Metrics,
	})
	return c, nil
}

// telegramConfig are the settings of one chat.
func telegramConfig(cfg Config, at config.TelegramChat) telegram.Config {
	t := telegram.Config{
		Name:      at.Name(),
		Token:     cfg.Telegram.BotToken,
		Chat:      at.ID,
		Thread:    at.Thread,
		PerMinute: cfg.Alert.MaxPerMinute,
		API:       cfg.Telegram.API,
		Zone:      cfg.zone(),
	}
	if cfg.Telegram.Buttons {
		t.Buttons = buttonsBelow
	}
	return t
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
	if n.cfg.prints() {
		return // it is printed anyway
	}
	n.printing.Lock()
	defer n.printing.Unlock()
	if n.printer == nil {
		n.printer = n.cfg.stdout()
	}
	if err := n.printer.Deliver(context.Background(), e, payload, false); err != nil {
		n.log.Warn("printing an alert that cannot be sent", "err", err)
	}
}
