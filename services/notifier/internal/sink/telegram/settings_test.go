package telegram

import (
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/configtest"
)

func TestSettings(t *testing.T) {
	tests := []struct {
		name  string
		env   string // KEY=VALUE, separated by spaces
		fault string // empty if valid
	}{
		{"telegram", "TELEGRAM_BOT_TOKEN=123:Ab_c-d TELEGRAM_CHAT_ID=-1001234567890", ""},
		{"telegram channel", "TELEGRAM_BOT_TOKEN=123:Ab_c-d TELEGRAM_CHAT_ID=@my_alerts", ""},
		{"token alone", "TELEGRAM_BOT_TOKEN=123:Abcd", "TELEGRAM_CHAT_ID: not set, while TELEGRAM_BOT_TOKEN is; set both or neither"},
		{"chat alone", "TELEGRAM_CHAT_ID=5", "TELEGRAM_BOT_TOKEN: not set, while TELEGRAM_CHAT_ID is; set both or neither"},
		{"token with a path", "TELEGRAM_BOT_TOKEN=123:a/../b TELEGRAM_CHAT_ID=5", "TELEGRAM_BOT_TOKEN: not a bot token, which is a number, a colon, and letters, digits, _ or -"},
		{"token with the word bot", "TELEGRAM_BOT_TOKEN=bot123:ab TELEGRAM_CHAT_ID=5", "TELEGRAM_BOT_TOKEN: not a bot token, which is a number, a colon, and letters, digits, _ or -"},
		{"chat name without @", "TELEGRAM_BOT_TOKEN=123:Abcd TELEGRAM_CHAT_ID=me", `TELEGRAM_CHAT_ID: "me" is neither a number nor an @name, with a topic's number behind a colon or none`},
		{"several chats and a topic", "TELEGRAM_BOT_TOKEN=123:Abcd TELEGRAM_CHAT_ID=5,-1001234567890:7,@alerts", ""},
		{"a topic that is none", "TELEGRAM_BOT_TOKEN=123:Abcd TELEGRAM_CHAT_ID=-100:x", `TELEGRAM_CHAT_ID: "-100:x" is neither a number nor an @name, with a topic's number behind a colon or none`},
		{"a chat twice", "TELEGRAM_BOT_TOKEN=123:Abcd TELEGRAM_CHAT_ID=5,5", `TELEGRAM_CHAT_ID: "5" is named twice`},
		{"buttons for everybody", "TELEGRAM_BUTTONS=true", "TELEGRAM_BUTTON_USERS: required while TELEGRAM_BUTTONS is true: everybody who reads the chat could silence alerts"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			configtest.Faults(t, new(Settings), test.env, test.fault)
		})
	}
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		name, env, want string
	}{
		{"nothing", "", ""},
		{"chats", "TELEGRAM_BOT_TOKEN=1:a TELEGRAM_CHAT_ID=5,-5,-1001234567890:7,@My_Alerts", "telegram-5 telegram-g5 telegram-g1001234567890-7 telegram-my_alerts"},
		{"buttons", "TELEGRAM_BOT_TOKEN=1:a TELEGRAM_CHAT_ID=5 TELEGRAM_BUTTONS=true TELEGRAM_BUTTON_USERS=5", "telegram-5 presses"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s Settings
			if err := config.Load(&s, strings.Fields(test.env)); err != nil {
				t.Fatal(err)
			}
			opened, err := s.Open(sink.Shared{PerMinute: 10})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, c := range opened.Chats {
				names = append(names, c.Name())
			}
			if opened.Presses != nil {
				names = append(names, "presses")
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func FuzzSettingsShowNoSecret(f *testing.F) {
	for _, seed := range []string{"", "123:abc", "\n", "%s", "a,b", "\x00\xff", "$HOME"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		secret := "zq7Xk" + value
		err := config.Load(new(Settings), []string{"TELEGRAM_BOT_TOKEN=" + secret, "TELEGRAM_CHAT_ID=5"})
		if err == nil || strings.Contains(err.Error(), "zq7Xk") {
			t.Errorf("got %v", err)
		}
	})
}
