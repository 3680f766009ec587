package notifier

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/request"
	"github.com/openclaw-security/bus/services/internal/selection"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/api"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/configtest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
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
	durables := cfg.Consumers(bustest.AlertStreams())
	b := bustest.Start(t, bustest.Durables(durables...), bustest.Provision(bus.ProvisionConfig{Consumers: durables}))
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
	bustest.Eventually(t, "the delivery of the alert is recorded", func() bool {
		var records string
		for m, err := range r.operator.History(t.Context(), proto.StreamDeliveries, proto.DeliveriesPrefix+".>", bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			records += string(m.Data)
		}
		return strings.Contains(records, `"kind":"cards"`) && strings.Contains(records, `"first":2`)
	})
}

// What a chat says that refuses every form of a message is about the chat, also if
// this version does not know the words: the alert waits in its fullest form, over a
// restart, until the chat works again.
func TestChatRefusesForReasonsUnknown(t *testing.T) {
	for _, description := range []string{
		"Bad Request: CHANNEL_INVALID", "Logged out", "Bad Request: ALLOW_PAYMENT_REQUIRED_10",
		"Bad Request: the message can't be sent", "Bad Request: MERCURY_RETROGRADE",
	} {
		t.Run(description, func(t *testing.T) {
			t.Parallel()
			r := newChatRig(t)
			if err := r.telegram.Script("error 400 " + description + " x3"); err != nil {
				t.Fatal(err)
			}
			r.alert(proto.SeverityCritical, "metadata service reached")
			stop := r.start()
			bustest.Eventually(t, "each form of the message is refused", func() bool { return r.telegram.Pending() == 0 })
			stop()
			r.start()
			bustest.Eventually(t, "the alert is accepted", func() bool { return len(r.telegram.Messages()) > 0 })
			if m := r.telegram.Messages()[0]; !strings.Contains(m.Text, "metadata service reached") || len(m.Entities) == 0 {
				t.Errorf("got %+v", m)
			}
		})
	}
}

func TestRequestsOfTheOperator(t *testing.T) {
	r := newChatRig(t)
	r.alert(proto.SeverityHigh, "some time ago")
	r.start()
	r.messages(1)

	if o := requested(r, api.SendTest, api.Test{Chat: chatName}); o.State != request.Done || o.Result.Chat != "48151623" || o.Result.MessageID != "2" || !strings.Contains(r.messages(2)[1].Text, "This is a test.") {
		t.Errorf("test: %+v", o)
	}
	replay := api.Replay{Chat: chatName, Selection: selection.Selection{From: time.Now().Add(-time.Hour), To: time.Now(), Source: "suricata", Matcher: `$.title =~ "time ago"`}}
	if o := requested(r, api.SendReplay, replay); o.State != request.Done || o.Result.Alerts != 1 || o.Result.Sent.MessageID == "" {
		t.Errorf("replay: %+v", o)
	}
	if m := r.messages(3)[2]; !strings.Contains(m.Text, "REPLAY") || !strings.Contains(m.Text, "some time ago") {
		t.Errorf("replayed %q", m.Text)
	}
	replay.Selection.Source = "tracee"
	if o := requested(r, api.SendReplay, replay); o.State != request.Done || o.Result != (api.Replayed{}) {
		t.Errorf("replay of nothing: %+v", o)
	}
	replay.Selection.Matcher = "$.title =="
	if o := requested(r, api.SendReplay, replay); o.State != request.Failed || !strings.Contains(o.Reason, "the matcher") {
		t.Errorf("replay by a faulty filter: %+v", o)
	}
	if o := requested(r, request.Kind[api.Test, api.Sent]("dance"), api.Test{}); o.State != request.Failed || !strings.Contains(o.Reason, "dance") {
		t.Errorf("something unknown: %+v", o)
	}
	if o := requested(r, api.SendTest, api.Test{Chat: "telegram-0"}); o.State != request.Failed || !strings.Contains(o.Reason, "telegram-0") {
		t.Errorf("another chat: %+v", o)
	}
}

// requested makes a request as the operator, and returns what came of it.
func requested[B, R any](r *chatRig, kind request.Kind[B, R], body B) request.Outcome[R] {
	r.t.Helper()
	q, err := request.New(kind, body, time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	o, err := request.Do(r.t.Context(), r.operator, api.Service, q)
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

func TestDeadLettersAreRetried(t *testing.T) {
	r := newChatRig(t)
	r.publish(proto.SeverityHigh, []byte("{broken"))
	r.start()
	// The chat is told that there is one.
	r.messages(1)
	if o := requested(r, api.SendDead, api.Dead{Chat: chatName, Sequences: []uint64{1, 99}}); o.State != request.Done || !slices.Equal(o.Result.Unreadable, []uint64{1}) || !slices.Equal(o.Result.Gone, []uint64{99}) || o.Result.Sent.MessageID == "" {
		t.Fatalf("%+v", o)
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

func TestSettings(t *testing.T) {
	var cfg Config
	if err := config.Load(&cfg, nil); err != nil {
		t.Fatal(err)
	}
	if want := (Alert{MaxPerMinute: 10, MinSeverity: proto.SeverityMedium}); cfg.Alert != want {
		t.Errorf("got %+v, want %+v", cfg.Alert, want)
	}
	if len(cfg.Chats()) > 0 || len(cfg.Consumers(bustest.AlertStreams())) > 0 {
		t.Errorf("chats %v and durables %v without settings", cfg.Chats(), cfg.Consumers(bustest.AlertStreams()))
	}
	for _, key := range config.Keys(cfg) {
		if !strings.HasSuffix(key.Doc, ".") {
			t.Errorf("%s has no documentation sentence: %q", key.Name, key.Doc)
		}
		if want := map[string]string{"TELEGRAM_API": "https://api.telegram.org", "WEBHOOK_FORMAT": "json"}[key.Name]; want != "" && key.Default != want {
			t.Errorf("%s is %s by default", key.Name, key.Default)
		}
	}
}

func TestAlertSettings(t *testing.T) {
	for _, test := range []struct{ name, env, fault string }{
		{"rate of 1", "ALERT_MAX_PER_MINUTE=1", ""},
		{"rate of 60", "ALERT_MAX_PER_MINUTE=60", ""},
		{"rate of 0", "ALERT_MAX_PER_MINUTE=0", "ALERT_MAX_PER_MINUTE: 0 is not between 1 and 60"},
		{"rate of 61", "ALERT_MAX_PER_MINUTE=61", "ALERT_MAX_PER_MINUTE: 61 is not between 1 and 60"},
		{"severity", "ALERT_MIN_SEVERITY=urgent", `ALERT_MIN_SEVERITY: "urgent": severity "urgent" is none of info, low, medium, high, critical`},
	} {
		t.Run(test.name, func(t *testing.T) {
			configtest.Faults(t, new(Alert), test.env, test.fault)
		})
	}
}
