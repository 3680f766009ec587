package shipper_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// sensorEvent checks that the next stored message is an alarm about the sensor
// and returns it.
func (f *feed) sensorEvent(condition, state string, severity proto.Severity) (*bus.Stored, *proto.Event) {
	f.t.Helper()
	m, e := f.next()
	var record struct{ Condition, State string }
	if e.Kind != proto.KindSensor || json.Unmarshal(e.Raw, &record) != nil {
		f.t.Fatalf("stored %s, want an alarm about the sensor", m.Data)
	}
	if record.Condition != condition || record.State != state || e.Rule.ID != condition || e.Severity != severity {
		f.t.Errorf("stored %s, want %s %s of severity %s", m.Data, condition, state, severity)
	}
	if want := e.Subject().Stored(); m.Subject != want || !strings.HasPrefix(want, "security.alert.") {
		f.t.Errorf("stored under %s, belongs under %s", m.Subject, want)
	}
	if m.Header.Get(proto.HeaderEventID) != e.ID {
		f.t.Errorf("headers %v of event %s", m.Header, e.ID)
	}
	return m, e
}

// line checks that the next stored message is the line of this kind.
func (f *feed) line(kind string) *bus.Stored {
	f.t.Helper()
	m, e := f.next()
	if e.Kind != kind {
		f.t.Fatalf("stored %s, want %s", m.Data, kind)
	}
	return m
}

func checkpoint(m *bus.Stored) string { return m.Header.Get(proto.HeaderCheckpoint) }

// TestSilentSensor: a file that does not appear, or is not written any more, is an
// alarm in its place among the lines; it ends with the next line; and a restart
// during a silence neither repeats the alarm nor forgets that it stands nor loses
// or doubles a line.
func TestSilentSensor(t *testing.T) {
	b := bustest.Start(t)
	f := listen(t, b)
	path := filepath.Join(t.TempDir(), "eve.json")
	s := start(t, b, shipper.SourceSuricata, path, "SENSOR_SILENCE=1s")

	m, e := f.sensorEvent("silent", "raised", proto.SeverityHigh)
	if !strings.Contains(e.Title, "eve.json does not exist yet") || checkpoint(m) != "" {
		t.Errorf("alarm %q with checkpoint %q", e.Title, checkpoint(m))
	}
	bustest.Eventually(t, "the shipper is not ready while its sensor is silent", func() bool {
		return strings.Contains(s.condition("sensor"), "Suricata has been silent")
	})

	appendTo(t, path, []byte(`{"event_type":"a"}`+"\n"))
	if m, _ := f.sensorEvent("silent", "over", proto.SeverityMedium); checkpoint(m) != "" {
		t.Errorf("the end of the silence has checkpoint %q, before any line", checkpoint(m))
	}
	line := f.line("a")
	bustest.Eventually(t, "the shipper is ready again", func() bool { return s.condition("sensor") == "" })

	m, e = f.sensorEvent("silent", "raised", proto.SeverityHigh)
	if !strings.Contains(e.Title, "nothing was written to "+path) || checkpoint(m) != checkpoint(line) || checkpoint(m) == "" {
		t.Errorf("alarm %q with checkpoint %q after line %q", e.Title, checkpoint(m), checkpoint(line))
	}
	s.end(t)

	s = start(t, b, shipper.SourceSuricata, path, "SENSOR_SILENCE=1s")
	bustest.Eventually(t, "the restarted shipper knows that its sensor is silent", func() bool {
		return s.condition("sensor") == e.Title
	})
	appendTo(t, path, []byte(`{"event_type":"b"}`+"\n"))
	if m, _ := f.sensorEvent("silent", "over", proto.SeverityMedium); checkpoint(m) != checkpoint(line) {
		t.Errorf("the end of the silence has checkpoint %q, want %q", checkpoint(m), checkpoint(line))
	}
	if b := f.line("b"); checkpoint(b) == checkpoint(line) {
		t.Errorf("checkpoint %q did not move", checkpoint(b))
	}
}

// TestBlindSuricata: what Suricata's statistics say is judged by their own times
// and stored in front of the record that showed it.
func TestBlindSuricata(t *testing.T) {
	b := bustest.Start(t)
	f := listen(t, b)
	path := filepath.Join(t.TempDir(), "eve.json")
	began := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	write := func(seconds, decoded, packets, drops, loaded, failed int) {
		appendTo(t, path, fmt.Appendf(nil, `{"timestamp":%q,"event_type":"stats","stats":{"uptime":%d,"capture":{"kernel_packets":%d,"kernel_drops":%d},"decoder":{"pkts":%d},"detect":{"engines":[{"rules_loaded":%d,"rules_failed":%d}]}}}`+"\n",
			began.Add(time.Duration(seconds)*time.Second).Format("2006-01-02T15:04:05.000000-0700"), seconds, packets, drops, decoded, loaded, failed))
	}
	stats := func(tags string) {
		t.Helper()
		if m, e := f.next(); e.Kind != "stats" || strings.Join(e.Tags, " ") != tags {
			t.Fatalf("stored %s, want stats with tags %q", m.Data, tags)
		}
	}
	s := start(t, b, shipper.SourceSuricata, path)

	write(60, 0, 0, 0, 0, 3)
	stats("rules-failed")
	write(120, 0, 0, 0, 0, 3)
	f.sensorEvent("no-rules", "raised", proto.SeverityHigh)
	stats("rules-failed")
	write(300, 0, 0, 0, 13, 0)
	f.sensorEvent("no-packets", "raised", proto.SeverityHigh)
	f.sensorEvent("no-rules", "over", proto.SeverityMedium)
	stats("")
	write(360, 900, 10_000, 5000, 13, 0)
	f.sensorEvent("no-packets", "over", proto.SeverityMedium)
	_, drops := f.sensorEvent("drops", "raised", proto.SeverityMedium)
	if want := began.Add(6 * time.Minute); !drops.Time.Equal(want) {
		t.Errorf("noticed at %s, want %s", drops.Time, want)
	}
	stats("")
	s.end(t)

	// A restarted shipper goes on behind the last record.
	write(420, 1000, 11_000, 5000, 13, 0)
	start(t, b, shipper.SourceSuricata, path)
	stats("")
}

// TestRulesCannotDropAlarms: a local rule may change an alarm, but the file is refused if
// it would drop one.
func TestRulesCannotDropAlarms(t *testing.T) {
	_, err := shipper.RuleStage{}.Check(writeRules(t, "rules:\n- {name: r, kinds: [sensor], drop: high}\n"))
	if err == nil || !strings.Contains(err.Error(), "sensor or flood events") {
		t.Errorf("error %v", err)
	}
	if _, err := (shipper.RuleStage{}).Check(writeRules(t, "rules:\n- {name: r, kinds: [sensor], raise: critical}\n")); err != nil {
		t.Error(err)
	}
}

func writeRules(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	appendTo(t, path, []byte(text))
	return path
}
