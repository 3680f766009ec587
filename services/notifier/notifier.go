// Package notifier delivers alerts to the owner.
//
//	                   ┌─▶ durables of a chat, two lanes ─▶ delivery ─▶ Telegram
//	                   │                    silences ──┘  ▲    ▲  ▲
//	SECURITY_ALERTS ───┤                                  │    │  └─ daily report ◀─ stream, auditor
//	                   │                          buttons ┘    └──── requests of the operator
//	                   ├─▶ durable ─▶ feed ─▶ webhook
//	                   └─▶ durable ─▶ feed ─▶ standard output
//
// An alert is acknowledged when the sink has accepted it, so one that is not
// delivered is delivered again: after an error, after a restart, after a week.
// What has been delivered may be delivered again too if the process or the
// server dies before the acknowledgement is stored; such a repetition says so.
//
// One notifier at a time delivers to a sink: the one that holds its lease.
package notifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Role is the identity that the notifier connects as.
const Role = bus.RoleNotifier

// Run delivers alerts until ctx is done. It waits out an absent bus and a
// failing sink; it returns an error if the bus refuses for good. If another
// notifier delivers to one of the sinks, it returns an error that says so, or, as a
// part of `secbus up`, waits until that one has ended: the parts beside it must not
// end because of it.
func Run(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	rt.Ready.Expect(condNATS)
	key, err := cfg.NATS.Key()
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{
		URL:     cfg.NATS.URL,
		Key:     key,
		Role:    Role,
		Log:     rt.Log,
		OnState: func(err error) { rt.Ready.Set(condNATS, err) },
	})
	if err != nil {
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	defer conn.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return beatAndTell(ctx, cfg, conn, rt) })
	group.Go(func() error {
		err := sessions(ctx, cfg, conn, rt)
		if err == nil {
			err = errDone
		}
		return err
	})
	if err := group.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// sessions delivers in one session after the other until ctx is done.
func sessions(ctx context.Context, cfg Config, conn *bus.Conn, rt daemon.Runtime) error {
	for {
		err := session(ctx, cfg, conn, rt)
		if !cfg.standby || !errors.Is(err, kv.ErrHeld) && !errors.Is(err, bus.ErrFenced) {
			return err
		}
		rt.Log.Error("standing by", "err", err, "retry_in", standbyRetry)
		if retry.Sleep(ctx, standbyRetry) != nil {
			return nil
		}
	}
}

// standbyRetry is how long after another notifier was found to deliver the next
// attempt to take its place is made.
const standbyRetry = 5 * time.Second

// session delivers from when it holds the leases of all sinks until ctx is done, the
// first sink fails for good, or a lease is lost.
func session(ctx context.Context, cfg Config, conn *bus.Conn, rt daemon.Runtime) error {
	metrics := &registered{Registerer: rt.Metrics}
	defer metrics.unregister()
	rt.Metrics = metrics
	n := &notifier{
		cfg:      cfg,
		conn:     conn,
		silences: silence.NewKeeper(conn, rt.Log),
		log:      rt.Log,
		rt:       rt,
		now:      time.Now,
	}
	shared := n.cfg.shared()
	shared.Now, shared.Log, shared.Buttons = n.now, n.log, buttonsBelow
	all, err := n.cfg.Sinks.open(shared)
	if err != nil {
		return err
	}
	if n.prints = n.cfg.Stdout.Enabled(len(all) > 0); n.prints {
		all = append(all, sink.Opened{Sinks: []sink.Sink{n.cfg.printer()}})
	}
	return n.whileHeld(ctx, names(all), func(ctx context.Context) error { return n.run(ctx, all) })
}

// run runs all sinks; the first that fails for good ends the others.
func (n *notifier) run(ctx context.Context, all []sink.Opened) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.silences.Run(ctx) })
	byName := make(map[string]*chat)
	for _, opened := range all {
		var chats []*chat
		for _, to := range opened.Chats {
			c, err := n.newChat(to)
			if err != nil {
				return err
			}
			chats = append(chats, c)
		}
		for _, c := range chats {
			group.Go(func() error { return n.deliver(ctx, c) })
			byName[c.Name()] = c
			group.Go(func() error { return n.reportDaily(ctx, c) })
		}
		for _, s := range opened.Sinks {
			group.Go(func() error { return n.feed(ctx, s) })
		}
		if opened.Presses != nil {
			group.Go(func() error {
				return opened.Presses(ctx, func(ctx context.Context, p sink.Press) sink.Response { return n.press(ctx, chats[0], p) })
			})
		}
	}
	group.Go(func() error { return n.serveRequests(ctx, byName) })
	group.Go(func() error { return n.progressWatch(names(all)).run(ctx) })
	return group.Wait()
}
