package telegram

import (
	"cmp"
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Check implements [sink.Checker]: it checks the token, that the bot is a separate
// one, its webhook, the chat, the rights in it, the topic and the rate, in this
// order, and ends early if what follows could not be found out. It sends no message, but may show that the bot is typing.
func (c *Chat) Check(ctx context.Context) []check.Finding {
	found := check.List{Hop: c.cfg.Name}
	var bot user
	if err := c.client.call(ctx, "getMe", struct{}{}, &bot); err != nil {
		found.Add("token", check.Fault, "%v", classify(err, attempt{}))
		return found.All
	}
	found.Add("token", check.Good, "the bot is @%s", bot.Username)
	if c.shared() {
		found.Add("separate bot", check.Fault, "another program uses this bot too: it loses its messages, and who controls it can delete alerts; make a bot for alerts alone with @BotFather")
	} else if len(c.cfg.Others) > 0 {
		found.Add("separate bot", check.Good, "the bot is used for alerts alone")
	}
	var hook webhookInfo
	if err := c.client.call(ctx, "getWebhookInfo", struct{}{}, &hook); err != nil {
		found.Add("webhook", check.Warning, "%v", classify(err, attempt{}))
	} else if hook.URL != "" {
		found.Add("webhook", check.Warning, "the bot has a webhook at %s, so another program uses it; make a bot for alerts alone with @BotFather", hostOf(hook.URL))
	}
	chat, err := c.chat(ctx, sink.Place{})
	if err != nil {
		found.Add("chat", check.Fault, "%v", classify(err, attempt{last: true}))
		return found.All
	}
	found.Add("chat", check.Good, "%s %q", chat.Type, cmp.Or(chat.Title, chat.FirstName, chat.Username))
	if err := c.mayWrite(ctx, bot, chat); err != nil {
		found.Add("rights", check.Fault, "%v", err)
		return found.All
	}
	found.Add("rights", check.Good, "the bot may write to the chat")
	if c.cfg.Thread != 0 {
		params := chatParams{ChatID: strconv.FormatInt(chat.ID, 10), ThreadID: c.cfg.Thread, Action: "typing"}
		if err := c.client.call(ctx, "sendChatAction", params, nil); err != nil {
			found.Add("topic", check.Warning, "alerts go to the General topic: %v", err)
		} else {
			found.Add("topic", check.Good, "topic %d is there", c.cfg.Thread)
		}
	}
	if limit := c.Limits().PerMinute; limit < c.cfg.PerMinute {
		found.Add("rate", check.Warning, "Telegram accepts %d messages a minute in a group or a channel, so at most %d are sent and not %d", limit, limit, c.cfg.PerMinute)
	} else {
		found.Add("rate", check.Good, "at most %d messages in any 60 seconds", limit)
	}
	return found.All
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
	return "an address that is not a URL"
}
