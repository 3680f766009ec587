package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/silence"
)

// deadFor is for how long a dead letter is news.
const deadFor = 7 * day

// delivery says what has become of alerts: delivered, given up, silenced.
func (c *checkup) delivery(ctx context.Context) []Finding {
	f := findings{hop: "delivery"}
	c.delivered(ctx, &f)
	c.deadLetters(ctx, &f)
	c.silences(ctx, &f)
	return f.all
}

// delivered tells of the last message to each chat.
func (c *checkup) delivered(ctx context.Context, f *findings) {
	if c.bus.stream(proto.StreamDeliveries).Err != nil {
		return
	}
	subjects, err := c.Conn.Subjects(ctx, proto.StreamDeliveries, proto.DeliveriesPrefix+".>")
	if err != nil {
		f.unreadable("last message", err)
		return
	}
	if len(subjects) == 0 {
		f.add("last message", Good, "none to a chat is on record; `secbus notify test` sends one (standard output and webhooks keep no record)")
	}
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		d, err := c.lastDelivery(ctx, subject)
		if err != nil {
			f.unreadable(subject, err)
			continue
		}
		text := fmt.Sprintf("last message %s ago, %s about %d alerts, accepted at attempt %d", span(c.bus.now().Sub(d.Time)), d.Kind, d.Alerts, d.Attempts)
		if d.MayRepeat {
			text += "; it may repeat an earlier one"
		}
		f.add(d.Sink, Good, "%s", text)
	}
}

func (c *checkup) lastDelivery(ctx context.Context, subject string) (proto.Delivery, error) {
	var d proto.Delivery
	m, err := c.Conn.Last(ctx, proto.StreamDeliveries, subject)
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

// deadLetters tells of what was given up.
func (c *checkup) deadLetters(ctx context.Context, f *findings) {
	s := c.bus.stream(proto.StreamDead)
	if s.Err != nil {
		return
	}
	if s.Messages == 0 {
		f.add("dead letters", Good, "none")
		return
	}
	last, err := c.Conn.Last(ctx, proto.StreamDead, proto.DeadPrefix+".>")
	if err != nil {
		f.unreadable("dead letters", err)
		return
	}
	if last == nil {
		f.add("dead letters", Good, "none any more")
		return
	}
	age := c.bus.age(last)
	text := fmt.Sprintf("%d, the last one %s ago by %s: %s", s.Messages, span(age),
		quote(last.Header.Get(proto.HeaderDeadConsumer)), quote(last.Header.Get(proto.HeaderDeadReason)))
	if age > deadFor {
		f.add("dead letters", Good, "%s", text)
		return
	}
	f.add("dead letters", Warning, "%s; `secbus dead list` shows them, `secbus dead retry` sends them", text)
}

// silences tells of what keeps alerts from being sent.
func (c *checkup) silences(ctx context.Context, f *findings) {
	if c.bus.stream(proto.StreamState).Err != nil {
		return
	}
	list, err := silence.Load(ctx, c.Conn)
	if err != nil {
		f.unreadable("silences", err)
		return
	}
	now := c.bus.now()
	list = slices.DeleteFunc(list, func(s silence.Silence) bool { return !s.Active(now) })
	if len(list) == 0 {
		f.add("silences", Good, "none is in force")
		return
	}
	critical, err := c.Conn.Last(ctx, proto.StreamAlerts, proto.AlertFilter(proto.SeverityCritical))
	if err != nil && !errors.Is(err, bus.ErrNotProvisioned) {
		f.unreadable("silences", err)
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
func judgeSilence(f *findings, s silence.Silence, critical *bus.Stored, now time.Time) {
	subject := "silence " + s.ID
	until := "until it is removed"
	if !s.Until.IsZero() {
		until = "for " + span(s.Until.Sub(now))
	}
	text := fmt.Sprintf("%s, holds back %s", until, quote(s.Matcher))
	set, err := silence.Compile(silence.List{s})
	if err != nil {
		f.add(subject, Warning, "it is without effect: %v; remove it with `secbus silence rm %s`", err, s.ID)
		return
	}
	sample, which := []byte(anyCritical), "critical alerts"
	if critical != nil {
		sample, which = critical.Data, "critical alerts such as the last one"
	}
	if _, held := set.Match(proto.SeverityCritical, sample, now); held {
		f.add(subject, Warning, "%s, %s included; `secbus silence rm %s` ends it", text, which, s.ID)
		return
	}
	f.add(subject, Good, "%s", text)
}
