package suricata_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/testing/normalizetest"
)

const recordings = "../../../../../suricata/testdata/"

func newNormalizer() *normalize.Normalizer {
	return &normalize.Normalizer{Host: normalizetest.Host, Source: "suricata", Sensor: suricata.Sensor{}, Now: normalizetest.Now}
}

func TestGolden(t *testing.T) {
	for name, file := range map[string]string{
		"suricata-7": recordings + "suricata-7.eve.json",
		"suricata-8": recordings + "suricata-8.eve.json",
		"edges":      "testdata/edges.json",
	} {
		t.Run(name, func(t *testing.T) {
			normalizetest.Golden(t, newNormalizer(), file, name)
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
	return normalizetest.Clean(t, newNormalizer(), suricata.Sensor{}, file)
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
		{"priority 4", `{"event_type":"alert","alert":{"severity":4}}`, proto.SeverityLow},
		{"priority 255", `{"event_type":"alert","alert":{"severity":255}}`, proto.SeverityLow},
		{"no priority", `{"event_type":"alert","alert":{}}`, proto.SeverityMedium},
		{"priority is a string", `{"event_type":"alert","alert":{"severity":"4"}}`, proto.SeverityMedium},
		{"no alert object", `{"event_type":"alert"}`, proto.SeverityMedium},
		{"alert is a string", `{"event_type":"alert","alert":"x"}`, proto.SeverityMedium},
		{"metadata raises", `{"event_type":"alert","alert":{"severity":3,"metadata":{"signature_severity":["Critical"]}}}`, proto.SeverityCritical},
		{"metadata does not lower", `{"event_type":"alert","alert":{"severity":1,"metadata":{"signature_severity":["Informational"]}}}`, proto.SeverityHigh},
		{"the highest of several", `{"event_type":"alert","alert":{"severity":4,"metadata":{"signature_severity":["Minor","Major"]}}}`, proto.SeverityHigh},
		{"unknown word", `{"event_type":"alert","alert":{"severity":4,"metadata":{"signature_severity":["Huge"]}}}`, proto.SeverityLow},
		{"telemetry", `{"event_type":"flow"}`, proto.SeverityInfo},
		{"drop", `{"event_type":"drop"}`, proto.SeverityInfo},
		{"drop by a rule", `{"event_type":"drop","alert":{"severity":1}}`, proto.SeverityHigh},
		{"alert under another type", `{"event_type":"dns","alert":{"severity":1}}`, proto.SeverityHigh},
		{"alert under no type", `{"alert":{"severity":1}}`, proto.SeverityHigh},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e proto.Event
			newNormalizer().Event(&e, []byte(test.record), proto.Origin{})
			if e.Severity != test.want {
				t.Errorf("severity %s, want %s", e.Severity, test.want)
			}
		})
	}
}

func TestTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-30T10:00:00.123456+0000": "2026-11-30 10:00:00.123456 []",
		"2026-11-30T10:00:00.123456+0530": "2026-11-30 04:30:00.123456 []",
		"2026-11-30T10:00:00.5+02:00":     "2026-11-30 08:00:00.5 []",
		"2026-11-30T10:00:00Z":            "2026-11-30 10:00:00 []",
		"2014-05-09T11:32:23.391379":      "2014-05-09 11:32:23.391379 [no-zone]",
		"30 Nov 2026":                     "2026-01-02 03:04:05 [no-time]",
	} {
		var e proto.Event
		newNormalizer().Event(&e, []byte(`{"timestamp":"`+text+`","event_type":"flow"}`), proto.Origin{})
		if got := fmt.Sprint(e.Time.Format("2006-01-02 15:04:05.999999 "), e.Tags); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Each way in which versions 4 to 8 write what was asked and answered.
func TestDNS(t *testing.T) {
	for _, test := range []struct{ name, record, want string }{
		{"version 1", `"event_type":"dns","dns":{"type":"answer","rcode":"NOERROR","rrname":"example.org","rrtype":"A","ttl":60,"rdata":"198.51.100.1"}`, "answer A [example.org] [198.51.100.1] DNS answer A example.org → 198.51.100.1"},
		{"grouped", `"event_type":"dns","dns":{"type":"response","queries":[{"rrname":"example.org","rrtype":"A"}],"grouped":{"CNAME":["www.example.org"],"A":["198.51.100.1","198.51.100.2"],"SOA":[{"mname":"x"}]}}`, "answer A [example.org] [198.51.100.1 198.51.100.2 www.example.org] DNS answer A example.org → 198.51.100.1, 198.51.100.2, www.example.org"},
		{"grouped and detailed", `"event_type":"dns","dns":{"type":"answer","rrname":"example.org","rrtype":"A","answers":[{"rrname":"example.org","rdata":"198.51.100.1"}],"grouped":{"A":["198.51.100.1"]}}`, "answer A [example.org] [198.51.100.1] DNS answer A example.org → 198.51.100.1"},
		{"grouped in an alert of version 7", `"event_type":"x","dns":{"answer":{"rrname":"example.org","rrtype":"A","rcode":"NOERROR","grouped":{"A":["198.51.100.1"]}}}`, "answer A [example.org] [198.51.100.1] x"},
		{"mDNS query", `"event_type":"mdns","mdns":{"type":"request","queries":[{"rrname":"_ipp._tcp.local","rrtype":"PTR"}]}`, "query PTR [_ipp._tcp.local] [] mDNS query PTR _ipp._tcp.local"},
		{"mDNS with a number and a pointer", `"event_type":"mdns","mdns":{"type":"request","id":0,"opcode":0,"rcode":0,"queries":[{"rrname":"_smb._tcp.local","rrtype":"ptr"}],"answers":[{"rrname":"_smb._tcp.local","ptr":"Office._smb._tcp.local"}]}`, "query ptr [_smb._tcp.local] [Office._smb._tcp.local] mDNS query ptr _smb._tcp.local"},
		{"mDNS announcement", `"event_type":"mdns","mdns":{"type":"response","answers":[{"rrname":"_ipp._tcp.local","rrtype":"PTR","rdata":"printer.local"}]}`, "answer  [_ipp._tcp.local] [printer.local] mDNS answer _ipp._tcp.local → printer.local"},
	} {
		t.Run(test.name, func(t *testing.T) {
			line := []byte(`{"timestamp":"2026-11-30T10:00:00.0+0000",` + test.record + `}`)
			normalizetest.Check(t, newNormalizer(), line)
			var e proto.Event
			newNormalizer().Event(&e, line, proto.Origin{})
			if got := fmt.Sprint(e.DNS.Type, " ", e.DNS.RRType, " ", e.DNS.Names, " ", e.DNS.Answers, " ", e.Title); got != test.want || e.Tags != nil {
				t.Errorf("got %s, tags %v\nwant %s", got, e.Tags, test.want)
			}
		})
	}
}

func TestFailedIsNoProtocol(t *testing.T) {
	for _, protocol := range []string{"failed", "unknown"} {
		var e proto.Event
		newNormalizer().Event(&e, []byte(`{"event_type":"flow","proto":"TCP","app_proto":"`+protocol+`"}`), proto.Origin{})
		if e.Network.AppProtocol != "" {
			t.Errorf("%s became %s", protocol, e.Network.AppProtocol)
		}
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
		normalizetest.Check(t, newNormalizer(), line)
	})
}

func BenchmarkSuricata(b *testing.B) {
	lines := normalizetest.Lines(b, recordings+"suricata-8.eve.json")
	total := 0
	for _, line := range lines {
		total += len(line)
	}
	n := newNormalizer()
	var e proto.Event
	var out []byte
	b.SetBytes(int64(total / len(lines)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n.Event(&e, lines[i%len(lines)], proto.Origin{File: "eve.json", Generation: "g1", Offset: int64(i)})
		out = e.AppendJSON(out[:0])
	}
}
