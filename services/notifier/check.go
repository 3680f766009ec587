package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// checkHeartbeat says who would notice the notifier's death.
func (c Config) checkHeartbeat() []check.Finding {
	f := check.List{Hop: "notifier"}
	if c.Heartbeat.IsZero() {
		f.Add("heartbeat", check.Good, "nobody is told if the notifier or this machine dies; NOTIFIER_HEARTBEAT_URL has a service elsewhere do so")
	} else {
		f.Add("heartbeat", check.Good, "a service elsewhere is told each minute that alerts can be delivered (NOTIFIER_HEARTBEAT_URL)")
	}
	return f.All
}

// check checks how the sinks are set up without sending anything. openClaw is
// OpenClaw's directory: its bots must not be the notifier's.
func (c Config) check(ctx context.Context, openClaw string) []check.Finding {
	if len(c.Chats()) == 0 {
		f := check.List{Hop: "telegram"}
		f.Add("settings", check.Warning, "no chat is configured (TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or the settings of another chat): alerts are printed, or posted to WEBHOOK_URL")
		return f.All
	}
	shared := c.shared()
	shared.OtherBots = openClawTokens(openClaw)
	all, err := c.Sinks.open(shared)
	if err != nil {
		f := check.List{Hop: "sink"}
		f.Add("settings", check.Fault, "%v", err)
		return f.All
	}
	var findings []check.Finding
	add := func(s any) {
		if checker, ok := s.(sink.Checker); ok {
			findings = append(findings, checker.Check(ctx)...)
		}
	}
	for _, opened := range all {
		for _, chat := range opened.Chats {
			add(chat)
		}
		for _, s := range opened.Sinks {
			add(s)
		}
	}
	return findings
}

// botToken is what the token of a Telegram bot looks like.
var botToken = regexp.MustCompile(`[0-9]{6,12}:[A-Za-z0-9_-]{30,}`)

// openClawTokens finds the tokens of bots in OpenClaw's configuration, as
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

// checkDelivery says what has become of alerts: delivered or silenced.
func checkDelivery(ctx context.Context, b *check.Bus) []check.Finding {
	f := check.List{Hop: "delivery"}
	checkDelivered(ctx, &f, b)
	checkSilences(ctx, &f, b)
	return f.All
}

// checkDelivered reports the last message to each chat.
func checkDelivered(ctx context.Context, f *check.List, b *check.Bus) {
	if !b.Has(proto.StreamDeliveries) {
		return
	}
	subjects, err := b.Conn.Subjects(ctx, proto.StreamDeliveries, proto.DeliveriesPrefix+".>")
	if err != nil {
		f.Unreadable("last message", err)
		return
	}
	if len(subjects) == 0 {
		f.Add("last message", check.Good, "none to a chat is on record; `secbus notify test` sends one (standard output and webhooks keep no record)")
	}
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		d, err := lastDelivery(ctx, b.Conn, subject)
		if err != nil {
			f.Unreadable(subject, err)
			continue
		}
		text := fmt.Sprintf("last message %s ago, %s about %d alerts, accepted at attempt %d", check.Span(b.Now().Sub(d.Time)), d.Kind, d.Alerts, d.Attempts)
		if d.MayRepeat {
			text += "; it may repeat an earlier one"
		}
		f.Add(d.Sink, check.Good, "%s", text)
	}
}

func lastDelivery(ctx context.Context, conn *bus.Conn, subject string) (proto.Delivery, error) {
	var d proto.Delivery
	m, err := conn.Last(ctx, proto.StreamDeliveries, subject)
	if err != nil {
		return d, err
	}
	if m == nil {
		return d, errors.New("the record has been removed meanwhile")
	}
	if err := json.Unmarshal(m.Data, &d); err != nil {
		return d, fmt.Errorf("reading delivery %d: %w", m.Sequence, err)
	}
	return d, nil
}

// checkSilences reports the silences that keep alerts from being sent.
func checkSilences(ctx context.Context, f *check.List, b *check.Bus) {
	if !b.Has(proto.StreamState) {
		return
	}
	list, err := silence.Load(ctx, b.Conn)
	if err != nil {
		f.Unreadable("silences", err)
		return
	}
	now := b.Now()
	list = slices.DeleteFunc(list, func(s silence.Silence) bool { return !s.Active(now) })
	if len(list) == 0 {
		f.Add("silences", check.Good, "none is in force")
		return
	}
	critical, err := b.Conn.LastIn(ctx, b.State.Alerts(), proto.AlertFilter(proto.SeverityCritical))
	if err != nil && !errors.Is(err, bus.ErrNotProvisioned) {
		f.Unreadable("silences", err)
		return
	}
	for _, s := range list {
		judgeSilence(f, s, critical, now)
	}
}

// anyCritical stands for a critical alert where there has been none.
const anyCritical = `{"severity":"critical","severity_id":5}`

// judgeSilence judges a silence in force by what it would do to the last
// critical alert, nil if there is none.
func judgeSilence(f *check.List, s silence.Silence, critical *bus.Stored, now time.Time) {
	subject := "silence " + s.ID
	until := "until it is removed"
	if !s.Until.IsZero() {
		until = "for " + check.Span(s.Until.Sub(now))
	}
	text := fmt.Sprintf("%s, holds back %s", until, check.Quote(s.Matcher))
	set, err := silence.Compile(silence.List{s})
	if err != nil {
		f.Add(subject, check.Warning, "it is without effect: %v; remove it with `secbus silence rm %s`", err, s.ID)
		return
	}
	sample, which := []byte(anyCritical), "critical alerts"
	if critical != nil {
		sample, which = critical.Data, "critical alerts such as the last one"
	}
	if _, held := set.Match(proto.SeverityCritical, sample, now); held {
		f.Add(subject, check.Warning, "%s, %s included; `secbus silence rm %s` ends it", text, which, s.ID)
		return
	}
	f.Add(subject, check.Good, "%s", text)
}
