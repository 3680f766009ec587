package main

import (
	"context"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// everything is what the live feed carries.
const everything = proto.StoredPrefix + ".>"

type tailCommand struct {
	targetFlags
	selection
	Since moment `placeholder:"WHEN" help:"Begin with what was stored since: 15m, 2h, 7d, or 2026-11-22T07:00:00Z."`
	JSON  bool   `help:"Print each event as the JSON that is stored."`
}

// Help is shown by --help.
func (tailCommand) Help() string {
	return "Shows each stored event once, in order, until it is interrupted. The live feed is a hint and the stream is the truth: what a lost connection or a slow terminal has skipped is read from the stream."
}

// Run shows events until ctx ends.
func (c *tailCommand) Run(ctx context.Context, term terminal) error {
	conn, err := c.connect(ctx, bus.RoleTail, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	t := tail{
		conn:   conn,
		show:   newPrinter(term.stdout, c.JSON),
		match:  c.matches,
		behind: make(map[string]uint64),
	}
	err = t.run(ctx, c.Since)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// tail shows what streams hold and then what is added to them.
type tail struct {
	conn   *bus.Conn
	show   printer
	match  func(subject string) bool
	behind map[string]uint64 // the last sequence shown or passed over, by stream
}

func (t *tail) run(ctx context.Context, since moment) error {
	// Subscribed before the history is read: what is stored meanwhile waits in
	// the feed, and is recognized by its sequence when it comes.
	feed, err := t.conn.Live(ctx, everything)
	if err != nil {
		return err
	}
	defer feed.Close()
	if !since.IsZero() {
		if err := t.history(ctx, since); err != nil {
			return err
		}
	}
	for {
		m, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		if err := t.live(ctx, m); err != nil {
			return err
		}
	}
}

// history shows what is stored since a moment.
func (t *tail) history(ctx context.Context, since moment) error {
	for _, stream := range []string{proto.StreamSecurity, proto.StreamAudit} {
		if err := t.read(ctx, stream, bus.Start{Time: since.Time}, 0); err != nil {
			return err
		}
	}
	return nil
}

// live shows a message of the feed, after those of its stream that the feed has
// left out.
func (t *tail) live(ctx context.Context, m *bus.Stored) error {
	behind, known := t.behind[m.Stream]
	if known && m.Sequence <= behind {
		return nil
	}
	if known && m.Sequence > behind+1 {
		if err := t.read(ctx, m.Stream, bus.Start{Sequence: behind + 1}, m.Sequence); err != nil {
			return err
		}
	}
	return t.one(m)
}

// read shows what stream holds from start up to, and without, the sequence end;
// zero means all there is.
func (t *tail) read(ctx context.Context, stream string, start bus.Start, end uint64) error {
	for m, err := range t.conn.History(ctx, stream, everything, start) {
		if err != nil {
			return fmt.Errorf("reading what was stored: %w", err)
		}
		if end != 0 && m.Sequence >= end {
			return nil
		}
		if err := t.one(m); err != nil {
			return err
		}
	}
	return nil
}

func (t *tail) one(m *bus.Stored) error {
	t.behind[m.Stream] = m.Sequence
	if !t.match(m.Subject) {
		return nil
	}
	return t.show.print(m)
}
