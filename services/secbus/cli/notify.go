package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/request"
	"github.com/openclaw-security/bus/services/notifier/api"
)

const (
	// outcomePatience is how long a command waits for the notifier: at the slowest
	// rate a message has to wait a minute for its turn.
	outcomePatience = 2 * time.Minute

	// requestDeadline is until when the notifier may begin what it was asked for.
	requestDeadline = time.Hour
)

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

// Run requests a test message of each chat and prints the outcome.
func (c *notifyTestCommand) Run(ctx context.Context, term Terminal) error {
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	return requestOfChats(ctx, conn, term, c.Sink, api.SendTest, func(chat string) api.Test { return api.Test{Chat: chat} })
}

// requestOfChats makes a request of one chat, or of each, and prints the outcomes.
func requestOfChats[B any, R fmt.Stringer](ctx context.Context, conn *bus.Conn, term Terminal, named string, kind request.Kind[B, R], body func(chat string) B) error {
	names, err := chats(ctx, conn, named)
	if err != nil {
		return err
	}
	fmt.Fprintln(term.Stderr, "Asked the notifier; waiting for the outcome.")
	ctx, cancel := context.WithTimeoutCause(ctx, outcomePatience, fmt.Errorf("no outcome within %s: is the notifier running? It does what was requested if it starts within %s", outcomePatience, requestDeadline))
	defer cancel()
	outcomes := make([]request.Outcome[R], len(names))
	group, ctx := errgroup.WithContext(ctx)
	for i, name := range names {
		group.Go(func() error {
			r, err := request.New(kind, body(name), requestDeadline)
			if err != nil {
				return err
			}
			if outcomes[i], err = request.Do(ctx, conn, api.Service, r); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	err = group.Wait()
	failed := 0
	for i, o := range outcomes {
		if o.State == "" {
			continue
		}
		text := o.Reason
		if o.State == request.Done {
			text = o.Result.String()
		} else {
			failed++
		}
		if _, err := fmt.Fprintf(term.Stdout, "%s: %s: %s\n", names[i], o.State, text); err != nil {
			return fmt.Errorf("writing the outcome: %w", err)
		}
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d chats could not do it", failed, len(names))
	}
	return err
}

// chats returns the sinks of the bus that send messages to people, or the one
// that is named. They are known by their durables, which each stream of alerts has.
func chats(ctx context.Context, conn *bus.Conn, named string) ([]string, error) {
	o, err := conn.Overview(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, d := range o.Durables {
		name, isChat := strings.CutSuffix(strings.TrimPrefix(d.Name, "notifier-"), "-urgent")
		if isChat && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	switch {
	case named != "" && !slices.Contains(all, named):
		return nil, fmt.Errorf("there is no chat %s; there are: %s", named, listOr(all, "none"))
	case named != "":
		return []string{named}, nil
	case len(all) == 0:
		return nil, errors.New("no chat is configured: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or the settings of another chat, and start the notifier (and secbus provision, where NATS is not the embedded one)")
	}
	return all, nil
}

func listOr(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}
