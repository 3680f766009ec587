package config

import (
	"errors"
	"regexp"
)

// Telegram says which bot tells which chat. Without it nothing is sent.
type Telegram struct {
	BotToken Secret `env:"TELEGRAM_BOT_TOKEN" doc:"Token of the bot that sends alerts, as @BotFather gives it."`
	ChatID   string `env:"TELEGRAM_CHAT_ID" doc:"Chat that receives alerts: a numeric id, or @name of a public channel."`
}

// Enabled reports whether there is a bot and a chat.
func (t Telegram) Enabled() bool { return !t.BotToken.IsZero() && t.ChatID != "" }

// Validate implements the check that [Load] makes.
func (t Telegram) Validate() error {
	var errs []error
	switch {
	case t.BotToken.IsZero() && t.ChatID != "":
		errs = append(errs, Faultf("TELEGRAM_BOT_TOKEN", "not set, while TELEGRAM_CHAT_ID is; set both or neither"))
	case !t.BotToken.IsZero() && t.ChatID == "":
		errs = append(errs, Faultf("TELEGRAM_CHAT_ID", "not set, while TELEGRAM_BOT_TOKEN is; set both or neither"))
	}
	// The token becomes part of the request's path.
	if !t.BotToken.IsZero() && !matches(`[0-9]+:[A-Za-z0-9_-]+`, t.BotToken.Reveal()) {
		errs = append(errs, Faultf("TELEGRAM_BOT_TOKEN", "not a bot token, which is a number, a colon, and letters, digits, _ or -"))
	}
	if t.ChatID != "" && !matches(`-?[0-9]{1,19}|@[A-Za-z0-9_]+`, t.ChatID) {
		errs = append(errs, Faultf("TELEGRAM_CHAT_ID", "%.100q is neither a number nor an @name", t.ChatID))
	}
	return errors.Join(errs...)
}

func matches(pattern, value string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(value)
}
