package attack

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// many is a line of Suricata's for a DNS query of thousands of questions: some KB of
// packets, a megabyte of log.
func many(title string, n int) string {
	name := strings.Repeat(strings.Repeat("a", 49)+".", 4) + fmt.Sprint("n", n, ".example")
	questions := strings.Repeat(`{"rrname":"`+name+`","rrtype":"A"},`, 4300)
	return strings.TrimSuffix(alert(title, 1, "Major"), "}\n") +
		`,"dns":{"version":3,"type":"request","queries":[` + strings.TrimSuffix(questions, ",") + "]}}\n"
}

// peak is the most memory that the stack has had.
func (s *stack) peak() int64 {
	s.t.Helper()
	u, err := s.process.Usage()
	if err != nil {
		s.t.Fatal(err)
	}
	return int64(u.PeakRSS)
}

// room is what the streams of a source hold, in bytes.
func (s *stack) room(source string) (bytes uint64) {
	s.t.Helper()
	nc := s.holder("provisioner")
	defer nc.Close()
	for _, stream := range []string{"ALERTS_", "EVENTS_"} {
		var info struct{ State struct{ Bytes uint64 } }
		reply := request(nc, &nats.Msg{Subject: "$JS.API.STREAM.INFO." + stream + source})
		if err := json.Unmarshal([]byte(reply), &info); err != nil {
			s.t.Fatalf("%v: %s", err, reply)
		}
		bytes += info.State.Bytes
	}
	return bytes
}

// TestLargeAlerts: queries of an agent that make alerts of a megabyte each take
// neither the room of what is stored, nor the memory of what stores and reads it.
func TestLargeAlerts(t *testing.T) {
	const lines, limit, each = 300, 512 << 20, 80 << 10
	s := newStack(t, "GOMEMLIMIT=400MiB", "STORE_MAX=268435456").up()
	s.write("eve.json", alert("evidence of the intrusion", 1, "Critical"))
	s.inChat("evidence of the intrusion")
	for n := range lines { // more of one rule than become alerts
		s.write("eve.json", many("many questions", n))
	}
	s.write("eve.json", strings.Replace(alert("and what came afterwards", 1, "Critical"), "8800001", "8800002", 1))
	s.inChat("and what came afterwards")
	if took := s.room("suricata"); took < lines*1000 || took > lines*each {
		t.Errorf("%d lines of a megabyte take %d bytes of the streams", lines, took)
	}
	if got := s.stored("--severity", "critical"); !strings.Contains(got, "evidence of the intrusion") {
		t.Errorf("the alert is gone; critical ones that are left: %.500s", got)
	}
	// Server, shipper and notifier together; in containers each has a limit of its own.
	if peak := s.peak(); peak > limit && !raceDetector {
		t.Errorf("the stack has had %d MiB", peak>>20)
	}
}

// TestFloodOfARole: a source's key that floods the notifier with critical alerts as large
// as messages can be neither ends it nor delays another sensor's.
func TestFloodOfARole(t *testing.T) {
	s := newStack(t, "GOMEMLIMIT=460MiB", "STORE_MAX=268435456").up()
	nc := s.holder(compromised)
	pad := strings.Repeat("x", 1800<<10)
	flood := func(n int) {
		text, err := json.Marshal(map[string]any{
			"id": fmt.Sprintf("%032x", n), "time": time.Now().UTC(), "host": host, "source": itsSource, "kind": "alert",
			"severity": "critical", "severity_id": 5, "class_uid": 2004, "title": "flood", "raw": map[string]string{"pad": pad},
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := request(nc, &nats.Msg{Subject: subject("alert", "alert", "critical"), Data: text}); strings.Contains(r, `"error"`) {
			t.Fatalf("the flood is not stored, so the test proves nothing: %s", r)
		}
	}
	for n := range 100 {
		flood(n)
	}
	s.write("eve.json", alert("in the middle of the flood", 1, "Critical"))
	for n := range 100 {
		flood(100 + n)
	}
	s.inChat("in the middle of the flood")
	if peak := s.peak(); peak > 512<<20 && !raceDetector {
		t.Errorf("the stack has had %d MiB", peak>>20)
	}
	if status, text := get(t, s.admin+"/healthz"); status != 200 {
		t.Errorf("afterwards the stack says %d %s", status, text)
	}
}
