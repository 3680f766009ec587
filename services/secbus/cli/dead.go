package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/selection"
	"github.com/openclaw-security/bus/services/notifier/api"
)

const allDead = proto.DeadPrefix + ".>"

type deadCommand struct {
	List  deadListCommand  `cmd:"" help:"Show what consumers have given up on, and why."`
	Show  deadShowCommand  `cmd:"" help:"Show one dead letter as it was received."`
	Retry deadRetryCommand `cmd:"" help:"Have the notifier send dead letters to its chats after all."`
}

type deadListCommand struct {
	targetFlags
	selectionFlags
	Since selection.Moment `default:"7d" placeholder:"WHEN" help:"From when: 15m, 2h, 7d (${default})."`
	JSON  bool             `help:"Print as JSON."`
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
func (c *deadListCommand) Run(ctx context.Context, term Terminal) error {
	selected, err := c.compile(c.Since, selection.Moment{})
	if err != nil {
		return err
	}
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
		original := *m
		if original.Subject = h(proto.HeaderDeadSubject); !selected.Match(&original) {
			continue
		}
		letters = append(letters, deadLetter{
			m.Sequence, m.Time.Local().Format("2006-01-02 15:04:05"),
			h(proto.HeaderDeadConsumer), h(proto.HeaderDeadStream), h(proto.HeaderDeadSequence),
			h(proto.HeaderDeadSubject), h(proto.HeaderDeadReason), len(m.Data),
		})
	}
	if c.JSON {
		return printJSON(term.Stdout, letters)
	}
	if len(letters) == 0 {
		fmt.Fprintln(term.Stdout, "There are no dead letters.")
		return nil
	}
	t := render.NewTable(term.Stdout, "NUMBER", "TIME", "CONSUMER", "SUBJECT", "REASON")
	for _, l := range letters {
		t.Row(l.Sequence, l.Time, l.Consumer, render.Clean(l.Subject, 100), render.Clean(l.Reason, 200))
	}
	return t.End()
}

type deadShowCommand struct {
	targetFlags
	Number uint64 `arg:"" help:"As dead list shows it."`
}

// Run prints the headers in words and the payload, escaped where it is not printable.
func (c *deadShowCommand) Run(ctx context.Context, term Terminal) error {
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
			fmt.Fprintf(term.Stderr, "%-16s %s\n", name, render.Clean(m.Header.Get(name), 1000))
		}
		_, err := fmt.Fprintln(term.Stdout, render.Escape(string(m.Data)))
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
func (c *deadRetryCommand) Run(ctx context.Context, term Terminal) error {
	if len(c.Numbers) > 20 {
		return errors.New("20 dead letters can be retried at a time")
	}
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	return requestOfChats(ctx, conn, term, strings.TrimSpace(c.Sink), api.SendDead, func(chat string) api.Dead {
		return api.Dead{Chat: chat, Sequences: c.Numbers}
	})
}
