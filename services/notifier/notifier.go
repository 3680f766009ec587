// Package notifier delivers alerts to the owner.
//
//	                   ┌─▶ durables of a chat, two lanes ─▶ delivery ─▶ Telegram
//	                   │                    silences ──┘  ▲    ▲  ▲
//	SECURITY_ALERTS ───┤                                  │    │  └─ daily report ◀─ streams
//	                   │                          buttons ┘    └──── requests of the operator
//	                   ├─▶ durable ─▶ feed ─▶ webhook
//	                   └─▶ durable ─▶ feed ─▶ standard output
//
// An alert is acknowledged when the sink has taken it, so one that is not
// delivered is delivered again: after an error, after a restart, after a week.
// What has been delivered may be delivered again too if the process or the
// server dies before the acknowledgement is stored; such a repetition says so.
package notifier

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/webhook"
)

// Role is the identity that the notifier connects as.
const Role = bus.RoleNotifier

// Run delivers alerts until ctx is done. It waits out an absent bus and a
// failing sink; it returns an error if the bus refuses for good, or if another
// notifier delivers to the same chat.
func Run(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	rt.Ready.Expect("nats")
	key, err := cfg.NATS.Key()
	if err != nil {
		return err
	}
	prices, err := cfg.Prices.Load()
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{
		URL:     cfg.NATS.URL,
		Key:     key,
		Role:    Role,
		Log:     rt.Log,
		OnState: func(err error) { rt.Ready.Set("nats", err) },
	})
	if err != nil {
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	defer conn.Close()
	n := &notifier{
		cfg:      cfg,
		conn:     conn,
		prices:   prices,
		silences: silence.NewKeeper(conn, rt.Log),
		log:      rt.Log,
		rt:       rt,
		now:      time.Now,
	}
	return n.run(ctx)
}

// run runs all sinks; the first that fails for good ends the others.
func (n *notifier) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.silences.Run(ctx) })
	if n.cfg.prints() {
		group.Go(func() error { return n.feed(ctx, n.cfg.stdout(), proto.SinkConsumer("stdout")) })
	}
	if w := n.cfg.Webhook; w.Enabled() {
		group.Go(func() error {
			return n.feed(ctx, webhook.New(webhook.Options{
				URL: w.URL.Reveal(), Secret: w.Secret, Format: webhook.Format(w.Format), Now: n.now,
			}), proto.SinkConsumer("webhook"))
		})
	}
	if n.cfg.Telegram.Enabled() {
		for i, chat := range n.cfg.Telegram.Chats() {
			c, err := n.newChat(chat)
			if err != nil {
				return err
			}
			group.Go(func() error { return n.deliver(ctx, c) })
			group.Go(func() error { return n.serveAsks(ctx, c) })
			group.Go(func() error { return n.reportDaily(ctx, c) })
			if n.cfg.Telegram.Buttons && i == 0 { // one poller for all chats of the bot
				group.Go(func() error { return n.serveButtons(ctx, c) })
			}
		}
	}
	return group.Wait()
}

// feed delivers every alert by itself to s.
func (n *notifier) feed(ctx context.Context, s sink.Sink, durable proto.Consumer) error {
	n.rt.Ready.Expect(s.Name())
	consumer, err := n.conn.AwaitBind(ctx, durable.Stream, durable.Durable)
	if consumer == nil {
		return err
	}
	n.log.Info("delivering", "sink", s.Name(), "min_severity", n.cfg.Alert.MinSeverity)
	f := &feed{
		consumer: consumer,
		sink:     s,
		least:    n.cfg.Alert.MinSeverity,
		silences: n.silences,
		log:      n.log,
		ready:    func(err error) { n.rt.Ready.Set(s.Name(), err) },
		metrics:  newMetrics(prometheus.WrapRegistererWith(prometheus.Labels{"sink": s.Name()}, n.rt.Metrics)),
	}
	return f.run(ctx)
}

// sleep waits, and reports whether ctx is still not done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
