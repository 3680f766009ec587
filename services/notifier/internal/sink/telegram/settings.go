package telegram

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Spec declares the sink.
func Spec() sink.Spec {
	return sink.Spec{Title: "Telegram", Settings: func() sink.Settings { return new(Settings) }}
}

// Settings say which bot writes to which chats. Without a bot nothing is sent.
type Settings struct {
	BotToken config.Secret `env:"TELEGRAM_BOT_TOKEN" doc:"Token of the bot that sends alerts, as @BotFather gives it. It must be a bot of its own: OpenClaw could delete the messages of one that it shares."`
	ChatIDs  []string      `env:"TELEGRAM_CHAT_ID" doc:"Chats that receive alerts, separated by commas: a numeric id, or @name of a public channel; behind a colon the topic of a forum, as in -1001234567890:7."`
	API      string        `env:"TELEGRAM_API, default=https://api.telegram.org" doc:"URL of the Bot API server, for one of your own."`
	Buttons  bool          `env:"TELEGRAM_BUTTONS, default=false" doc:"Put buttons below alerts (acknowledge, silence for an hour, details). Needs a bot that no other program asks for updates."`
	Users    []string      `env:"TELEGRAM_BUTTON_USERS" doc:"Numeric ids of the users whose presses of buttons count, separated by commas; required for TELEGRAM_BUTTONS."`
}

// Open implements [sink.Settings].
func (s *Settings) Open(shared sink.Shared) (sink.Opened, error) {
	var opened sink.Opened
	if s.BotToken.IsZero() {
		return opened, nil
	}
	var first *Chat
	for _, text := range s.ChatIDs {
		place, _ := parseChat(text)
		cfg := Config{
			Name:      place.name(),
			Token:     s.BotToken,
			Chat:      place.id,
			Thread:    place.thread,
			PerMinute: shared.PerMinute,
			API:       s.API,
			Zone:      shared.Zone,
			Others:    shared.OtherBots,
		}
		if s.Buttons {
			cfg.Buttons = shared.Buttons
		}
		chat, err := New(cfg)
		if err != nil {
			return sink.Opened{}, fmt.Errorf("preparing the chat %s: %w", cfg.Name, err)
		}
		if first == nil {
			first = chat
		}
		opened.Chats = append(opened.Chats, chat)
	}
	if s.Buttons && first != nil { // one poller for all chats of the bot
		opened.Presses = func(ctx context.Context, press func(context.Context, sink.Press) sink.Response) error {
			return first.presses(ctx, shared.Log, s.allowedUsers(), press)
		}
	}
	return opened, nil
}

// allowedUsers are the ids of TELEGRAM_BUTTON_USERS.
func (s *Settings) allowedUsers() map[int64]bool {
	users := make(map[int64]bool)
	for _, text := range s.Users {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil {
			users[id] = true
		}
	}
	return users
}

// place is one chat, or one topic of it.
type place struct {
	id     string // numeric, or @name
	thread int64  // 0 for none
}

// name is the name of the place's sink.
func (p place) name() string {
	id := p.id
	if group, ok := strings.CutPrefix(id, "-"); ok {
		id = "g" + group // a group and a user can have the same number
	}
	name := "telegram-" + id
	if p.thread != 0 {
		name += fmt.Sprintf("-%d", p.thread)
	}
	return proto.Slug(name)
}

func parseChat(text string) (place, bool) {
	id, topic, hasTopic := strings.Cut(text, ":")
	if !chatPattern.MatchString(id) {
		return place{}, false
	}
	chat := place{id: id}
	if hasTopic {
		thread, err := strconv.ParseInt(topic, 10, 64)
		if err != nil || thread < 1 {
			return place{}, false
		}
		chat.thread = thread
	}
	return chat, true
}

// Validate implements the check that [config.Load] makes.
func (s Settings) Validate() error {
	var errs []error
	switch {
	case s.BotToken.IsZero() && len(s.ChatIDs) > 0:
		errs = append(errs, config.Faultf("TELEGRAM_BOT_TOKEN", "not set, while TELEGRAM_CHAT_ID is; set both or neither"))
	case !s.BotToken.IsZero() && len(s.ChatIDs) == 0:
		errs = append(errs, config.Faultf("TELEGRAM_CHAT_ID", "not set, while TELEGRAM_BOT_TOKEN is; set both or neither"))
	}
	// The token becomes part of the request's path.
	if !s.BotToken.IsZero() && !tokenPattern.MatchString(s.BotToken.Reveal()) {
		errs = append(errs, config.Faultf("TELEGRAM_BOT_TOKEN", "not a bot token, which is a number, a colon, and letters, digits, _ or -"))
	}
	names := make(map[string]bool)
	for _, text := range s.ChatIDs {
		chat, ok := parseChat(text)
		switch {
		case !ok:
			errs = append(errs, config.Faultf("TELEGRAM_CHAT_ID", "%.100q is neither a number nor an @name, with a topic's number behind a colon or none", text))
		case names[chat.name()]:
			errs = append(errs, config.Faultf("TELEGRAM_CHAT_ID", "%.100q is named twice", text))
		}
		names[chat.name()] = true
	}
	if s.API != "" {
		errs = append(errs, config.URL("TELEGRAM_API", s.API, "http", "https"))
	}
	for _, user := range s.Users {
		if !userPattern.MatchString(user) {
			errs = append(errs, config.Faultf("TELEGRAM_BUTTON_USERS", "%.100q is not the numeric id of a user", user))
		}
	}
	if s.Buttons && len(s.Users) == 0 {
		errs = append(errs, config.Faultf("TELEGRAM_BUTTON_USERS", "required while TELEGRAM_BUTTONS is true: everybody who reads the chat could silence alerts"))
	}
	return errors.Join(errs...)
}

var userPattern = regexp.MustCompile(`^[0-9]{1,19}$`)
