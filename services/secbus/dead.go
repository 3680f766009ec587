package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/ask"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
)

const allDead = proto.DeadPrefix + ".>"

type deadCommand struct {
	List  deadListCommand  `cmd:"" help:"Show what consumers have given up on, and why."`
	Show  deadShowCommand  `cmd:"" help:"Show one dead letter as it was received."`
	Retry deadRetryCommand `cmd:"" help:"Have the notifier send dead letters to its chats after all."`
}

type deadListCommand struct {
	targetFlags
	Since moment `default:"7d" placeholder:"WHEN" help:"From when: 15m, 2h, 7d (${default})."`
	JSON  bool   `help:"Print as JSON."`
}

// deadLetter is one, as --json prints it.
type deadLetter struct {
	Sequence uint64 `json:"sequence"`
	Time     string `json:"time"`
	Consumer string `json:"consumer"`
	Stream   string `json:"stream"`
	Origin   string `json:"origin"` // sequence in that stream
	Subject  string `json:"subject"`
	Reason   string `json:"reason"`
	Bytes    int    `json:"bytes"`
}

// Run lists dead letters.
func (c *deadListCommand) Run(ctx context.Context, term terminal) error {
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	letters := []deadLetter{}
	for m, err := range conn.History(ctx, proto.StreamDead, allDead, bus.Start{Time: c.Since.Time}) {
		if err != nil {
			return fmt.Errorf("reading the dead letters: %w", err)
		}
		h := m.Header.Get
		letters = append(letters, deadLetter{
			m.Sequence, m.Time.Local().Format("2006-01-02 15:04:05"),
			h(proto.HeaderDeadConsumer), h(proto.HeaderDeadStream), h(proto.HeaderDeadSequence),
			h(proto.HeaderDeadSubject), h(proto.HeaderDeadReason), len(m.Data),
		})
	}
	if c.JSON {
		return printJSON(term.stdout, letters)
	}
	if len(letters) == 0 {
		fmt.Fprintln(term.stdout, "There are no dead letters.")
		return nil
	}
	t := tabwriter.NewWriter(term.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tTIME\tCONSUMER\tSUBJECT\tREASON")
	for _, l := range letters {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", l.Sequence, l.Time, l.Consumer, render.Clean(l.Subject, 100), render.Clean(l.Reason, 200))
	}
	return t.Flush()
}

type deadShowCommand struct {
	targetFlags
	Number uint64 `arg:"" help:"As dead list shows it."`
}

// Run prints the headers in words and the payload byte for byte.
func (c *deadShowCommand) Run(ctx context.Context, term terminal) error {
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	for m, err := range conn.History(ctx, proto.StreamDead, allDead, bus.Start{Sequence: c.Number}) {
		if err != nil {
			return fmt.Errorf("reading the dead letter: %w", err)
		}
		if m.Sequence != c.Number {
			break
		}
		for _, name := range []string{
			proto.HeaderDeadReason, proto.HeaderDeadConsumer, proto.HeaderDeadStream, proto.HeaderDeadSequence,
			proto.HeaderDeadSubject, proto.HeaderDeadDeliveries, proto.HeaderEventID,
		} {
			fmt.Fprintf(term.stderr, "%-16s %s\n", name, render.Clean(m.Header.Get(name), 1000))
		}
		_, err := term.stdout.Write(append(m.Data, '\n'))
		return err
	}
	return fmt.Errorf("there is no dead letter %d", c.Number)
}

type deadRetryCommand struct {
	targetFlags
	Numbers []uint64 `arg:"" help:"As dead list shows them."`
	Sink    string   `placeholder:"NAME" help:"Only to this chat; to all by default."`
}

// Run asks the notifier to send dead letters.
func (c *deadRetryCommand) Run(ctx context.Context, term terminal) error {
	if len(c.Numbers) > 20 {
		return errors.New("20 dead letters can be retried at a time")
	}
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	a := ask.New(ask.Retry)
	a.Dead = c.Numbers
	return askChats(ctx, conn, term, strings.TrimSpace(c.Sink), a)
}
