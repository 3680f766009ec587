package telegram

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

func TestProbe(t *testing.T) {
	tests := []struct {
		name   string
		chat   string
		script string
		says   string // empty if all is well
	}{
		{"private", strconv.Itoa(telegramtest.PrivateID), "", ""},
		{"group", strconv.Itoa(telegramtest.GroupID), "", ""},
		{"supergroup", strconv.Itoa(telegramtest.SupergroupID), "", ""},
		{"channel", telegramtest.ChannelName, "", ""},
		{"topic gone", strconv.Itoa(telegramtest.SupergroupID), fmt.Sprintf("now delete %d %d", telegramtest.SupergroupID, telegramtest.Topic), ""},
		{"token", strconv.Itoa(telegramtest.PrivateID), "now revoke", "TELEGRAM_BOT_TOKEN"},
		{"no chat", "1", "", "TELEGRAM_CHAT_ID"},
		{"blocked", strconv.Itoa(telegramtest.PrivateID), fmt.Sprintf("now block %d", telegramtest.PrivateID), "press Start"},
		{"kicked", strconv.Itoa(telegramtest.GroupID), fmt.Sprintf("now block %d", telegramtest.GroupID), "add the bot"},
		{"muted", strconv.Itoa(telegramtest.GroupID), fmt.Sprintf("now mute %d", telegramtest.GroupID), "lift the restriction"},
		{"muted in the channel", telegramtest.ChannelName, fmt.Sprintf("now mute %d", telegramtest.ChannelID), "the right to post"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := telegramtest.New(telegramtest.Config{})
			c := open(t, s.Start(t), func(cfg *Config) { cfg.Chat, cfg.Thread = test.chat, telegramtest.Topic })
			if err := s.Script(test.script); err != nil {
				t.Fatal(err)
			}
			err := c.Probe(t.Context(), sink.Place{})
			if test.says == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
			} else if failed := failure(t, err); failed.Class != sink.Broken || !strings.Contains(failed.Error(), test.says) {
				t.Errorf("got %v: %v", failed.Class, failed)
			}
			if len(s.Messages()) != 0 {
				t.Error("a message was sent")
			}
		})
	}
}

func TestProbeWithoutAnAnswer(t *testing.T) {
	c := open(t, "http://127.0.0.1:1", nil)
	if failed := failure(t, c.Probe(t.Context(), sink.Place{})); failed.Class != sink.NotSent {
		t.Errorf("got %v: %v", failed.Class, failed)
	}
}

func TestMemberProblems(t *testing.T) {
	silent, talking := &permissions{}, &permissions{CanSend: true}
	for _, test := range []struct {
		name   string
		chat   chatInfo
		member member
		well   bool
	}{
		{"owner", chatInfo{Type: "group", Permissions: silent}, member{Status: "creator"}, true},
		{"administrator", chatInfo{Type: "group", Permissions: silent}, member{Status: "administrator"}, true},
		{"member", chatInfo{Type: "group", Permissions: talking}, member{Status: "member"}, true},
		{"member where nobody may write", chatInfo{Type: "group", Permissions: silent}, member{Status: "member"}, false},
		{"restricted, but may write", chatInfo{Type: "group"}, member{Status: "restricted", CanSend: true}, true},
		{"restricted", chatInfo{Type: "group"}, member{Status: "restricted"}, false},
		{"gone", chatInfo{Type: "group"}, member{Status: "left"}, false},
		{"reader of a channel", chatInfo{Type: "channel"}, member{Status: "member"}, false},
		{"poster", chatInfo{Type: "channel"}, member{Status: "administrator", CanPost: true}, true},
		{"administrator who may not post", chatInfo{Type: "channel"}, member{Status: "administrator"}, false},
	} {
		if got := test.member.problem(test.chat); (got == "") != test.well {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestCheck(t *testing.T) {
	group := strconv.Itoa(telegramtest.SupergroupID)
	tests := []struct {
		name   string
		cfg    telegramtest.Config
		change func(*Config)
		script string
		want   []check.Finding // with a part of the text
	}{
		{
			"all well",
			telegramtest.Config{},
			func(cfg *Config) { cfg.Others = []config.Secret{config.NewSecret("1:other"), {}} },
			"",
			[]check.Finding{{Subject: "token", State: check.Good, Text: "@openclaw_alerts_bot"}, {Subject: "separate bot", State: check.Good, Text: ""}, {Subject: "chat", State: check.Good, Text: "private"}, {Subject: "rights", State: check.Good, Text: ""}, {Subject: "rate", State: check.Good, Text: "60"}},
		},
		{
			"OpenClaw's own bot",
			telegramtest.Config{Webhook: "https://gateway.example/hook/" + secretPart},
			func(cfg *Config) {
				cfg.Others = []config.Secret{config.NewSecret(strings.Split(telegramtest.Token, ":")[0] + ":replaced")}
			},
			"",
			[]check.Finding{{Subject: "token", State: check.Good, Text: ""}, {Subject: "separate bot", State: check.Fault, Text: "@BotFather"}, {Subject: "webhook", State: check.Warning, Text: "gateway.example"}, {Subject: "chat", State: check.Good, Text: ""}, {Subject: "rights", State: check.Good, Text: ""}, {Subject: "rate", State: check.Good, Text: ""}},
		},
		{
			"group with a topic",
			telegramtest.Config{},
			func(cfg *Config) { cfg.Chat, cfg.Thread = group, telegramtest.Topic },
			"",
			[]check.Finding{{Subject: "token", State: check.Good, Text: ""}, {Subject: "chat", State: check.Good, Text: "supergroup"}, {Subject: "rights", State: check.Good, Text: ""}, {Subject: "topic", State: check.Good, Text: ""}, {Subject: "rate", State: check.Warning, Text: "20"}},
		},
		{
			"topic gone",
			telegramtest.Config{},
			func(cfg *Config) { cfg.Chat, cfg.Thread = group, 99 },
			"",
			[]check.Finding{{Subject: "token", State: check.Good, Text: ""}, {Subject: "chat", State: check.Good, Text: ""}, {Subject: "rights", State: check.Good, Text: ""}, {Subject: "topic", State: check.Warning, Text: "General"}, {Subject: "rate", State: check.Warning, Text: ""}},
		},
		{"token", telegramtest.Config{}, func(*Config) {}, "now revoke", []check.Finding{{Subject: "token", State: check.Fault, Text: "TELEGRAM_BOT_TOKEN"}}},
		{"chat", telegramtest.Config{}, toChat("1"), "", []check.Finding{{Subject: "token", State: check.Good, Text: ""}, {Subject: "chat", State: check.Fault, Text: "TELEGRAM_CHAT_ID"}}},
		{"rights", telegramtest.Config{}, toChat(group), fmt.Sprintf("now mute %d", telegramtest.SupergroupID), []check.Finding{{Subject: "token", State: check.Good, Text: ""}, {Subject: "chat", State: check.Good, Text: ""}, {Subject: "rights", State: check.Fault, Text: "lift"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := telegramtest.New(test.cfg)
			c := open(t, s.Start(t), test.change)
			if err := s.Script(test.script); err != nil {
				t.Fatal(err)
			}
			found := c.Check(t.Context())
			if len(found) != len(test.want) {
				t.Fatalf("got %+v", found)
			}
			for i, f := range found {
				want := test.want[i]
				if f.Subject != want.Subject || f.State != want.State || !strings.Contains(f.Text, want.Text) {
					t.Errorf("got %+v, want %+v", f, want)
				}
				if strings.Contains(f.Text, secretPart) {
					t.Errorf("the token is in %+v", f)
				}
			}
		})
	}
}
