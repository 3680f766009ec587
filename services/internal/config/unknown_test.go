package config_test

import (
	"slices"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

func TestUnknown(t *testing.T) {
	known := config.Keys(struct {
		Rate     int `env:"ALERT_MAX_PER_MINUTE"`
		Log      config.Log
		Token    config.Secret `env:"TELEGRAM_BOT_TOKEN"`
		Chat     string        `env:"TELEGRAM_CHAT_ID"`
		Host     string        `env:"OPENCLAW_HOST"`
		Profiles string        `env:"COMPOSE_PROFILES"`
	}{})
	tests := []struct {
		name    string
		environ []string
		want    []config.UnknownKey
	}{
		{"known ones", []string{"ALERT_MAX_PER_MINUTE=1", "TELEGRAM_BOT_TOKEN_FILE=/x", "TELEGRAM_CHAT_ID="}, nil},
		{"foreign ones", []string{"PATH=/bin", "HOME=/", "LOGNAME=me", "ALERT=1", "nonsense"}, []config.UnknownKey{{Name: "ALERT"}}},
		{"typo", []string{"ALERT_MAX_PER_MINUT=1"}, []config.UnknownKey{{"ALERT_MAX_PER_MINUT", "ALERT_MAX_PER_MINUTE"}}},
		{"typo in the first word", []string{"TELEGARM_CHAT_ID=1"}, []config.UnknownKey{{"TELEGARM_CHAT_ID", "TELEGRAM_CHAT_ID"}}},
		{"half remembered", []string{"TELEGRAM_TOKEN=1"}, []config.UnknownKey{{"TELEGRAM_TOKEN", "TELEGRAM_BOT_TOKEN"}}},
		{"file of what is no secret", []string{"TELEGRAM_CHAT_ID_FILE=1"}, []config.UnknownKey{{"TELEGRAM_CHAT_ID_FILE", "TELEGRAM_CHAT_ID"}}},
		{"OpenClaw's own", []string{"OPENCLAW_GATEWAY_TOKEN=1", "OPENCLAW_HOTS=1"}, []config.UnknownKey{{"OPENCLAW_HOTS", "OPENCLAW_HOST"}}},
		{"compose's own", []string{"COMPOSE_FILE=a.yaml", "COMPOSE_PROFILE=guard"}, []config.UnknownKey{{"COMPOSE_PROFILE", "COMPOSE_PROFILES"}}},
		{"nothing near", []string{"LOG_ROTATION_POLICY=x"}, []config.UnknownKey{{Name: "LOG_ROTATION_POLICY"}}},
		{"sorted", []string{"LOG_B_UNKNOWN=", "LOG_A_UNKNOWN="}, []config.UnknownKey{{Name: "LOG_A_UNKNOWN"}, {Name: "LOG_B_UNKNOWN"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := config.Unknown(test.environ, known); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
