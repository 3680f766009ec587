package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/ask"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/expr"
)

// Where a replay goes, beside the name of one chat.
const (
	toStdout   = "stdout"
	toTelegram = "telegram"
	toSubject  = "subject"
)

type replayCommand struct {
	targetFlags
	selection
	Since  moment `default:"24h" placeholder:"WHEN" help:"From when: 15m, 2h, 7d, or 2026-11-22T07:00:00Z."`
	Until  moment `placeholder:"WHEN" help:"Until when; the end of the stream if not given."`
	Filter string `placeholder:"EXPR" help:"Only events for which this expression holds, as in docs/rules.md: '$.src.ip == \"172.17.0.2\"'."`
	To     string `default:"stdout" placeholder:"WHERE" help:"stdout; telegram for all chats, or the name of one; subject to send each to replay.security.… for whoever listens (${default})."`
	Rate   int    `default:"1000" help:"Most events a second that --to subject sends (${default})."`
	All    bool   `help:"Telemetry too, not only alerts."`
	JSON   bool   `help:"Print each event as the JSON that is stored."`
}

// Help is shown by --help.
func (replayCommand) Help() string {
	return "Shows stored alerts, or with --all every event, once more, each marked REPLAY. It reads the stream directly: no consumer is created and none is moved, so nothing is delivered twice because of it. To a chat the running notifier sends one message within its rate limit: a few alerts each by itself, more as a digest."
}

// Run replays the events and ends.
func (c *replayCommand) Run(ctx context.Context, term terminal) error {
	var filter *expr.Expr
	if c.Filter != "" {
		var err error
		if filter, err = expr.Compile(c.Filter); err != nil {
			return fmt.Errorf("--filter: %w", err)
		}
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
		show := newPrinter(term.stdout, c.JSON)
		show.mark = "REPLAY "
		return c.each(ctx, conn, filter, term, show.print)
	case toSubject:
		return c.broadcast(ctx, conn, filter, term)
	default:
		return c.toChats(ctx, conn, term)
	}
}

// each hands every selected event to do.
func (c *replayCommand) each(ctx context.Context, conn *bus.Conn, filter *expr.Expr, term terminal, do func(*bus.Stored) error) error {
	stream := proto.StreamAlerts
	if c.All {
		stream = proto.StreamSecurity
	}
	replayed := 0
	for m, err := range conn.History(ctx, stream, everything, bus.Start{Time: c.Since.Time}) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return fmt.Errorf("replaying: %w", err)
		}
		if !c.Until.IsZero() && m.Time.After(c.Until.Time) {
			break
		}
		if !c.matches(m.Subject) || !holds(filter, m.Data) {
			continue
		}
		if err := do(m); err != nil {
			return err
		}
		replayed++
	}
	if !c.JSON {
		fmt.Fprintf(term.stderr, "%d events replayed from %s\n", replayed, stream)
	}
	return nil
}

// holds reports whether an event is one that the filter lets through.
func holds(filter *expr.Expr, payload []byte) bool {
	if filter == nil {
		return true
	}
	document, err := expr.Decode(payload)
	if err != nil {
		return false
	}
	ok, err := filter.Match(document)
	return ok && err == nil
}

// broadcast sends the events to subjects that nothing stores. Who sends may not
// read, so that is done on a connection of its own.
func (c *replayCommand) broadcast(ctx context.Context, conn *bus.Conn, filter *expr.Expr, term terminal) error {
	out, err := c.connect(ctx, bus.RoleReplay, term)
	if err != nil {
		return err
	}
	defer out.Close()
	pace := time.NewTicker(time.Second / time.Duration(max(c.Rate, 1)))
	defer pace.Stop()
	if err := c.each(ctx, conn, filter, term, func(m *bus.Stored) error {
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
func (c *replayCommand) toChats(ctx context.Context, conn *bus.Conn, term terminal) error {
	a := ask.New(ask.Replay)
	a.Selection = &ask.Selection{
		From: c.Since.Time, To: c.Until.Time, Severity: c.Severity,
		Source: c.Source, Kind: c.Kind, Host: c.Host, Matcher: c.Filter,
	}
	if c.Until.IsZero() {
		a.Selection.To = time.Now()
	}
	if c.All {
		return fmt.Errorf("--all is for stdout and subject: telemetry is nothing to send to a chat")
	}
	named := c.To
	if named == toTelegram {
		named = ""
	}
	return askChats(ctx, conn, term, named, a)
}
