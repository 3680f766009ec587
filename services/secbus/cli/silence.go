package cli

import (
	"context"
	"fmt"
	"os/user"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/silence"
)

type silenceCommand struct {
	Add  silenceAddCommand  `cmd:"" help:"Keep alerts from being sent for a time."`
	List silenceListCommand `cmd:"" help:"Show the silences."`
	Rm   silenceRmCommand   `cmd:"" help:"End a silence."`
}

type silenceAddCommand struct {
	targetFlags
	Matcher string        `arg:"" help:"Expression about the event, as in docs/rules.md: '$.rule.id == \"2100498\"'."`
	For     time.Duration `default:"1h" help:"How long; 0 for until it is removed, which does not hold critical alerts back (${default})."`
	Comment string        `placeholder:"TEXT" help:"Why."`
}

// Help is shown by --help.
func (silenceAddCommand) Help() string {
	return "Silenced alerts are stored, counted in the next message, and shown by tail and replay as ever. A silence is in force within a second."
}

// Run stores a silence.
func (c *silenceAddCommand) Run(ctx context.Context, term Terminal) error {
	now := time.Now()
	var until time.Time
	if c.For != 0 {
		until = now.Add(c.For)
	}
	s, err := silence.New(c.Matcher, c.Comment, whoami(), now, until)
	if err != nil {
		return fmt.Errorf("that is no silence: %w", err)
	}
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := silence.Change(ctx, conn, func(l silence.List) (silence.List, error) { return l.With(s) }); err != nil {
		return err
	}
	fmt.Fprintf(term.Stdout, "Silence %s %s.\n", s.ID, ends(s))
	return nil
}

// whoami is the name of the user who runs the command, "" if it is not known.
func whoami() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

func ends(s silence.Silence) string {
	if s.Until.IsZero() {
		return "holds until it is removed; critical alerts are sent all the same"
	}
	return "ends at " + s.Until.Local().Format("2006-01-02 15:04:05")
}

type silenceListCommand struct {
	targetFlags
	JSON bool `help:"Print as JSON."`
}

// Run shows the silences, those that have ended included.
func (c *silenceListCommand) Run(ctx context.Context, term Terminal) error {
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	l, err := silence.Load(ctx, conn)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.Stdout, append(silence.List{}, l...))
	}
	if len(l) == 0 {
		fmt.Fprintln(term.Stdout, "Nothing is silenced.")
		return nil
	}
	t := render.NewTable(term.Stdout, "ID", "UNTIL", "BY", "MATCHER", "COMMENT")
	for _, s := range l {
		until := "removed"
		if !s.Until.IsZero() {
			until = s.Until.Local().Format("2006-01-02 15:04:05")
		}
		if !s.Active(time.Now()) {
			until += " (ended)"
		}
		t.Row(s.ID, until, s.By, s.Matcher, s.Comment)
	}
	return t.End()
}

type silenceRmCommand struct {
	targetFlags
	ID string `arg:"" help:"As silence list shows it."`
}

// Run removes a silence.
func (c *silenceRmCommand) Run(ctx context.Context, term Terminal) error {
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	return silence.Change(ctx, conn, func(l silence.List) (silence.List, error) {
		next, found := l.Without(c.ID)
		if !found {
			return nil, fmt.Errorf("there is no silence %s", c.ID)
		}
		return next, nil
	})
}
