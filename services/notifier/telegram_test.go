package notifier

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/ask"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/internal/telegramtest"
)

// chatRig is a bus, a stand-in for Telegram and the settings of a notifier
// between them.
type chatRig struct {
	*rig
	telegram *telegramtest.Server
	environ  []string
	operator *bus.Conn
	out      *os.File
}

const chatName = "telegram-48151623"

func newChatRig(t *testing.T, environ ...string) *chatRig {
	r := &chatRig{telegram: telegramtest.New(telegramtest.Config{})}
	r.environ = append([]string{
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
		fmt.Sprintf("TELEGRAM_CHAT_ID=%d", telegramtest.PrivateID),
		"TELEGRAM_API=" + r.telegram.Start(t),
		"DAILY_REPORT_HOUR=", "NOTIFIER_TIMEZONE=UTC",
	}, environ...)
	var cfg Config
	if err := config.Load(&cfg, r.environ); err != nil {
		t.Fatal(err)
	}
	durables := cfg.Consumers()
	b := bustest.Start(t, bustest.Durables(durables...), bustest.Plan(bus.Plan{Consumers: durables}))
	r.rig = &rig{t, b, b.Conn(t, bus.ShipperRole(bustest.Suricata))}
	r.operator = b.Conn(t, bus.RoleOperator)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	r.out = out
	return r
}

func (r *chatRig) start() (stop func()) { return r.run(r.out, r.environ...) }

// messages waits until n messages have been accepted.
func (r *chatRig) messages(n int) []telegramtest.Message {
	r.t.Helper()
	bustest.Eventually(r.t, fmt.Sprintf("%d messages are accepted", n), func() bool { return len(r.telegram.Messages()) >= n })
	all := r.telegram.Messages()
	if len(all) != n {
		r.t.Errorf("%d messages, want %d: %+v", len(all), n, all)
	}
	return all
}

func TestDeliversToTelegram(t *testing.T) {
	r := newChatRig(t)
	r.start()
	r.alert(proto.SeverityLow, "below")
	r.alert(proto.SeverityCritical, "metadata service reached")
	if m := r.messages(1)[0]; !strings.Contains(m.Text, "metadata service reached") || len(m.Links) != 0 {
		t.Errorf("got %+v", m)
	}
	if printed, err := os.ReadFile(r.out.Name()); err != nil || len(printed) != 0 {
		t.Errorf("printed as well: %s, %v", printed, err)
	}
	var deliveries []*bus.Stored
	bustest.Eventually(t, "the delivery is recorded", func() bool {
		deliveries = nil
		for m, err := range r.operator.History(t.Context(), proto.StreamDeliveries, proto.DeliveriesPrefix+".>", bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			deliveries = append(deliveries, m)
		}
		return len(deliveries) == 1
	})
	if !strings.Contains(string(deliveries[0].Data), `"kind":"cards"`) || !strings.Contains(string(deliveries[0].Data), `"first":2`) {
		t.Errorf("recorded %s", deliveries[0].Data)
	}
}

