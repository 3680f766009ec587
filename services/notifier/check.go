package notifier

import (
	"context"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/telegram"
)

// Finding is something that delivery depends on, and how it stands.
type Finding struct {
	Sink    string `json:"sink"`
	Subject string `json:"subject"`
	State   string `json:"state"` // "good", "warning" or "fault"
	Text    string `json:"text"`  // what was found and what to do about it, one line
}

// Check looks at the chats of cfg without sending anything. others are tokens of
// other programs' bots, which must not be the same.
func Check(ctx context.Context, cfg Config, others []config.Secret) ([]Finding, error) {
	states := map[telegram.State]string{telegram.Good: "good", telegram.Warning: "warning", telegram.Fault: "fault"}
	var findings []Finding
	if !cfg.Telegram.Enabled() {
		return nil, nil
	}
	for _, at := range cfg.Telegram.Chats() {
		t := telegramConfig(cfg, at)
		t.Others = others
		chat, err := telegram.New(t)
		if err != nil {
			return nil, err
		}
		for _, f := range chat.Check(ctx) {
			findings = append(findings, Finding{at.Name(), f.Subject, states[f.State], f.Text})
		}
	}
	return findings, nil
}
