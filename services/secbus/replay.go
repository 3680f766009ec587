package main

import (
	"context"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

type replayCommand struct {
	targetFlags
	selection
	Since moment `default:"24h" placeholder:"WHEN" help:"From when: 15m, 2h, 7d, or 2026-11-22T07:00:00Z."`
	Until moment `placeholder:"WHEN" help:"Until when; the end of the stream if not given."`
	All   bool   `help:"Telemetry too, not only alerts."`
	JSON  bool   `help:"Print each event as the JSON that is stored."`
}

// Help is shown by --help.
func (replayCommand) Help() string {
	return "Shows stored alerts, or with --all every event, each line marked REPLAY. It reads the stream directly: no consumer is created and none is moved, so nothing is delivered twice because of it."
}

// Run shows the events and ends.
func (c *replayCommand) Run(ctx context.Context, term terminal) error {
	conn, err := c.connect(ctx, bus.RoleTail, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	show := newPrinter(term.stdout, c.JSON)
	show.mark = "REPLAY "
	stream := proto.StreamAlerts
	if c.All {
		stream = proto.StreamSecurity
	}
	shown := 0
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
		if !c.matches(m.Subject) {
			continue
		}
		if err := show.print(m); err != nil {
			return err
		}
		shown++
	}
	if !c.JSON {
		fmt.Fprintf(term.stderr, "%d events replayed from %s\n", shown, stream)
	}
	return nil
}
