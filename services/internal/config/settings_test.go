package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
)

// shared holds every settings struct that services have in common.
type shared struct {
	NATS     config.NATS
	Log      config.Log
	Admin    config.Admin
	Telegram config.Telegram
	Webhook  config.Webhook
	Alert    config.Alert
	LLM      config.LLM
	Guard    config.Guard
}

func TestSharedDefaults(t *testing.T) {
	var got shared
	if err := config.Load(&got, nil); err != nil {
		t.Fatal(err)
	}
	want := shared{
		NATS:     config.NATS{URL: "nats://127.0.0.1:4222"},
		Log:      config.Log{Level: "info", Format: "auto"},
		Admin:    config.Admin{Addr: "127.0.0.1:9600"},
		Telegram: config.Telegram{API: "https://api.telegram.org"},
		Webhook:  config.Webhook{Format: "json"},
		Alert:    config.Alert{MaxPerMinute: 10, MinSeverity: proto.SeverityMedium},
		LLM:      config.LLM{APIProvider: "anthropic"},
		Guard:    config.Guard{Threshold: 0.8, Timeout: 2 * time.Second},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, key := range config.Keys(got) {
		if !strings.HasSuffix(key.Doc, ".") {
			t.Errorf("%s has no documentation sentence: %q", key.Name, key.Doc)
		}
	}
}

func TestSharedValidation(t *testing.T) {
	userSeed, accountSeed := seed(t, nkeys.CreateUser), seed(t, nkeys.CreateAccount)
	tests := []struct {
		name  string
		env   string // KEY=VALUE, separated by spaces
		fault string // empty if valid
	}{
		{"cluster", "NATS_URL=nats://a:4222,tls://b:4222", ""},
		{"cluster with spaces", "NATS_URL=nats://[::1]:4222,", `NATS_URL: "" is not a URL that starts with nats:// or tls:// or ws:// or wss://`},
		{"no scheme", "NATS_URL=localhost:4222", `NATS_URL: "localhost:4222" is not a URL that starts with nats:// or tls:// or ws:// or wss://`},
		{"credentials in URL", "NATS_URL=nats://me:pass@localhost", "NATS_URL: has an @, as if a user name or password were in it; credentials do not belong in a URL"},
		{"credentials in a URL that does not parse", "NATS_URL=nats://me:pa%ss@localhost", "NATS_URL: has an @, as if a user name or password were in it; credentials do not belong in a URL"},
		{"seed", "NATS_NKEY_SEED=" + userSeed, ""},
		{"seed of an account", "NATS_NKEY_SEED=" + accountSeed, "NATS_NKEY_SEED: not the seed of an NKey user (58 characters that start with SU)"},
		{"seed cut short", "NATS_NKEY_SEED=" + userSeed[:40], "NATS_NKEY_SEED: not the seed of an NKey user (58 characters that start with SU)"},

		{"log", "LOG_LEVEL=debug LOG_FORMAT=json", ""},
		{"level", "LOG_LEVEL=loud", `LOG_LEVEL: "loud" is not one of debug, info, warn, error`},
		{"format", "LOG_FORMAT=xml", `LOG_FORMAT: "xml" is not one of auto, text, json`},

		{"no admin", "ADMIN_ADDR=", ""},
		{"admin on localhost", "ADMIN_ADDR=localhost:0", ""},
		{"admin on IPv6 loopback", "ADMIN_ADDR=[::1]:9600", ""},
		{"admin everywhere", "ADMIN_ADDR=:9600", `ADMIN_ADDR: ":9600" can be reached from other machines; use 127.0.0.1:9600, or set ADMIN_ALLOW_REMOTE=true if that is intended`},
		{"admin on all IPv4", "ADMIN_ADDR=0.0.0.0:9600", `ADMIN_ADDR: "0.0.0.0:9600" can be reached from other machines; use 127.0.0.1:9600, or set ADMIN_ALLOW_REMOTE=true if that is intended`},
		{"admin on a name", "ADMIN_ADDR=box1:9600", `ADMIN_ADDR: "box1:9600" can be reached from other machines; use 127.0.0.1:9600, or set ADMIN_ALLOW_REMOTE=true if that is intended`},
		{"admin allowed everywhere", "ADMIN_ADDR=:9600 ADMIN_ALLOW_REMOTE=true", ""},
		{"admin without port", "ADMIN_ADDR=127.0.0.1", `ADMIN_ADDR: "127.0.0.1" is not of the form host:port`},
		{"admin with a bad port", "ADMIN_ADDR=127.0.0.1:http", `ADMIN_ADDR: "127.0.0.1:http" has no port from 0 to 65535`},

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
		{"buttons for everybody", "TELEGRAM_BUTTONS=true", "TELEGRAM_BUTTON_USERS: required while TELEGRAM_BUTTONS is true: whoever reads the chat could silence alerts"},
		{"webhook", "WEBHOOK_URL=https://host/hook WEBHOOK_SECRET=s WEBHOOK_FORMAT=cloudevents", ""},
		{"webhook that is no URL", "WEBHOOK_URL=host/s3cret", "WEBHOOK_URL: not a URL that starts with http:// or https://"},

		{"rate of 1", "ALERT_MAX_PER_MINUTE=1", ""},
		{"rate of 60", "ALERT_MAX_PER_MINUTE=60", ""},
		{"rate of 0", "ALERT_MAX_PER_MINUTE=0", "ALERT_MAX_PER_MINUTE: 0 is not between 1 and 60"},
		{"rate of 61", "ALERT_MAX_PER_MINUTE=61", "ALERT_MAX_PER_MINUTE: 61 is not between 1 and 60"},
		{"severity", "ALERT_MIN_SEVERITY=urgent", `ALERT_MIN_SEVERITY: "urgent": severity "urgent" is none of info, low, medium, high, critical`},

		{"openai", "LLM_API_PROVIDER=openai LLM_API_BASE=https://api.openai.com", ""},
		{"local model", "LLM_API_PROVIDER=openai LLM_API_BASE=http://127.0.0.1:11434", ""},
		{"provider alone", "LLM_API_PROVIDER=gemini", ""},
		{"two providers", "LLM_API_KEY=a LLM_OPENAI_API_KEY=b", ""},
		{"provider", "LLM_API_PROVIDER=acme", `LLM_API_PROVIDER: "acme" is not one of anthropic, openai, gemini`},
		{"provider changed, base not", "LLM_API_PROVIDER=openai LLM_API_BASE=https://api.anthropic.com", `LLM_API_BASE: "https://api.anthropic.com" belongs to anthropic, while LLM_API_PROVIDER says openai`},
		{"base changed, provider not", "LLM_API_BASE=https://api.openai.com/", `LLM_API_BASE: "https://api.openai.com/" belongs to openai, while LLM_API_PROVIDER says anthropic`},
		{"another provider's base", "LLM_OPENAI_API_BASE=https://api.anthropic.com", `LLM_OPENAI_API_BASE: "https://api.anthropic.com" belongs to anthropic, while this setting says openai`},
		{"key of the default provider twice", "LLM_API_KEY=a LLM_ANTHROPIC_API_KEY=b", "LLM_ANTHROPIC_API_KEY: anthropic is the default provider by LLM_API_PROVIDER: use LLM_API_KEY and LLM_API_BASE for it"},
		{"base with a query", "LLM_API_BASE=https://host/?key=x", `LLM_API_BASE: "https://host/?key=x" has a query or a fragment`},
		{"base", "LLM_API_BASE=ftp://host", `LLM_API_BASE: "ftp://host" is not a URL that starts with http:// or https://`},
		{"base without a host", "LLM_API_BASE=https://:443/", `LLM_API_BASE: "https://:443/" is not a URL that starts with http:// or https://`},

		{"guard", "GUARD_ENABLED=true GUARD_URL=http://guard:8081 GUARD_THRESHOLD=1", ""},
		{"guard without URL", "GUARD_ENABLED=true", "GUARD_URL: required while GUARD_ENABLED is true"},
		{"guard URL", "GUARD_URL=guard:8081", `GUARD_URL: "guard:8081" is not a URL that starts with http:// or https://`},
		{"threshold above 1", "GUARD_THRESHOLD=80", "GUARD_THRESHOLD: 80 is not between 0 and 1"},
		{"threshold not a number", "GUARD_THRESHOLD=NaN", "GUARD_THRESHOLD: NaN is not between 0 and 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got string
			if err := config.Load(new(shared), strings.Fields(test.env)); err != nil {
				got = err.Error()
			}
			want := ""
			if test.fault != "" {
				want = "1 setting is wrong:\n  " + test.fault
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestTelegramEnabled(t *testing.T) {
	tests := map[string]struct {
		cfg  config.Telegram
		want bool
	}{
		"both":    {config.Telegram{BotToken: config.NewSecret("1:a"), ChatIDs: []string{"5"}}, true},
		"token":   {config.Telegram{BotToken: config.NewSecret("1:a")}, false},
		"chat":    {config.Telegram{ChatIDs: []string{"5"}}, false},
		"neither": {config.Telegram{}, false},
	}
	for name, test := range tests {
		if got := test.cfg.Enabled(); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func seed(t *testing.T, create func() (nkeys.KeyPair, error)) string {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return string(seed)
}

func TestLLMEndpoints(t *testing.T) {
	key := config.NewSecret("k")
	tests := []struct {
		name string
		llm  config.LLM
		want string
	}{
		{"nothing set", config.LLM{APIProvider: "anthropic"}, "anthropic https://api.anthropic.com LLM_API_KEY needed"},
		{"a password in the base", config.LLM{APIProvider: "openai", APIBase: "https://me:p@ss@gateway:8443/v1"}, "openai https://gateway:8443/v1 LLM_API_KEY"},
		{"an at sign in the path", config.LLM{APIProvider: "openai", APIBase: "https://gateway/@me"}, "openai https://gateway/@me LLM_API_KEY"},
		{"a key", config.LLM{APIProvider: "openai", APIKey: key}, "openai https://api.openai.com LLM_API_KEY needed set"},
		{"one's own model", config.LLM{APIProvider: "openai", APIBase: "http://127.0.0.1:11434"}, "openai http://127.0.0.1:11434 LLM_API_KEY"},
		{
			"the default one first",
			config.LLM{APIProvider: "gemini", APIKey: key, AnthropicKey: key, OpenAIBase: "http://model"},
			"gemini https://generativelanguage.googleapis.com LLM_API_KEY needed set, anthropic https://api.anthropic.com LLM_ANTHROPIC_API_KEY needed set, openai http://model LLM_OPENAI_API_KEY",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range tt.llm.Endpoints() {
				s := e.Provider + " " + e.Base + " " + e.KeySetting
				if e.NeedsKey {
					s += " needed"
				}
				if !e.Key.IsZero() {
					s += " set"
				}
				got = append(got, s)
			}
			if joined := strings.Join(got, ", "); joined != tt.want {
				t.Errorf("got  %s\nwant %s", joined, tt.want)
			}
		})
	}
}

func TestTelegramChatNames(t *testing.T) {
	chats := config.Telegram{ChatIDs: []string{"5", "-5", "-1001234567890:7", "@My_Alerts"}}.Chats()
	var names []string
	for _, c := range chats {
		names = append(names, c.Name())
	}
	if got, want := strings.Join(names, " "), "telegram-5 telegram-g5 telegram-g1001234567890-7 telegram-my_alerts"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
