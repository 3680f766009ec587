package checkup

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/testing/checktest"
)

// event stores an event of a sensor in the name of one process of its shipper.
func event(r *checktest.Rig, source, kind string, severity proto.Severity, instance string, change func(*proto.Event)) {
	r.Event(bus.ShipperRole(source), source, kind, severity, instance, change)
}

// setAlarm stores what a shipper says of a condition of its sensor.
func setAlarm(r *checktest.Rig, source, condition, state string, severity proto.Severity, instance string) {
	event(r, source, proto.KindSensor, severity, instance, func(e *proto.Event) {
		e.Title = "the sensor: " + condition
		e.Rule = &proto.Rule{ID: condition}
		e.Raw = json.RawMessage(`{"condition":"` + condition + `","state":"` + state + `"}`)
	})
}

// found looks at a bus whose clock is ahead by so much and returns what was found
// of one hop.
func found(t *testing.T, r *checktest.Rig, hop string, ahead time.Duration) []check.Finding {
	t.Helper()
	all := Check(t.Context(), Options{Bus: r.Read(ahead), Expected: []string{"suricata", "tracee"}, Services: []string{bus.RoleProxy, bus.RoleAuditor}})
	return slices.DeleteFunc(all, func(f check.Finding) bool { return f.Hop != hop })
}

// TestServicesAreNoSensors: what the auditor publishes of itself is not taken for
// a sensor's.
func TestServicesAreNoSensors(t *testing.T) {
	r := checktest.New(t)
	r.Event(bus.RoleAuditor, bus.RoleAuditor, "checkpoint", proto.SeverityInfo, "c", nil)
	checktest.Compare(t, found(t, r, "sensor", 0),
		checktest.Want("suricata", check.Warning, "nothing has come from it yet"),
		checktest.Want("tracee", check.Warning, "nothing has come from it yet"),
	)
	checktest.Compare(t, Check(t.Context(), Options{Expected: []string{"suricata"}})) // no bus
}

func TestSensors(t *testing.T) {
	r := checktest.New(t)
	event(r, "suricata", "alert", proto.SeverityHigh, "a", nil)
	event(r, "tracee", "sched_process_exec", proto.SeverityInfo, "b", func(e *proto.Event) { e.Time = e.Time.Add(time.Hour) })
	event(r, "tracee", proto.KindGap, proto.SeverityMedium, "b", nil) // no line, and no alert of the sensor
	checktest.Compare(t, found(t, r, "sensor", 0),
		checktest.Want("suricata on box1", check.Good, "last line 0s ago, last alert 0s ago"),
		checktest.Want("suricata on box1 packets", check.Good, "only just begun"),
		checktest.Want("tracee on box1", check.Good, "no alert yet"),
	)
	checktest.Compare(t, found(t, r, "clock", 0),
		checktest.Want("suricata on box1", check.Good, "within 5s"),
		checktest.Want("tracee on box1", check.Fault, "after it was stored"),
	)
	event(r, "suricata", "stats", proto.SeverityInfo, "a", func(e *proto.Event) {
		e.Raw = json.RawMessage(`{"event_type":"stats","stats":{"uptime":600,"capture":{"kernel_packets":0,"kernel_drops":0},"detect":{"engines":[{"rules_loaded":0}]}}}`)
	})
	checktest.Compare(t, found(t, r, "sensor", 0)[1:3],
		checktest.Want("suricata on box1 packets", check.Fault, "no packet in the 10m"),
		checktest.Want("suricata on box1 rules", check.Fault, "no rule is loaded"),
	)
	event(r, "suricata", "stats", proto.SeverityInfo, "a", func(e *proto.Event) { e.Raw = json.RawMessage(`{"stats":7}`) })
	checktest.Compare(t, found(t, r, "sensor", 0)[1:2], checktest.Want("suricata on box1 packets", check.Warning, "cannot be read"))
}

// TestStaleSensors looks at the same messages from 10 minutes later.
func TestStaleSensors(t *testing.T) {
	r := checktest.New(t)
	event(r, "suricata", "flow", proto.SeverityInfo, "a", nil)
	event(r, "tracee", "sched_process_exec", proto.SeverityInfo, "b", nil)
	checktest.Compare(t, found(t, r, "sensor", 10*time.Minute),
		checktest.Want("suricata on box1", check.Warning, "last line 10m ago"),
		checktest.Want("suricata on box1 packets", check.Warning, ""),
		checktest.Want("tracee on box1", check.Good, "last line 10m ago"),
	)
	checktest.Compare(t, found(t, r, "sensor", 20*time.Minute)[2:], checktest.Want("tracee on box1", check.Warning, "last line 20m ago"))
	checktest.Compare(t, found(t, r, "clock", 20*time.Minute)) // too old to say anything of the sensors' clocks
}

func TestAlarms(t *testing.T) {
	r := checktest.New(t)
	setAlarm(r, "tracee", "silent", "raised", proto.SeverityHigh, "a")
	checktest.Compare(t, found(t, r, "sensor", 0)[1:],
		checktest.Want("tracee on box1 silent", check.Fault, "the sensor: silent"),
		checktest.Want("suricata", check.Warning, ""),
	)
	setAlarm(r, "tracee", "lost-events", "raised", proto.SeverityMedium, "a")
	setAlarm(r, "tracee", "silent", "over", proto.SeverityMedium, "a")
	event(r, "tracee", "sched_process_exec", proto.SeverityInfo, "a", nil)
	checktest.Compare(t, found(t, r, "sensor", 0)[1:],
		checktest.Want("tracee on box1 lost-events", check.Warning, "an alarm stands since 0s ago"),
		checktest.Want("suricata", check.Warning, ""),
	)
	// Another process would have raised it anew.
	event(r, "tracee", "sched_process_exec", proto.SeverityInfo, "b", nil)
	checktest.Compare(t, found(t, r, "sensor", 0), checktest.Want("tracee on box1", check.Good, ""), checktest.Want("suricata", check.Warning, ""))
}

func TestJudgeEventTime(t *testing.T) {
	for _, test := range []struct {
		name  string
		ahead time.Duration
		want  checktest.Wanted
	}{
		{"at once", -20 * time.Millisecond, checktest.Want("s", check.Good, "within 5s")},
		{"late", -6 * time.Second, checktest.Want("s", check.Warning, "stored 6s after its own time")},
		{"a backlog is no fault", -14 * time.Hour, checktest.Want("s", check.Warning, "catching up")},
		{"from the future", 6 * time.Second, checktest.Want("s", check.Warning, "6s after it was stored")},
		{"far from the future", time.Hour, checktest.Want("s", check.Fault, "1h00m after it was stored")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			judgeEventTime(&f, "s", test.ahead)
			checktest.Compare(t, f.All, test.want)
		})
	}
}
