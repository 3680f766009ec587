package cli

import (
	"context"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/selection"
)

// everything is the pattern of all that is stored of events.
const everything = proto.StoredPrefix + ".>"

type tailCommand struct {
	targetFlags
	selectionFlags
	Since selection.Moment `placeholder:"WHEN" help:"Begin with what was stored since: 15m, 2h, 7d, or 2026-11-22T07:00:00Z."`
	JSON  bool             `help:"Print each event as the JSON that is stored."`
}

// Help is shown by --help.
func (tailCommand) Help() string {
	return "Shows each stored event once, in the order in which the server has stored them, until it is interrupted. The live feed is a hint and the streams are the truth: what a lost connection or a slow terminal has skipped is read from them."
}

// Run shows events until ctx ends.
func (c *tailCommand) Run(ctx context.Context, term Terminal) error {
	selected, err := c.compile(c.Since, selection.Moment{})
	if err != nil {
		return err
	}
	conn, err := c.connect(ctx, bus.RoleTail, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	start := bus.Start{Time: c.Since.Time, New: c.Since.IsZero()}
	show := newPrinter(term.Stdout, c.JSON)
	for m, err := range conn.Follow(ctx, everyStream(conn), start) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !selected.Match(m):
			continue
		}
		if err := show.print(m); err != nil {
			return err
		}
	}
	return nil
}

// everyStream names the streams of alerts, events and audit records.
func everyStream(conn *bus.Conn) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		streams, err := conn.SecurityStreams(ctx)
		return append(streams, proto.StreamAudit), err
	}
}
