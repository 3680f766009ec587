package suricata_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

// live is the part of a record that Suricata 8.0.8 wrote while it captured with
// AF_PACKET.
const live = `{"timestamp":"2026-11-22T21:20:59.184796+0000","event_type":"stats","stats":{"uptime":18,` +
	`"capture":{"kernel_packets":1200,"kernel_packets_delta":1200,"kernel_drops":3,"kernel_drops_delta":3,"errors":0,"afpacket":{"polls":483}},` +
	`"decoder":{"pkts":600,"pkts_delta":600,"event":{"ipv4":{"pkt_too_small":0}}},` +
	`"detect":{"engines":[{"id":0,"last_reload":"2026-11-22T21:20:41.126207+0000","rules_loaded":13,"rules_failed":1,"rules_skipped":0},{"id":1,"rules_loaded":2,"rules_failed":4}],"alert":0}}}`

func TestParseStats(t *testing.T) {
	count := func(n uint64) *uint64 { return &n }
	for _, test := range []struct {
		name, record string
		want         suricata.Stats
		ok           bool
	}{
		{"live", live, suricata.Stats{
			Uptime:  18 * time.Second,
			Decoded: count(600),
			Capture: &suricata.Capture{Packets: 1200, Drops: 3},
			Rules:   &suricata.Rules{Loaded: 15, Failed: 5},
		}, true},
		{"no packet yet", `{"stats":{"uptime":3,"decoder":{"pkts":0},"capture":{"kernel_packets":0,"kernel_drops":0}}}`, suricata.Stats{
			Uptime: 3 * time.Second, Decoded: count(0), Capture: &suricata.Capture{},
		}, true},
		{"threads only", `{"stats":{"uptime":3,"threads":{"W#01":{"decoder":{"pkts":9}}}}}`, suricata.Stats{Uptime: 3 * time.Second}, true},
		{"endless uptime", `{"stats":{"uptime":18446744073709551615}}`, suricata.Stats{Uptime: 100 * 365 * 24 * time.Hour}, true},
		{"no stats", `{"event_type":"stats"}`, suricata.Stats{}, false},
		{"null", `{"stats":null}`, suricata.Stats{}, false},
		{"negative", `{"stats":{"decoder":{"pkts":-1}}}`, suricata.Stats{}, false},
		{"a list", `{"stats":[]}`, suricata.Stats{}, false},
		{"cut off", live[:300], suricata.Stats{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := suricata.ParseStats([]byte(test.record))
			if ok != test.ok || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %t", got, ok)
			}
		})
	}
}

// What both versions wrote while they read a file: there is no capture section.
func TestParseStatsOfRecordings(t *testing.T) {
	for _, name := range []string{"suricata-7.eve.json", "suricata-8.eve.json"} {
		text, err := os.ReadFile(recordings + name)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for line := range bytes.Lines(text) {
			var kind struct {
				EventType string `json:"event_type"`
			}
			if json.Unmarshal(line, &kind) != nil || kind.EventType != suricata.KindStats {
				continue
			}
			found++
			s, ok := suricata.ParseStats(line)
			if !ok || s.Decoded == nil || *s.Decoded == 0 || s.Capture != nil || s.Rules == nil || s.Rules.Loaded == 0 {
				t.Errorf("%s: %+v, %t", name, s, ok)
			}
		}
		if found == 0 {
			t.Errorf("%s has no stats", name)
		}
	}
}

func FuzzParseStats(f *testing.F) {
	f.Add([]byte(live))
	f.Add([]byte(`{"stats":{"uptime":1e3,"decoder":{"pkts":18446744073709551616}}}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		if s, ok := suricata.ParseStats(record); ok && s.Uptime < 0 {
			t.Errorf("uptime %s", s.Uptime)
		}
	})
}
