package suricata_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/normalizetest"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

const recordings = "../../../../../suricata/testdata/"

func TestGolden(t *testing.T) {
	for name, file := range map[string]string{
		"suricata-7": recordings + "suricata-7.eve.json",
		"suricata-8": recordings + "suricata-8.eve.json",
		"edges":      "testdata/edges.json",
	} {
		t.Run(name, func(t *testing.T) {
			normalizetest.Golden(t, normalizetest.New("suricata", suricata.Sensor{}), file, name)
		})
	}
}

// The capture that both versions read sets off 14 alerts.
func TestRecordings(t *testing.T) {
	for _, file := range []string{"suricata-7.eve.json", "suricata-8.eve.json"} {
		if kinds := clean(t, recordings+file); kinds["alert"] != 14 {
			t.Errorf("%s: %d alerts, want 14", file, kinds["alert"])
		}
	}
}

func TestCorpus(t *testing.T) {
	for _, file := range normalizetest.Corpus(t, "suricata/*.json*") {
		kinds := clean(t, file)
		if strings.HasPrefix(filepath.Base(file), "lab-") && kinds["alert"] != 14 {
			t.Errorf("%s: %d alerts, want 14", file, kinds["alert"])
		}
	}
}

func clean(t *testing.T, file string) map[string]int {
	t.Helper()
	return normalizetest.Clean(t, normalizetest.New("suricata", suricata.Sensor{}), file)
}

// A record's severity is that of the table in the package comment.
func TestSeverity(t *testing.T) {
	for _, test := range []struct {
		name, record string
		want         proto.Severity
	}{
		{"priority 1", `{"event_type":"alert","alert":{"severity":1}}`, proto.SeverityHigh},
		{"priority 2", `{"event_type":"alert","alert":{"severity":2}}`, proto.SeverityMedium},
		{"priority 3", `{"event_type":"alert","alert":{"severity":3}}`, proto.SeverityLow},
		{"priority 4", `{"event_type":"alert","alert":{"severity":4}}`, proto.SeverityInfo},
		{"priority 255", `{"event_type":"alert","alert":{"severity":255}}`, proto.SeverityInfo},
		{"no priority", `{"event_type":"alert","alert":{}}`, proto.SeverityMedium},
		{"priority is a string", `{"event_type":"alert","alert":{"severity":"4"}}`, proto.SeverityMedium},
		{"no alert object", `{"event_type":"alert"}`, proto.SeverityMedium},
		{"alert is a string", `{"event_type":"alert","alert":"x"}`, proto.SeverityMedium},
		{"metadata raises", `{"event_type":"alert","alert":{"severity":3,"metadata":{"signature_severity":["Critical"]}}}`, proto.SeverityCritical},
		{"metadata does not lower", `{"event_type":"alert","alert":{"severity":1,"metadata":{"signature_severity":["Informational"]}}}`, proto.SeverityHigh},
		{"the highest of several", `{"event_type":"alert","alert":{"severity":4,"metadata":{"signature_severity":["Minor","Major"]}}}`, proto.SeverityHigh},
		{"unknown word", `{"event_type":"alert","alert":{"severity":4,"metadata":{"signature_severity":["Huge"]}}}`, proto.SeverityInfo},
		{"telemetry", `{"event_type":"flow"}`, proto.SeverityInfo},
		{"drop", `{"event_type":"drop"}`, proto.SeverityInfo},
		{"drop by a rule", `{"event_type":"drop","alert":{"severity":1}}`, proto.SeverityHigh},
		{"alert under another type", `{"event_type":"dns","alert":{"severity":1}}`, proto.SeverityHigh},
		{"alert under no type", `{"alert":{"severity":1}}`, proto.SeverityHigh},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e proto.Event
			normalizetest.New("suricata", suricata.Sensor{}).Event(&e, []byte(test.record), proto.Origin{})
			if e.Severity != test.want {
				t.Errorf("severity %s, want %s", e.Severity, test.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, file := range []string{recordings + "suricata-7.eve.json", recordings + "suricata-8.eve.json", "testdata/edges.json"} {
		for _, line := range normalizetest.Lines(f, file) {
			if len(line) < 4<<10 {
				f.Add(line)
			}
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		normalizetest.Check(t, normalizetest.New("suricata", suricata.Sensor{}), line)
	})
}

func BenchmarkSuricata(b *testing.B) {
	lines := normalizetest.Lines(b, recordings+"suricata-8.eve.json")
	total := 0
	for _, line := range lines {
		total += len(line)
	}
	n := normalizetest.New("suricata", suricata.Sensor{})
	var e proto.Event
	var out []byte
	b.SetBytes(int64(total / len(lines)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n.Event(&e, lines[i%len(lines)], proto.Origin{File: "eve.json", Generation: "g1", Offset: int64(i)})
		out = e.AppendJSON(out[:0])
	}
}
