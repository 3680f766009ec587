package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
	"github.com/openclaw-security/bus/suricata"
)

// TestChatCommands has the bus deliver to a chat and looks after it with every
// command that an owner has.
func TestChatCommands(t *testing.T) {
	telegram := telegramtest.New(telegramtest.Config{})
	s := newSession(t)
	data := filepath.Join(s.dir, "data")
	eve := filepath.Join(s.dir, "eve.json")
	openclaw := filepath.Join(s.dir, "openclaw")
	s.environ = []string{
		"SURICATA_EVE_PATH=" + eve, "TRACEE_EVENTS_PATH=" + filepath.Join(s.dir, "events.json"),
		"OPENCLAW_HOST=box1", "ADMIN_ADDR=127.0.0.1:0", "PROXY_ADDR=", "ALERT_MIN_SEVERITY=critical", "DAILY_REPORT_HOUR=",
		"TELEGRAM_API=" + telegram.Start(t), "TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
		fmt.Sprintf("TELEGRAM_CHAT_ID=%d", telegramtest.PrivateID),
	}
	up := s.start("up", "--data", data, "--listen", "127.0.0.1:0")
	eventually(t, up.errs, "The bus is up")
	command := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := s.run(t.Context(), append(args, "--data", data)...)
		if code != want {
			t.Fatalf("%q: exit code %d\n%s%s", args, code, out, errs)
		}
		return out + errs
	}
	shows := func(out string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
	}

	shows(command(exitOK, "doctor", "--open-claw", openclaw), "the bot is @openclaw_alerts_bot", "source suricata: nothing has come from it yet")
	if err := os.MkdirAll(openclaw, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(openclaw, "openclaw.json"), []byte(`{channels:{telegram:{botToken:"`+telegramtest.Token+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	shows(command(exitMissing, "doctor", "--open-claw", openclaw, "--json"), `"subject": "separate bot"`, `"state": "fault"`)
	shows(command(exitOK, "notify", "test"), "telegram-48151623: done: sent a test message as message 1 of chat 48151623")
	shows(command(exitFailed, "notify", "test", "--sink", "pager"), "there is no chat pager; there are: telegram-48151623\n")
	if n := len(telegram.Messages()); n != 1 {
		t.Errorf("one chat got %d test messages", n)
	}

	if err := os.WriteFile(eve, suricata.Recording(), 0o644); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Count(suricata.Recording(), []byte("\n"))
	bustest.Eventually(t, "all is stored", func() bool {
		_, out, _ := s.run(t.Context(), "status", "--data", data, "--json")
		var got status
		return json.Unmarshal([]byte(out), &got) == nil && got.held("ALERTS_suricata")+got.held("EVENTS_suricata") == lines
	})
	bustest.Eventually(t, "the critical alerts are sent", func() bool { return len(telegram.Messages()) > 1 })
	id := regexp.MustCompile(`secbus trace ([0-9a-f]{12})`).FindStringSubmatch(telegram.Messages()[1].Text)
	if id == nil {
		t.Fatalf("a message without an id: %+v", telegram.Messages())
	}
	bustest.Eventually(t, "the delivery is recorded", func() bool {
		return strings.Contains(command(exitOK, "trace", id[1]), "delivered")
	})
	shows(command(exitOK, "trace", id[1]), "ALERTS_suricata #", "message 2 of chat 48151623, attempt 1")
	shows(command(exitFailed, "trace", "0123456789ab"), "no event begins with 0123456789ab")
	shows(command(exitFailed, "trace", "01"), "too short")

	shows(command(exitFailed, "silence", "add", "$.rule.id =="), "that is no silence")
	added := command(exitOK, "silence", "add", `$.rule.id == "1"`, "--comment", "ours")
	silence := regexp.MustCompile(`Silence ([0-9a-f]{8}) ends at`).FindStringSubmatch(added)
	if silence == nil {
		t.Fatalf("added: %s", added)
	}
	shows(command(exitOK, "silence", "list"), silence[1], `$.rule.id == "1"`, "ours")
	command(exitOK, "silence", "rm", silence[1])
	shows(command(exitFailed, "silence", "rm", silence[1]), "there is no silence")
	shows(command(exitOK, "silence", "list"), "Nothing is silenced.")

	shows(command(exitOK, "replay", "--filter", `$.rule.id == "9900001"`), "REPLAY ", "events replayed from ALERTS_auditor, ")
	shows(command(exitFailed, "replay", "--filter", "$.rule =="), "--filter")
	before := len(telegram.Messages())
	shows(command(exitOK, "replay", "--severity", "critical", "--to", "telegram"), "telegram-48151623: done: sent ")
	bustest.Eventually(t, "the replay is sent", func() bool {
		for _, m := range telegram.Messages()[before:] {
			if strings.Contains(m.Text, "REPLAY") {
				return true
			}
		}
		return false
	})
	shows(command(exitOK, "replay", "--severity", "critical", "--to", "subject"), "events replayed from ALERTS_auditor, ")
	shows(command(exitOK, "dead", "list"), "There are no dead letters.")
	shows(command(exitFailed, "dead", "show", "1"), "there is no dead letter 1")

	out := command(exitMissing, "status")
	shows(out, "notifier-telegram-48151623-urgent", "source tracee")
	if strings.Contains(out, "consumer notifier-stdout of") {
		t.Errorf("standard output is missed though alerts go to a chat:\n%s", out)
	}
}
