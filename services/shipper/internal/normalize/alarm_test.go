package normalize_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

func alarm() normalize.Alarm {
	return normalize.Alarm{
		Condition: "silent",
		Severity:  proto.SeverityHigh,
		Text:      "Suricata has been silent for 5m0s",
		Since:     time.Date(2026, 11, 22, 7, 0, 0, 1, time.UTC),
		At:        time.Date(2026, 11, 22, 7, 5, 0, 2, time.UTC),
	}
}

func TestAlarm(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	e := proto.Event{Tags: []string{"old"}, Origin: &proto.Origin{File: "eve.json"}}
	n.Alarm(&e, alarm())
	want := proto.Event{
		ID: e.ID, Time: alarm().At, Host: "box1", Source: "suricata", Kind: proto.KindSensor,
		Severity: proto.SeverityHigh, SeverityID: 4, Title: alarm().Text,
		Rule: &proto.Rule{ID: "silent", Category: "sensor health"},
		Raw:  []byte(`{"condition":"silent","state":"raised","since":"2026-11-22T07:00:00.000000001Z"}`),
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got  %s\nwant %s", e.AppendJSON(nil), want.AppendJSON(nil))
	}
	if len(e.ID) != proto.EventIDLength {
		t.Errorf("id %q", e.ID)
	}
}

// The id follows from what the alarm is about, not from when it was noticed.
func TestAlarmID(t *testing.T) {
	id := func(change func(*normalize.Alarm)) string {
		a := alarm()
		change(&a)
		var e proto.Event
		newNormalizer("suricata", suricata.Sensor{}).Alarm(&e, a)
		return e.ID
	}
	same := id(func(*normalize.Alarm) {})
	for _, test := range []struct {
		name   string
		change func(*normalize.Alarm)
		same   bool
	}{
		{"noticed later", func(a *normalize.Alarm) { a.At = a.At.Add(time.Hour) }, true},
		{"in other words", func(a *normalize.Alarm) { a.Text = "it is quiet" }, true},
		{"in another zone", func(a *normalize.Alarm) { a.Since = a.Since.In(time.FixedZone("", 3600)) }, true},
		{"begun later", func(a *normalize.Alarm) { a.Since = a.Since.Add(1) }, false},
		{"over", func(a *normalize.Alarm) { a.Over = true }, false},
		{"another condition", func(a *normalize.Alarm) { a.Condition = "drops" }, false},
	} {
		if got := id(test.change) == same; got != test.same {
			t.Errorf("%s: the same id is %t", test.name, got)
		}
	}
}

func TestReadAlarm(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	for _, over := range []bool{false, true} {
		a := alarm()
		a.Over = over
		var e proto.Event
		n.Alarm(&e, a)
		if got, ok := normalize.ReadAlarm(e.AppendJSON(nil)); !ok || got != a {
			t.Errorf("read back %+v, %t", got, ok)
		}
	}
	var line proto.Event
	n.Event(&line, []byte(`{"event_type":"sensor","condition":"silent","state":"raised","since":"2026-11-22T07:00:00Z"}`), proto.Origin{File: "eve.json"})
	for name, text := range map[string]string{
		"a sensor's line": string(line.AppendJSON(nil)),
		"another event":   `{"kind":"dns","raw":{"condition":"silent","state":"raised"}}`,
		"no raw":          `{"kind":"sensor"}`,
		"no event":        `silent`,
		"nothing":         ``,
	} {
		if got, ok := normalize.ReadAlarm([]byte(text)); ok {
			t.Errorf("%s is read as %+v", name, got)
		}
	}
}
