package attack

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// compromised is the role whose key the attacker has, and the source that it
// publishes.
const (
	compromised = "shipper-tracee"
	itsSource   = "tracee"
)

// subject is one that the compromised role may publish to: an event's severity is info.
func subject(class, kind, severity string) string {
	if class == "event" {
		severity = "info"
	}
	return "ingest." + class + "." + host + "." + itsSource + "." + kind + "." + severity
}

// TestOpenBatches: the places for batches that one role holds delay nobody's
// critical alert.
func TestOpenBatches(t *testing.T) {
	s := newStack(t).up()
	nc := s.holder(compromised)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := 0; ; round++ {
			for n := range 60 {
				for _, class := range []string{"alert", "event"} {
					m := &nats.Msg{Subject: subject(class, "other", "low"), Data: []byte("{}"), Header: nats.Header{
						"Nats-Batch-Id": {fmt.Sprintf("held-%d-%d-%s", round, n, class)}, "Nats-Batch-Sequence": {"1"},
					}}
					if _, err := nc.RequestMsg(m, time.Second); err != nil && nc.IsClosed() {
						return
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}
	}()
	defer func() { close(stop); <-done }()
	var lines strings.Builder
	for n := range 60 {
		lines.WriteString(alert(fmt.Sprintf("one of many %d", n), 3, "Minor"))
	}
	lines.WriteString(alert("the critical one among them", 1, "Critical"))
	s.write("eve.json", lines.String())
	s.inChat("the critical one among them")
}

// TestOnlyItsOwn: the key of one role stores nothing in another's name, not under
// another subject, header or reply.
func TestOnlyItsOwn(t *testing.T) {
	s := newStack(t).up()
	nc := s.holder(compromised)
	for _, to := range []string{
		"ingest.alert." + host + ".suricata.x.critical", "ingest.alert.other.tracee.x.critical", "security.alert." + host + ".tracee.x.critical",
		"ingest.audit." + host + ".proxy.x.info", "ingest.event." + host + ".auditor.checkpoint.info", "$KV.SECURITY_STATE.silences", "SECURITY", "SECURITY_ALERTS",
		"deliveries.telegram-42", "dead.x.y", "replay.alert.x",
	} {
		if r := request(nc, &nats.Msg{Subject: to, Data: event(1, "suricata", "forged by another role", "critical")}); !strings.Contains(r, "error") {
			t.Errorf("publishing to %s: %s", to, r)
		}
	}
	text := event(2, "suricata", "says that it is another's", "critical")
	if r := request(nc, &nats.Msg{Subject: subject("alert", "alert", "critical"), Data: text}); strings.Contains(r, `"error"`) {
		t.Fatal(r)
	}
	s.inChat("says that it is another's")
	if all := s.said(); strings.Contains(all, "forged by another role") || !strings.Contains(all, itsSource) {
		t.Errorf("the chat says %s", all)
	}
	var shown struct{ Source, Host string }
	for line := range strings.Lines(s.stored()) {
		if err := json.Unmarshal([]byte(line), &shown); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if shown.Source == "suricata" {
			t.Errorf("replay says that it is Suricata's: %s", line)
		}
	}
}

// TestTerminal: what a role publishes or a sensor writes does not drive the
// terminal of who looks at it.
func TestTerminal(t *testing.T) {
	s := newStack(t, "NOTIFIER_STDOUT=always", "NOTIFIER_FORMAT=card")
	var printed strings.Builder
	s.up()
	nc := s.holder(compromised)
	const escape = "\x1b]0;owned\x07\x1b[2J\u009b31m"
	id := "abcdef012345" + escape
	for kind, m := range map[string]*nats.Msg{
		"a" + strings.ReplaceAll(escape, " ", ""): {Data: []byte(`{"id":"aaaaaaaaaaaa", not JSON`)},
		"gap":      {Data: []byte(`{"id":"aaaaaaaaaaaa", not JSON`)},
		"unparsed": {Data: []byte(escape)},
		"other":    {Data: []byte(`{"id":"\u001b]0;owned\u0007","time":"2026-11-30T00:00:00Z","host":"h","source":"s","kind":"k","severity":"high","severity_id":4,"class_uid":0,"title":"a card \u009b31m"}`)},
		"unknown":  {Data: event(7, itsSource, "look me up", "high"), Header: nats.Header{"Event-Id": {id}}},
	} {
		m.Subject = subject("alert", kind, "high")
		request(nc, m)
	}
	s.write("eve.json", "{\"timestamp\":\"2026-11-30T00:00:00.000000+0000\",\"event_type\":\"http\",\"src_ip\":\"192.0.2.4\",\"http\":{\"hostname\":\"h\u009b31mx\",\"url\":\"/\",\"http_user_agent\":\"\u009d0;owned\u009c\"}}\n")
	s.inChat("look me up")
	for _, args := range [][]string{
		{"replay", "--since", "1h", "--all"},
		{"replay", "--since", "1h", "--all", "--json"},
		{"trace", "abcdef012345"},
		{"dead", "list"},
		{"dead", "show", "1"},
		{"status"},
		{"doctor"},
	} {
		out, _ := s.secbus(args...)
		wantClean(t, "secbus "+strings.Join(args, " "), out)
		printed.WriteString(out)
	}
	for _, args := range [][]string{{"tail", "--since", "1h"}, {"tail", "--since", "1h", "--json"}} {
		out, _ := s.secbusFor(5*time.Second, args...)
		wantClean(t, "secbus "+strings.Join(args, " "), out)
		printed.WriteString(out)
	}
	if !strings.Contains(printed.String(), "look me up") || !strings.Contains(printed.String(), "a card") {
		t.Errorf("none of the commands has shown the alerts: %.2000s", printed.String())
	}
	wantClean(t, "secbus up", s.log.String())
}

// TestRollup: no key empties the state that the services share, or ends one of them.
func TestRollup(t *testing.T) {
	s := newStack(t).up()
	s.write("eve.json", alert("the first", 1, "Major"))
	s.inChat("the first")
	keys, err := os.ReadDir(s.path("data/keys"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range keys {
		role, isSeed := strings.CutSuffix(entry.Name(), ".nk")
		if !isSeed {
			continue
		}
		nc := s.holder(role)
		for _, key := range []string{"silences", "delivery.telegram-42", "requests.notifier.x"} {
			for _, rollup := range []string{"all", "sub"} {
				for _, value := range []string{"[]", "", "{", "null", `"x"`} {
					_ = nc.PublishMsg(&nats.Msg{Subject: "$KV.SECURITY_STATE." + key, Data: []byte(value), Header: nats.Header{"Nats-Rollup": {rollup}}})
				}
				_ = nc.Publish("$JS.API.STREAM.PURGE.KV_SECURITY_STATE", nil)
				_ = nc.Publish("$JS.API.STREAM.DELETE.KV_SECURITY_STATE", nil)
			}
		}
		_ = nc.Flush()
	}
	s.write("eve.json", alert("the second", 1, "Major"))
	s.inChat("the second")
	select {
	case <-s.process.Ended():
		t.Error("secbus up has ended")
	default:
	}
}

// TestPoison: no message of one source stops the alerts of another, now or after a
// restart.
func TestPoison(t *testing.T) {
	const most = 65535 // bytes of a header block that a stream takes
	fixed := len("NATS/1.0\r\n") + len("X: \r\n") + len("\r\n")
	// The server looks for a header by its name, and gives up where the name stands
	// twice without a gap.
	hidden := func(name, value string) nats.Header {
		return nats.Header{"Nats-Expected-X": {name + name}, name: {value}}
	}
	poisons := map[string]nats.Header{
		"the largest header":     {"X": {strings.Repeat("x", most-fixed)}},
		"a hidden increment":     hidden("Nats-Incr", "bogus"),
		"a hidden rollup":        hidden("Nats-Rollup", "bogus"),
		"a hidden origin":        hidden("Nats-Stream-Source", "SECURITY 1000000000 security.alert.> > security.alert.x"),
		"a forged origin":        {"Nats-Stream-Source": {"SECURITY 1000000000 security.alert.> > security.alert.x"}},
		"a hidden schedule":      hidden("Nats-Schedule", "@every 1s"),
		"a hidden time to live":  hidden("Nats-TTL", "1s"),
		"a hidden deletion mark": hidden("Nats-Marker-Reason", "Purge"),
		"a forged position":      {"Source-Checkpoint": {"x"}, "Source-Base": {"y"}, "Source-Round": {"18446744073709551615"}, "Event-Id": {strings.Repeat("f", 32)}},
	}
	s := newStack(t).up()
	nc := s.holder(compromised)
	for n, name := range slices.Sorted(maps.Keys(poisons)) {
		for _, class := range []string{"alert", "event"} {
			m := &nats.Msg{Subject: subject(class, "alert", "low"), Header: poisons[name], Data: event(n, itsSource, "poison", "low")}
			// The client writes headers in any order; one of them is the one that matters.
			for range 20 {
				if !strings.Contains(request(nc, m), "error") {
					break
				}
			}
		}
	}
	s.write("eve.json", alert("high, while it runs", 1, "Major"))
	s.inChat("high, while it runs")

	if err := s.process.Stop(); err != nil {
		t.Fatal(err)
	}
	s.up()
	s.write("eve.json", alert("high, after a restart", 1, "Major"))
	s.inChat("high, after a restart")
	s.write("eve.json", alert("medium, after a restart", 2, "Minor"))
	s.inChat("medium, after a restart")
}

// TestEviction: filling the streams of one source erases nothing of another's.
func TestEviction(t *testing.T) {
	s := newStack(t, "STORE_MAX=268435456", "ALERT_MIN_SEVERITY=high").up()
	s.write("eve.json", alert("evidence of the intrusion", 1, "Critical"))
	s.inChat("evidence of the intrusion")
	nc := s.holder(compromised)
	pad := strings.Repeat("x", 900<<10)
	for n := range 80 {
		for _, class := range []string{"alert", "event"} {
			text, err := json.Marshal(map[string]any{
				"id": fmt.Sprintf("%032x", n), "time": time.Now().UTC(), "host": host, "source": itsSource, "kind": "flood",
				"severity": "low", "severity_id": 2, "class_uid": 0, "title": "flood", "raw": map[string]string{"pad": pad},
			})
			if err != nil {
				t.Fatal(err)
			}
			if r := request(nc, &nats.Msg{Subject: subject(class, "flood", "low"), Data: text}); strings.Contains(r, `"error"`) {
				t.Fatalf("the flood is not stored, so the test proves nothing: %s", r)
			}
		}
	}
	if got := s.stored("--all", "--severity", "critical"); !strings.Contains(got, "evidence of the intrusion") {
		t.Errorf("the alert is gone; critical ones that are left: %.500s", got)
	}
	s.write("eve.json", alert("and what came afterwards", 1, "Critical"))
	s.inChat("and what came afterwards")
}
