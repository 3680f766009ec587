package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/selection"
	"github.com/openclaw-security/bus/services/notifier/api"
)

// Where a replay goes, beside the name of one chat.
const (
	toStdout   = "stdout"
	toTelegram = "telegram"
	toSubject  = "subject"
)

type replayCommand struct {
	targetFlags
	selectionFlags
	Since selection.Moment `default:"24h" placeholder:"WHEN" help:"From when: 15m, 2h, 7d, or 2026-11-22T07:00:00Z."`
	Until selection.Moment `placeholder:"WHEN" help:"Until when; now if not given."`
	To    string           `default:"stdout" placeholder:"WHERE" help:"stdout; telegram for all chats, or the name of one; subject to send each to replay.security.… for its subscribers (${default})."`
	Rate  int              `default:"1000" help:"Maximum of events a second that --to subject sends (${default})."`
	All   bool             `help:"Telemetry too, not only alerts."`
	JSON  bool             `help:"Print each event as the JSON that is stored."`
}

// Help is shown by --help.
func (replayCommand) Help() string {
	return "Shows stored alerts, or with --all every event, once more, each marked REPLAY. It reads the streams directly: no consumer is created and none is moved, so nothing is delivered twice because of it. To a chat the running notifier sends one message within its rate limit: a few alerts each by itself, more as a digest."
}

// Run replays the events and ends.
func (c *replayCommand) Run(ctx context.Context, term Terminal) error {
	selected, err := c.compile(c.Since, c.Until)
	if err != nil {
		return err
	}
	role := bus.RoleOperator
	if c.To == toStdout || c.To == toSubject {
		role = bus.RoleTail
	}
	conn, err := c.connect(ctx, role, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	switch c.To {
	case toStdout:
		show := newPrinter(term.Stdout, c.JSON)
		show.mark = "REPLAY "
		return c.each(ctx, conn, selected, term, show.print)
	case toSubject:
		return c.broadcast(ctx, conn, selected, term)
	default:
		return c.toChats(ctx, conn, term)
	}
}

// each hands every selected event to do.
func (c *replayCommand) each(ctx context.Context, conn *bus.Conn, selected *selection.Matcher, term Terminal, do func(*bus.Stored) error) error {
	streams, err := conn.AlertStreams(ctx)
	if c.All {
		streams, err = conn.SecurityStreams(ctx)
	}
	if err != nil {
		return fmt.Errorf("replaying: %w", err)
	}
	replayed := 0
	for m, err := range conn.MergedHistory(ctx, streams, everything, bus.Start{Time: c.Since.Time}) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return fmt.Errorf("replaying: %w", err)
		}
		if selected.Past(m) {
			break
		}
		if !selected.Match(m) {
			continue
		}
		if err := do(m); err != nil {
			return err
		}
		replayed++
	}
	if !c.JSON {
		fmt.Fprintf(term.Stderr, "%d events replayed from %s\n", replayed, strings.Join(streams, ", "))
	}
	return nil
}

// broadcast sends the events to subjects that nothing stores. Who sends may not
// read, so that is done on a connection of its own.
func (c *replayCommand) broadcast(ctx context.Context, conn *bus.Conn, selected *selection.Matcher, term Terminal) error {
	out, err := c.connect(ctx, bus.RoleReplay, term)
	if err != nil {
		return err
	}
	defer out.Close()
	pace := time.NewTicker(time.Second / time.Duration(max(c.Rate, 1)))
	defer pace.Stop()
	if err := c.each(ctx, conn, selected, term, func(m *bus.Stored) error {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		msg := &nats.Msg{Subject: proto.ReplayPrefix + "." + m.Subject, Data: m.Data, Header: nats.Header{}}
		msg.Header.Set(proto.HeaderEventID, m.Header.Get(proto.HeaderEventID))
		return out.Broadcast(msg)
	}); err != nil {
		return err
	}
	return out.Flush(ctx)
}

// toChats has the notifier send them.
func (c *replayCommand) toChats(ctx context.Context, conn *bus.Conn, term Terminal) error {
	if c.All {
		return errors.New("--all is for stdout and subject: telemetry cannot be sent to a chat")
	}
	named := c.To
	if named == toTelegram {
		named = ""
	}
	s := c.selection(c.Since, c.Until)
	if s.To.IsZero() {
		s.To = time.Now()
	}
	return requestOfChats(ctx, conn, term, named, api.SendReplay, func(chat string) api.Replay {
		return api.Replay{Chat: chat, Selection: s}
	})
}
