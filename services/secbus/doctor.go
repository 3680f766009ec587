package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier"
)

type doctorCommand struct {
	targetFlags
	OpenClaw string `default:"${default_openclaw}" placeholder:"DIR" help:"OpenClaw's directory, where its bot's token is looked for (${default})."`
	JSON     bool   `help:"Print as JSON."`
}

// Help is shown by --help.
func (doctorCommand) Help() string {
	return "Looks at the settings in the environment, at Telegram and at the bus, and says what is wrong and what to do. It sends no message: `secbus notify test` does. Exits with 3 if alerts cannot reach you."
}

// Run checks what stands between an alert and its owner.
func (c *doctorCommand) Run(ctx context.Context, term terminal) error {
	var cfg notifier.Config
	environ := append(term.environ[:len(term.environ):len(term.environ)], "NATS_URL=", "NATS_NKEY_SEED=", "NATS_NKEY_SEED_FILE=")
	if err := config.Load(&cfg, environ); err != nil {
		return err
	}
	var findings []notifier.Finding
	findings = append(findings, c.busFindings(ctx, term)...)
	if !cfg.Telegram.Enabled() {
		findings = append(findings, notifier.Finding{
			Sink: "telegram", Subject: "settings", State: "warning",
			Text: "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are not set: alerts are printed, or posted to WEBHOOK_URL",
		})
	}
	chats, err := notifier.Check(ctx, cfg, openClawTokens(c.OpenClaw))
	if err != nil {
		return err
	}
	findings = append(findings, chats...)
	if c.JSON {
		err = printJSON(term.stdout, findings)
	} else {
		t := tabwriter.NewWriter(term.stdout, 0, 0, 2, ' ', 0)
		for _, f := range findings {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.State, f.Sink, f.Subject, f.Text)
		}
		err = t.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	for _, f := range findings {
		if f.State == "fault" {
			return errMissing
		}
	}
	return nil
}

// busFindings are what `secbus status` finds missing.
func (c *doctorCommand) busFindings(ctx context.Context, term terminal) []notifier.Finding {
	found := func(state, text string) notifier.Finding {
		return notifier.Finding{Sink: "bus", Subject: "status", State: state, Text: text}
	}
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return []notifier.Finding{found("fault", err.Error())}
	}
	defer conn.Close()
	s, err := readStatus(ctx, conn, time.Now())
	if err != nil {
		return []notifier.Finding{found("fault", err.Error())}
	}
	var findings []notifier.Finding
	for _, missing := range s.Missing {
		findings = append(findings, found("warning", missing))
	}
	if len(findings) == 0 {
		findings = append(findings, found("good", "nothing is missing"))
	}
	return findings
}

// botToken is what the token of a Telegram bot looks like.
var botToken = regexp.MustCompile(`[0-9]{6,12}:[A-Za-z0-9_-]{30,}`)

// openClawTokens looks for the tokens of bots in OpenClaw's configuration, as
// far as that can be read.
func openClawTokens(dir string) []config.Secret {
	text, err := os.ReadFile(filepath.Join(dir, "openclaw.json"))
	if err != nil {
		return nil
	}
	var tokens []config.Secret
	for _, token := range botToken.FindAllString(string(text), 16) {
		tokens = append(tokens, config.NewSecret(token))
	}
	return tokens
}

// defaultOpenClaw is where OpenClaw keeps its configuration.
func defaultOpenClaw() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".openclaw"
	}
	return filepath.Join(home, ".openclaw")
}