func TestOperatorAsks(t *testing.T) {
	r := newChatRig(t)
	r.alert(proto.SeverityHigh, "some time ago")
	r.start()
	r.messages(1)

	askFor := func(a ask.Ask) ask.Ask {
		t.Helper()
		if err := ask.Put(t.Context(), r.operator, chatName, a); err != nil {
			t.Fatal(err)
		}
		answered, err := ask.Wait(t.Context(), r.operator, chatName, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		return answered
	}
	if a := askFor(ask.New(ask.Test)); a.State != ask.Done || !strings.Contains(r.messages(2)[1].Text, "This is a test.") {
		t.Errorf("test: %+v", a)
	}
	replay := ask.New(ask.Replay)
	replay.Selection = &ask.Selection{From: time.Now().Add(-time.Hour), To: time.Now(), Source: "suricata", Matcher: `$.title =~ "time ago"`}
	if a := askFor(replay); a.State != ask.Done || !strings.Contains(a.Detail, "1 alerts") {
		t.Errorf("replay: %+v", a)
	}
	if m := r.messages(3)[2]; !strings.Contains(m.Text, "REPLAY") || !strings.Contains(m.Text, "some time ago") {
		t.Errorf("replayed %q", m.Text)
	}
	replay.ID, replay.Selection.Source = "other", "tracee"
	if a := askFor(replay); a.State != ask.Done || a.Detail != "there is nothing to send" {
		t.Errorf("replay of nothing: %+v", a)
	}
	replay.ID, replay.Selection.Matcher = "faulty", "$.title =="
	if a := askFor(replay); a.State != ask.Failed || !strings.Contains(a.Detail, "the filter") {
		t.Errorf("replay by a faulty filter: %+v", a)
	}
	if a := askFor(ask.Ask{ID: "x", Kind: "dance"}); a.State != ask.Failed || !strings.Contains(a.Detail, "dance") {
		t.Errorf("something unknown: %+v", a)
	}
}

func TestDeadLettersAreRetried(t *testing.T) {
	r := newChatRig(t)
	r.publish(proto.SeverityHigh, []byte("{broken"))
	r.start()
	// The chat is told that there is one.
	r.messages(1)
	a := ask.New(ask.Retry)
	a.Dead = []uint64{1, 99}
	if err := ask.Put(t.Context(), r.operator, chatName, a); err != nil {
		t.Fatal(err)
	}
	answered, err := ask.Wait(t.Context(), r.operator, chatName, a.ID)
	if err != nil || answered.State != ask.Done {
		t.Fatalf("%+v, %v", answered, err)
	}
	m := r.messages(2)[1]
	if !strings.Contains(m.Text, "Dead letter 1") || !strings.Contains(m.Text, "no dead letter 99") {
		t.Errorf("got %q", m.Text)
	}
}

func TestSilencedAlertsAreNotSent(t *testing.T) {
	r := newChatRig(t)
	s, err := silence.New(`$.title == "noise"`, "", "", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := silence.Change(t.Context(), r.operator, func(l silence.List) (silence.List, error) { return l.With(s) }); err != nil {
		t.Fatal(err)
	}
	r.alert(proto.SeverityHigh, "noise")
	r.alert(proto.SeverityHigh, "signal")
	r.start()
	if m := r.messages(1)[0]; strings.Contains(m.Text, "noise") || !strings.Contains(m.Text, "signal") || !strings.Contains(m.Text, s.ID) {
		t.Errorf("got %q", m.Text)
	}
}

func TestButtons(t *testing.T) {
	r := newChatRig(t, "TELEGRAM_BUTTONS=true", fmt.Sprintf("TELEGRAM_BUTTON_USERS=%d", telegramtest.PrivateID))
	r.start()
	id := strings.Repeat("ab", 16)
	e := proto.Event{ID: id, Time: time.Now(), Host: bustest.Host, Source: bustest.Suricata, Kind: "alert", Title: "press me", Rule: &proto.Rule{ID: "2100498"}}
	e.SetSeverity(proto.SeverityHigh)
	r.publishEvent(&e)
	m := r.messages(1)[0]
	if !strings.Contains(string(m.Markup), "det:"+id) {
		t.Fatalf("markup %s", m.Markup)
	}
	press := func(data string) string {
		t.Helper()
		pressID, err := r.telegram.Press(m.ID, data)
		if err != nil {
			t.Fatal(err)
		}
		var said string
		bustest.Eventually(t, "the press is answered", func() bool {
			text, ok := r.telegram.Answered(pressID)
			said = text
			return ok
		})
		return said
	}
	if said := press("sil:" + id); !strings.Contains(said, "Silenced rule 2100498 of suricata") {
		t.Errorf("silence: %q", said)
	}
	l, err := silence.Load(t.Context(), r.operator)
	if err != nil || len(l) != 1 || l[0].Matcher != `$.source == "suricata" && $.rule.id == "2100498"` || l[0].Until.IsZero() {
		t.Errorf("silences %+v, %v", l, err)
	}
	if said := press("det:" + id); said != "Sent." || !strings.Contains(r.messages(2)[1].Text, `"title":"press me"`) {
		t.Errorf("details: %q", said)
	}
	if said := press("ack:" + id); said != "Acknowledged." || len(r.messages(2)[0].Markup) != 0 {
		t.Errorf("ack: %q, markup %s", said, r.telegram.Messages()[0].Markup)
	}
	if said := press("det:nothing"); !strings.Contains(said, "there is no alert") {
		t.Errorf("of nothing: %q", said)
	}
}

func TestButtonsOfStrangers(t *testing.T) {
	r := newChatRig(t, "TELEGRAM_BUTTONS=true", "TELEGRAM_BUTTON_USERS=1")
	r.start()
	r.alert(proto.SeverityHigh, "0123456789abcdef0123456789abcdef")
	m := r.messages(1)[0]
	pressID, err := r.telegram.Press(m.ID, "ack:0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the press is answered", func() bool {
		text, ok := r.telegram.Answered(pressID)
		return ok && text == "This button is not for you."
	})
	if len(r.telegram.Messages()[0].Markup) == 0 {
		t.Error("acknowledged")
	}
}

// A report comes at the same hour of each day, however long the day is.
func TestReportTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 10, 25, 6, 30, 0, 0, berlin) // clocks went back at 3
	at := lastReport(now, 7)
	if want := time.Date(2026, 10, 24, 7, 0, 0, 0, berlin); !at.Equal(want) {
		t.Errorf("last report at %s", at)
	}
	if next := nextReport(at); next.Sub(at) != 25*time.Hour || next.Hour() != 7 {
		t.Errorf("next report at %s", next)
	}
}

func TestQuietHours(t *testing.T) {
	clock := func(text string) time.Time {
		at, err := time.Parse("15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, test := range []struct {
		quiet, at string
		want      bool
	}{
		{"22:00-07:00", "23:30", true},
		{"22:00-07:00", "06:59", true},
		{"22:00-07:00", "07:00", false},
		{"12:00-13:30", "13:29", true},
		{"12:00-13:30", "11:59", false},
		{"", "12:00", false},
	} {
		s, err := parseQuiet(test.quiet)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.contains(clock(test.at)); got != test.want {
			t.Errorf("%s in %q: %t", test.at, test.quiet, got)
		}
	}
	for _, faulty := range []string{"22-7", "22:00", "25:00-07:00", "a-b"} {
		if _, err := parseQuiet(faulty); err == nil {
			t.Errorf("%q is accepted", faulty)
		}
	}
}
