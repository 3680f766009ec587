package telegram

import (
	"context"
	"errors"
	"time"
)

// updatesLimit keeps an answer to getUpdates well below maxAnswer.
const updatesLimit = 20

// longestPoll leaves an answer time to arrive before requestTimeout.
const longestPoll = 50 * time.Second

// ErrOtherPoller reports that another program asks for this bot's updates, or
// has set a webhook. Buttons cannot work then; sending can.
var ErrOtherPoller = errors.New("another program receives this bot's updates")

// Update is a button that somebody pressed.
type Update struct {
	ID       int64  `json:"update_id"`
	Callback *Press `json:"callback_query"` // nil for an update of another kind
}

// Press says who pressed which button of which message.
type Press struct {
	ID   string `json:"id"` // for [Chat.Answer]
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

// Updates waits until buttons have been pressed, or for wait, 50 seconds at
// most. What is before offset is thereby acknowledged and never comes again. The
// error is [ErrOtherPoller] or what stands in the way of any request.
func (c *Chat) Updates(ctx context.Context, offset int64, wait time.Duration) ([]Update, error) {
	params := struct {
		Offset  int64    `json:"offset,omitempty"`
		Limit   int      `json:"limit"`
		Timeout int      `json:"timeout"` // seconds
		Allowed []string `json:"allowed_updates"`
	}{offset, updatesLimit, int(min(wait, longestPoll) / time.Second), []string{"callback_query"}}
	var updates []Update
	err := c.client.call(ctx, "getUpdates", params, &updates)
	var answer *apiError
	if errors.As(err, &answer) && answer.code == 409 {
		return nil, errors.Join(ErrOtherPoller, err)
	}
	if err != nil {
		return nil, classify(err, attempt{})
	}
	return updates, nil
}

// Answer ends the wait of whoever pressed a button, and shows them text, 200
// characters at most.
func (c *Chat) Answer(ctx context.Context, pressID, text string) error {
	params := struct {
		ID   string `json:"callback_query_id"`
		Text string `json:"text,omitempty"`
	}{pressID, cut(text, 200)}
	if err := c.client.call(ctx, "answerCallbackQuery", params, nil); err != nil {
		return classify(err, attempt{})
	}
	return nil
}

// RemoveButtons takes the buttons from the message below which one was pressed.
// That there are none already is success.
func (c *Chat) RemoveButtons(ctx context.Context, p *Press) error {
	params := struct {
		Chat    int64 `json:"chat_id"`
		Message int64 `json:"message_id"`
	}{p.Message.Chat.ID, p.Message.ID}
	err := c.client.call(ctx, "editMessageReplyMarkup", params, nil)
	var answer *apiError
	if err == nil || errors.As(err, &answer) && answer.says("message is not modified") {
		return nil
	}
	return classify(err, attempt{})
}
