package message

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// The last form of a message shows words of what each alert says, and nothing else
// of it.
func TestMinimalHasWords(t *testing.T) {
	f := Format{Zone: time.UTC, Units: utf8.RuneLen, Limit: 4000, Short: 2000}
	var b sink.Batch
	for i, title := range []string{"Cloud metadata service reached", "see http://evil.example/x?y or /start @bot <b>é</b>", "日本", strings.Repeat("long ", 100)} {
		e := &proto.Event{ID: fmt.Sprintf("e%04d", i), Title: title}
		e.SetSeverity(proto.SeverityCritical)
		b.Alerts = append(b.Alerts, sink.Alert{Event: e, Count: 1})
	}
	text, ok := f.Write(b, Minimal)
	got := text.String()
	for _, want := range []string{"e0000 Cloud metadata service reached\n", "e0001 see ", "e0003 long long", "\ne0002"} {
		if !ok || !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	for _, r := range got {
		if r >= 0x80 || strings.ContainsRune("<>/@?=.", r) {
			t.Errorf("it has %q:\n%s", r, got)
		}
	}
	// An id is not left out for a title.
	for i := range 300 {
		e := &proto.Event{ID: fmt.Sprintf("f%011d", i), Title: strings.Repeat("word ", 30)}
		b.Alerts = append(b.Alerts, sink.Alert{Event: e, Count: 1})
	}
	text, _ = f.Write(b, Minimal)
	if got := text.String(); len(got) > f.Limit || strings.Count(got, "f0000") < 250 {
		t.Errorf("%d bytes, %d ids:\n%s", len(got), strings.Count(got, "f0000"), got)
	}
}

// A chat that counts bytes gets as many of them as it takes, and every alert is
// named or counted.
func TestLimitsInBytes(t *testing.T) {
	f := Format{Zone: time.UTC, Units: utf8.RuneLen, Limit: 1200, Short: 600}
	b := sink.Batch{Notices: []string{strings.Repeat("日本", 300)}}
	for i := range 40 {
		e := &proto.Event{ID: fmt.Sprintf("e%04d", i), Title: strings.Repeat("ü", 100)}
		e.SetSeverity(proto.SeverityHigh)
		b.Alerts = append(b.Alerts, sink.Alert{Event: e, Count: 1})
	}
	for level, limit := range map[Level]int{Full: f.Limit, Unstyled: f.Limit, Short: f.Short, Minimal: f.Limit} {
		text, ok := f.Write(b, level)
		if n := len(text.String()); !ok || n > limit {
			t.Errorf("level %d: %d bytes, limit %d", level, n, limit)
		}
		styled := false
		for _, span := range text.Spans {
			styled = styled || span.Style != Plain
		}
		if styled != (level == Full) {
			t.Errorf("level %d: styled %t", level, styled)
		}
		if !strings.Contains(text.String(), "40 alerts: 40 high") {
			t.Errorf("level %d does not count the alerts:\n%s", level, text)
		}
	}
}
