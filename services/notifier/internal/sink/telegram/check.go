package telegram

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// State is how a [Finding] turned out.
type State uint8

// The states.
const (
	Good    State = iota
	Warning       // messages arrive, but something is not as it should be
	Fault         // no message arrives, or the record cannot be trusted
)

// Finding is one thing that was looked at.
type Finding struct {
	Subject string // "token", "separate bot", "webhook", "chat", "rights", "topic", "rate"
	State   State
	Text    string // what was found and what to do about it, one line
}

// Check looks at everything that delivery depends on and says what it finds, in
// the order of the subjects above; it ends early if what follows could not be
// found out. It sends no message, but may show that the bot is typing.
func (c *Chat) Check(ctx context.Context) []Finding {
	var found []Finding
	add := func(subject string, state State, format string, args ...any) {
		found = append(found, Finding{subject, state, render.Clean(fmt.Sprintf(format, args...), 400)})
	}
	var bot user
	if err := c.client.call(ctx, "getMe", struct{}{}, &bot); err != nil {
		add("token", Fault, "%v", classify(err, attempt{}))
		return found
	}
	add("token", Good, "the bot is @%s", bot.Username)
	if c.shared() {
		add("separate bot", Fault, "another program uses this bot too: it loses its messages, and who controls it can delete alerts; make a bot for alerts alone with @BotFather")
	} else if len(c.cfg.Others) > 0 {
		add("separate bot", Good, "the bot is used for alerts alone")
	}
	var hook webhookInfo
	if err := c.client.call(ctx, "getWebhookInfo", struct{}{}, &hook); err != nil {
		add("webhook", Warning, "%v", classify(err, attempt{}))
	} else if hook.URL != "" {
		add("webhook", Warning, "the bot has a webhook at %s, so another program uses it; make a bot for alerts alone with @BotFather", hostOf(hook.URL))
	}
	chat, err := c.chat(ctx, sink.Place{})
	if err != nil {
		add("chat", Fault, "%v", classify(err, attempt{last: true}))
		return found
	}
	add("chat", Good, "%s %q", chat.Type, firstOf(chat.Title, chat.FirstName, chat.Username))
	if err := c.mayWrite(ctx, bot, chat); err != nil {
		add("rights", Fault, "%v", err)
		return found
	}
	add("rights", Good, "the bot may write to the chat")
	if c.cfg.Thread != 0 {
		params := chatParams{ChatID: strconv.FormatInt(chat.ID, 10), ThreadID: c.cfg.Thread, Action: "typing"}
		if err := c.client.call(ctx, "sendChatAction", params, nil); err != nil {
			add("topic", Warning, "alerts go to the General topic: %v", err)
		} else {
			add("topic", Good, "topic %d is there", c.cfg.Thread)
		}
	}
	if limit := c.Limits().PerMinute; limit < c.cfg.PerMinute {
		add("rate", Warning, "Telegram takes %d messages a minute in a group or a channel, so %d are sent at most and not %d", limit, limit, c.cfg.PerMinute)
	} else {
		add("rate", Good, "at most %d messages in any 60 seconds", limit)
	}
	return found
}

// shared reports whether the bot is one of the others. The number before the
// colon is the bot's id; what is behind it changes when the token is replaced.
func (c *Chat) shared() bool {
	id, _, _ := strings.Cut(c.cfg.Token.Reveal(), ":")
	for _, other := range c.cfg.Others {
		if otherID, _, _ := strings.Cut(strings.TrimSpace(other.Reveal()), ":"); otherID == id {
			return true
		}
	}
	return false
}

// hostOf is what of a URL can be shown: its path is often a secret.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "an address that is no URL"
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
