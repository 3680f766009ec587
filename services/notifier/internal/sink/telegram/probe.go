package telegram

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Probe asks for the bot, the chat and the bot's rights in it. It returns nil if
// the chat would accept a message, an error of class Broken that tells the owner
// what to do if it would not, and one of class NotSent if nobody can say now.
// Whether the topic is there does not matter: Send finds a way around it.
func (c *Chat) Probe(ctx context.Context, where sink.Place) error {
	err := c.probe(ctx, where)
	var failed *sink.Error
	if errors.As(err, &failed) && failed.Class != sink.Broken && failed.Class != sink.Moved {
		failed.Class = sink.NotSent
	}
	return err
}

func (c *Chat) probe(ctx context.Context, where sink.Place) error {
	var bot user
	if err := c.client.call(ctx, "getMe", struct{}{}, &bot); err != nil {
		return classify(err, attempt{})
	}
	chat, err := c.chat(ctx, where)
	if err != nil {
		return classify(err, attempt{last: true})
	}
	return c.mayWrite(ctx, bot, chat)
}

func (c *Chat) chat(ctx context.Context, where sink.Place) (chatInfo, error) {
	var chat chatInfo
	err := c.client.call(ctx, "getChat", chatParams{ChatID: c.chatID(where)}, &chat)
	return chat, err
}

// mayWrite returns nil if bot may write to chat, else a [*sink.Error].
func (c *Chat) mayWrite(ctx context.Context, bot user, chat chatInfo) error {
	id := strconv.FormatInt(chat.ID, 10)
	if chat.Type == "private" {
		// Only an attempt to do something shows that the bot is blocked.
		if err := c.client.call(ctx, "sendChatAction", chatParams{ChatID: id, Action: "typing"}, nil); err != nil {
			return classify(err, attempt{last: true})
		}
		return nil
	}
	var m member
	if err := c.client.call(ctx, "getChatMember", chatParams{ChatID: id, UserID: bot.ID}, &m); err != nil {
		return classify(err, attempt{last: true})
	}
	if problem := m.problem(chat); problem != "" {
		return &sink.Error{Class: sink.Broken, Err: fmt.Errorf("the bot @%s %s", bot.Username, problem)}
	}
	return nil
}

// problem says why a member cannot write to chat; it is empty if it can.
func (m member) problem(chat chatInfo) string {
	switch {
	case m.Status == "left" || m.Status == "kicked":
		return "is not in the chat; add it"
	case m.Status == "creator":
		return ""
	case chat.Type == "channel":
		if m.Status != "administrator" || !m.CanPost {
			return "may not post in the channel; make it an administrator with the right to post"
		}
	case m.Status == "restricted" && !m.CanSend:
		return "may not send messages in the group; lift the restriction"
	case m.Status == "member" && chat.Permissions != nil && !chat.Permissions.CanSend:
		return "may not send messages, as no member of the group may; make it an administrator"
	}
	return ""
}
