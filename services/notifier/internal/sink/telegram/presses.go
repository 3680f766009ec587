package telegram

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Waits for presses: one, and after one that failed.
const (
	pollFor   = longestPoll
	pollRetry = 10 * time.Second
)

// presses passes what is pressed by the allowed users to do until ctx is done. When
// another program asks for the bot's presses, it gives up: sending goes on.
func (c *Chat) presses(ctx context.Context, log *slog.Logger, allowed map[int64]bool, do func(context.Context, sink.Press) sink.Response) error {
	var offset int64
	for ctx.Err() == nil {
		updates, err := c.updates(ctx, offset, pollFor)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOtherPoller):
			log.Error("buttons are switched off: another program uses this bot, and would get what is pressed; give the notifier a bot of its own", "err", err)
			return nil
		case err != nil:
			log.Warn("asking for presses of buttons", "err", err, "retry_in", pollRetry)
			_ = retry.Sleep(ctx, pollRetry) // the loop ends with ctx
			continue
		}
		for _, u := range updates {
			offset = u.ID + 1
			if p := u.Callback; p != nil {
				c.pressed(ctx, log, p, allowed[p.From.ID], do)
			}
		}
	}
	return nil
}

func (c *Chat) pressed(ctx context.Context, log *slog.Logger, p *press, allowed bool, do func(context.Context, sink.Press) sink.Response) {
	response := sink.Response{Text: "This button is not for you."}
	if allowed {
		response = do(ctx, sink.Press{ID: p.ID, Data: p.Data, By: fmt.Sprintf("Telegram user %d", p.From.ID)})
	} else {
		log.Warn("a button was pressed by somebody who may not", "user_id", p.From.ID)
	}
	if response.RemoveButtons {
		if err := c.removeButtons(ctx, p); err != nil {
			log.Warn("removing the buttons of an alert", "err", err)
		}
	}
	if err := c.respond(ctx, p.ID, response.Text); err != nil && ctx.Err() == nil {
		log.Warn("responding to a press", "err", err)
	}
}

// updatesLimit keeps a response to getUpdates well below maxResponse.
const updatesLimit = 20

// longestPoll leaves a response time to arrive before requestTimeout.
const longestPoll = 50 * time.Second

// errOtherPoller reports that another program asks for this bot's updates, or
// has set a webhook. Buttons cannot work then; sending can.
var errOtherPoller = errors.New("another program receives this bot's updates")

// update is a button that somebody pressed.
type update struct {
	ID       int64  `json:"update_id"`
	Callback *press `json:"callback_query"` // nil for an update of another kind
}

// press says who pressed which button of which message.
type press struct {
	ID   string `json:"id"` // for Chat.respond
	Data string `json:"data"`
	From struct {
		ID       int64  `json:"id"`
		Username string `json:"username"`
	} `json:"from"`
	Message struct {
		ID   int64 `json:"message_id"`
		Chat struct {
			ID int64 `json:"id"`
		} `json:"chat"`
	} `json:"message"`
}

// updates waits until buttons have been pressed, or for wait, 50 seconds at
// most. What is before offset is thereby acknowledged and never comes again. The
// error is errOtherPoller or what stands in the way of any request.
func (c *Chat) updates(ctx context.Context, offset int64, wait time.Duration) ([]update, error) {
	params := struct {
		Offset  int64    `json:"offset,omitempty"`
		Limit   int      `json:"limit"`
		Timeout int      `json:"timeout"` // seconds
		Allowed []string `json:"allowed_updates"`
	}{offset, updatesLimit, int(min(wait, longestPoll) / time.Second), []string{"callback_query"}}
	var updates []update
	err := c.client.call(ctx, "getUpdates", params, &updates)
	var refused *apiError
	if errors.As(err, &refused) && refused.code == 409 {
		return nil, errors.Join(errOtherPoller, err)
	}
	if err != nil {
		return nil, classify(err, attempt{})
	}
	return updates, nil
}

// respond ends the wait of the person who pressed a button, and shows them text, 200
// characters at most.
func (c *Chat) respond(ctx context.Context, pressID, text string) error {
	params := struct {
		ID   string `json:"callback_query_id"`
		Text string `json:"text,omitempty"`
	}{pressID, c.format().Cut(text, 200)}
	if err := c.client.call(ctx, "answerCallbackQuery", params, nil); err != nil {
		return classify(err, attempt{})
	}
	return nil
}

// removeButtons removes the buttons of the message below which one was pressed.
// That there are none already is success.
func (c *Chat) removeButtons(ctx context.Context, p *press) error {
	params := struct {
		Chat    int64 `json:"chat_id"`
		Message int64 `json:"message_id"`
	}{p.Message.Chat.ID, p.Message.ID}
	err := c.client.call(ctx, "editMessageReplyMarkup", params, nil)
	var refused *apiError
	if err == nil || errors.As(err, &refused) && refused.says("message is not modified") {
		return nil
	}
	return classify(err, attempt{})
}
