package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Telegram says which bot tells which chats. Without it nothing is sent.
type Telegram struct {
	BotToken Secret   `env:"TELEGRAM_BOT_TOKEN" doc:"Token of the bot that sends alerts, as @BotFather gives it. It must be a bot of its own: OpenClaw could delete the messages of one that it shares."`
	ChatIDs  []string `env:"TELEGRAM_CHAT_ID" doc:"Chats that receive alerts, separated by commas: a numeric id, or @name of a public channel; behind a colon the topic of a forum, as in -1001234567890:7."`
	API      string   `env:"TELEGRAM_API, default=https://api.telegram.org" doc:"URL of the Bot API server, for one of your own."`
	Buttons  bool     `env:"TELEGRAM_BUTTONS, default=false" doc:"Put buttons below alerts (acknowledge, silence for an hour, details). Needs a bot that no other program asks for updates."`
	Users    []string `env:"TELEGRAM_BUTTON_USERS" doc:"Numeric ids of the users whose presses of buttons count, separated by commas; required for TELEGRAM_BUTTONS."`
}

// TelegramChat is one chat, or one topic of it.
type TelegramChat struct {
	ID     string // numeric, or @name
	Thread int64  // 0 for none
}

// Name is the name of the chat's sink: it stays the same as long as the chat
// does.
func (c TelegramChat) Name() string {
	id := c.ID
	if group, ok := strings.CutPrefix(id, "-"); ok {
		id = "g" + group // a group and a user can have the same number
	}
	name := "telegram-" + id
	if c.Thread != 0 {
		name += fmt.Sprintf("-%d", c.Thread)
	}
	return proto.Slug(name)
}

// Enabled reports whether there is a bot and a chat.
func (t Telegram) Enabled() bool { return !t.BotToken.IsZero() && len(t.ChatIDs) > 0 }

// Chats returns the chats, in the order of the setting. The setting must be
// valid.
func (t Telegram) Chats() []TelegramChat {
	var chats []TelegramChat
	for _, text := range t.ChatIDs {
		if chat, ok := parseChat(text); ok {
			chats = append(chats, chat)
		}
	}
	return chats
}

// AllowedUsers are the ids of TELEGRAM_BUTTON_USERS, which must be valid.
func (t Telegram) AllowedUsers() map[int64]bool {
	users := make(map[int64]bool)
	for _, text := range t.Users {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil {
			users[id] = true
		}
	}
	return users
}

func parseChat(text string) (TelegramChat, bool) {
	id, topic, hasTopic := strings.Cut(text, ":")
	if !matches(`-?[0-9]{1,19}|@[A-Za-z0-9_]+`, id) {
		return TelegramChat{}, false
	}
	chat := TelegramChat{ID: id}
	if hasTopic {
		thread, err := strconv.ParseInt(topic, 10, 64)
		if err != nil || thread < 1 {
			return TelegramChat{}, false
		}
		chat.Thread = thread
	}
	return chat, true
}

// Validate implements the check that [Load] makes.
func (t Telegram) Validate() error {
	var errs []error
	switch {
	case t.BotToken.IsZero() && len(t.ChatIDs) > 0:
		errs = append(errs, Faultf("TELEGRAM_BOT_TOKEN", "not set, while TELEGRAM_CHAT_ID is; set both or neither"))
	case !t.BotToken.IsZero() && len(t.ChatIDs) == 0:
		errs = append(errs, Faultf("TELEGRAM_CHAT_ID", "not set, while TELEGRAM_BOT_TOKEN is; set both or neither"))
	}
	// The token becomes part of the request's path.
	if !t.BotToken.IsZero() && !matches(`[0-9]+:[A-Za-z0-9_-]+`, t.BotToken.Reveal()) {
		errs = append(errs, Faultf("TELEGRAM_BOT_TOKEN", "not a bot token, which is a number, a colon, and letters, digits, _ or -"))
	}
	names := make(map[string]bool)
	for _, text := range t.ChatIDs {
		chat, ok := parseChat(text)
		switch {
		case !ok:
			errs = append(errs, Faultf("TELEGRAM_CHAT_ID", "%.100q is neither a number nor an @name, with a topic's number behind a colon or none", text))
		case names[chat.Name()]:
			errs = append(errs, Faultf("TELEGRAM_CHAT_ID", "%.100q is named twice", text))
		}
		names[chat.Name()] = true
	}
	if t.API != "" {
		errs = append(errs, URL("TELEGRAM_API", t.API, "http", "https"))
	}
	for _, user := range t.Users {
		if !matches(`[0-9]{1,19}`, user) {
			errs = append(errs, Faultf("TELEGRAM_BUTTON_USERS", "%.100q is not the numeric id of a user", user))
		}
	}
	if t.Buttons && len(t.Users) == 0 {
		errs = append(errs, Faultf("TELEGRAM_BUTTON_USERS", "required while TELEGRAM_BUTTONS is true: whoever reads the chat could silence alerts"))
	}
	return errors.Join(errs...)
}

func matches(pattern, value string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(value)
}
