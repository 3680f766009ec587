package notifier

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/checktest"
)

func TestCheckDelivery(t *testing.T) {
	r := checktest.New(t, bustest.Grant(Role, proto.DeliveriesSubject("telegram-1")))
	found := func() []check.Finding { return checkDelivery(t.Context(), r.Read(0)) }
	checktest.Compare(t, found(),
		checktest.Want("last message", check.Good, "notify test"),
		checktest.Want("silences", check.Good, "none"),
	)
	sent := proto.Delivery{Time: time.Now().UTC(), Sink: "telegram-1", Kind: proto.DeliveryCards, Alerts: 3, Attempts: 2, MayRepeat: true}
	r.Store(Role, proto.DeliveriesSubject("telegram-1"), sent, nil)
	s, err := silence.New("true", "", "", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := silence.Change(t.Context(), r.Conn, func(l silence.List) (silence.List, error) { return l.With(s) }); err != nil {
		t.Fatal(err)
	}
	r.Event(bus.ShipperRole("suricata"), "suricata", "alert", proto.SeverityCritical, "a", nil)
	checktest.Compare(t, found(),
		checktest.Want("telegram-1", check.Good, "cards about 3 alerts, accepted at attempt 2; it may repeat an earlier one"),
		checktest.Want("silence "+s.ID, check.Warning, "critical alerts such as the last one included"),
	)
	checktest.Compare(t, checkDelivery(t.Context(), nil)) // no bus
}

func TestJudgeSilence(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	critical := &bus.Stored{Header: nats.Header{}, Data: []byte(`{"severity":"critical","rule":{"id":"7"}}`)}
	for _, test := range []struct {
		name    string
		silence silence.Silence
		last    *bus.Stored
		want    checktest.Wanted
	}{
		{"of something else", silence.Silence{Matcher: `$.rule.id == "8"`, Until: noon.Add(time.Hour)}, critical, checktest.Want("silence 1", check.Good, `for 1h00m, holds back $.rule.id == "8"`)},
		{"of the last critical alert", silence.Silence{Matcher: `$.rule.id == "7"`, Until: noon.Add(time.Hour)}, critical, checktest.Want("silence 1", check.Warning, "secbus silence rm 1")},
		{"of all that is critical", silence.Silence{Matcher: `$.severity == "critical"`, Until: noon.Add(time.Hour)}, nil, checktest.Want("silence 1", check.Warning, "critical alerts included")},
		{"nothing critical yet", silence.Silence{Matcher: `$.rule.id == "7"`, Until: noon.Add(time.Hour)}, nil, checktest.Want("silence 1", check.Good, "holds back")},
		{"without an end", silence.Silence{Matcher: `true`}, critical, checktest.Want("silence 1", check.Good, "until it is removed")},
		{"broken", silence.Silence{Matcher: `$.rule ==`}, critical, checktest.Want("silence 1", check.Warning, "without effect")},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.silence.ID = "1"
			var f check.List
			judgeSilence(&f, test.silence, test.last, noon)
			checktest.Compare(t, f.All, test.want)
		})
	}
}
