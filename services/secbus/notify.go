package main

import (
	"context"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/services/internal/ask"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// askPatience is how long a command waits for the notifier: at the slowest rate
// a message has to wait a minute for its turn.
const askPatience = 2 * time.Minute

type notifyCommand struct {
	Test notifyTestCommand `cmd:"" help:"Have the notifier send a test message."`
}

type notifyTestCommand struct {
	targetFlags
	Sink string `placeholder:"NAME" help:"Only to this chat, such as telegram-1234567; to all by default."`
}

// Help is shown by --help.
func (notifyTestCommand) Help() string {
	return "The running notifier sends it, as it would an alert: through the same rate limit, and recorded. It says which message it became."
}

// Run asks each chat for a test message and tells what came of it.
func (c *notifyTestCommand) Run(ctx context.Context, term terminal) error {
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	return askChats(ctx, conn, term, c.Sink, ask.New(ask.Test))
}

// askChats asks one chat, or all, for something, and prints the answers.
func askChats(ctx context.Context, conn *bus.Conn, term terminal, named string, a ask.Ask) error {
	sinks, err := chats(ctx, conn, named)
	if err != nil {
		return err
	}
	for _, sink := range sinks {
		if err := ask.Put(ctx, conn, sink, a); err != nil {
			return err
		}
	}
	fmt.Fprintln(term.stderr, "Asked the notifier; waiting for its answer.")
	ctx, cancel := context.WithTimeoutCause(ctx, askPatience, fmt.Errorf("no answer within %s: is the notifier running? It will do it when it does", askPatience))
	defer cancel()
	failed := 0
	for _, sink := range sinks {
		answered, err := ask.Wait(ctx, conn, sink, a.ID)
		if err != nil {
			return fmt.Errorf("%s: %w", sink, err)
		}
		if _, err := fmt.Fprintf(term.stdout, "%s: %s: %s\n", sink, answered.State, answered.Detail); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
		if answered.State == ask.Failed {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d chats could not do it", failed, len(sinks))
	}
	return nil
}
