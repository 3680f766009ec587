package campaign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// play has an act happen, waits until the notifier has met it, ends it, and waits
// until the chat has accepted a message in the ordinary way. Failures of one chat
// therefore come one by one, and its pauses between attempts stay short.
func (x *trouble) play(ctx context.Context, a act, restart bool) error {
	x.happened = append(x.happened, a.name)
	x.log.Add(fmt.Sprintf("campaign: %s: %s", x.sinks[x.chat], a.name))
	var err error
	if a.now != "" {
		err = x.change(ctx, a, restart)
	} else {
		for range max(1, a.times) {
			b := a.ambush
			b.met = make(chan struct{})
			x.gate.arm(x.sinks[x.chat], &b)
			select {
			case <-b.met:
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
	}
	if err == nil {
		err = x.shown(ctx, x.serial(), func(q telegramtest.Request) bool {
			return sentWith(200)(q) && x.isMine(q)
		})
	}
	if err != nil {
		return fmt.Errorf("%s: %s is not over: %w", x.sinks[x.chat], a.name, err)
	}
	return nil
}

// change changes how things are for a while, or for good.
func (x *trouble) change(ctx context.Context, a act, restart bool) error {
	if a.begin != nil {
		a.begin()
	}
	since := x.serial()
	if err := x.telegram.Script(a.now); err != nil {
		return err
	}
	met := x.shown(ctx, since, func(q telegramtest.Request) bool {
		// One with a token that is not valid is refused before its chat is read.
		return a.shows(q) && (q.Chat == "" || x.isMine(q))
	})
	if a.undo == "" {
		return met
	}
	if err := errors.Join(met, x.telegram.Script(a.undo)); err != nil {
		return err
	}
	// A notifier that starts asks at once whether its chats work; one that runs
	// does so every minute.
	if restart {
		x.killNotifier()
	}
	return nil
}

func (x *trouble) isMine(q telegramtest.Request) bool { return x.sinkOf(q.Chat) == x.sinks[x.chat] }

// serial is that of the last request that is over.
func (r *rig) serial() int64 {
	if all := r.telegram.Requests(); len(all) > 0 {
		return all[len(all)-1].Serial
	}
	return 0
}

// shown waits for a request since another that shows something.
func (r *rig) shown(ctx context.Context, since int64, shows func(telegramtest.Request) bool) error {
	for ctx.Err() == nil {
		if slices.ContainsFunc(r.telegram.Requests(), func(q telegramtest.Request) bool { return q.Serial > since && shows(q) }) {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // between looks; the context decides
	}
	return context.Cause(ctx)
}
