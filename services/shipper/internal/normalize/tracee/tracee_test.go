package tracee_test

import (
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/tracee"
	"github.com/openclaw-security/bus/services/testing/normalizetest"
)

const recordings = "../../../../../tracee/testdata/"

func newNormalizer() *normalize.Normalizer {
	return &normalize.Normalizer{Host: normalizetest.Host, Source: "tracee", Sensor: tracee.Sensor{}, Now: normalizetest.Now}
}

func TestGolden(t *testing.T) {
	for name, file := range map[string]string{
		"tracee-0.24":    recordings + "tracee-0.24.events.json",
		"tracee-v1beta1": recordings + "tracee-v1beta1.events.json",
		"edges":          "testdata/edges.json",
	} {
		t.Run(name, func(t *testing.T) {
			normalizetest.Golden(t, newNormalizer(), file, name)
		})
	}
}

func TestRecordings(t *testing.T) {
	for file, kinds := range map[string]int{"tracee-0.24.events.json": 35, "tracee-v1beta1.events.json": 8} {
		if got := len(clean(t, recordings+file)); got != kinds {
			t.Errorf("%s: %d kinds of event, want %d", file, got, kinds)
		}
	}
}

func TestCorpus(t *testing.T) {
	for _, file := range normalizetest.Corpus(t, "tracee/*.jsonl") {
		clean(t, file)
	}
}

func clean(t *testing.T, file string) map[string]int {
	t.Helper()
	return normalizetest.Clean(t, newNormalizer(), tracee.Sensor{}, file)
}

// A record's severity is that of the table in the package comment.
func TestSeverity(t *testing.T) {
	for _, test := range []struct {
		name, record string
		want         proto.Severity
	}{
		{"v0.24: 0", `{"eventName":"x","metadata":{"Properties":{"Severity":0}}}`, proto.SeverityLow},
		{"v0.24: 1", `{"eventName":"x","metadata":{"Properties":{"Severity":1}}}`, proto.SeverityLow},
		{"v0.24: 2", `{"eventName":"x","metadata":{"Properties":{"Severity":2}}}`, proto.SeverityMedium},
		{"v0.24: 3", `{"eventName":"x","metadata":{"Properties":{"Severity":3}}}`, proto.SeverityHigh},
		{"v0.24: 3, escape", `{"eventName":"x","metadata":{"Properties":{"Severity":3,"external_id":"T1611"}}}`, proto.SeverityCritical},
		{"v0.24: 3, like escape", `{"eventName":"x","metadata":{"Properties":{"Severity":3,"external_id":"T16110"}}}`, proto.SeverityHigh},
		{"v0.24: 2, escape", `{"eventName":"x","metadata":{"Properties":{"Severity":2,"external_id":"T1611"}}}`, proto.SeverityMedium},
		{"v0.24: none", `{"eventName":"x","metadata":{"Properties":{"signatureID":"TRC-1"}}}`, proto.SeverityMedium},
		{"v0.24: null", `{"eventName":"x","metadata":{"Properties":{"Severity":null}}}`, proto.SeverityMedium},
		{"v0.24: a string", `{"eventName":"x","metadata":{"Properties":{"Severity":"0"}}}`, proto.SeverityMedium},
		{"v0.24: a fraction", `{"eventName":"x","metadata":{"Properties":{"Severity":0.5}}}`, proto.SeverityMedium},
		{"v0.24: negative", `{"eventName":"x","metadata":{"Properties":{"Severity":-1}}}`, proto.SeverityMedium},
		{"v0.24: properties are a string", `{"eventName":"x","metadata":{"Properties":"x"}}`, proto.SeverityMedium},
		{"v0.24: no signature", `{"eventName":"x","metadata":{}}`, proto.SeverityInfo},
		{"v1beta1: 0", `{"name":"x","threat":{"severity":0}}`, proto.SeverityLow},
		{"v1beta1: 3, escape", `{"name":"x","threat":{"severity":3,"mitre":{"technique":{"id":"T1611"}}}}`, proto.SeverityCritical},
		{"v1beta1: 4", `{"name":"x","threat":{"severity":4}}`, proto.SeverityCritical},
		{"v1beta1: 5", `{"name":"x","threat":{"severity":5}}`, proto.SeverityCritical},
		{"v1beta1: a word", `{"name":"x","threat":{"severity":"HIGH"}}`, proto.SeverityMedium},
		{"v1beta1: none", `{"name":"x"}`, proto.SeverityInfo},
		{"neither format", `{"threat":{"severity":3}}`, proto.SeverityHigh},
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

// What cannot be read must not be taken for 0: that would be root.
func TestUnreadableUserIsNotRoot(t *testing.T) {
	for _, record := range []string{
		`{"eventName":"x","processName":"p","userId":"1000"}`,
		`{"eventName":"x","processName":"p"}`,
		`{"name":"x","workload":{"process":{"thread":{"name":"p"},"real_user":{"id":{}}}}}`,
	} {
		var e proto.Event
		newNormalizer().Event(&e, []byte(record), proto.Origin{})
		if e.Process == nil || e.Process.UID != nil {
			t.Errorf("%s: process %+v", record, e.Process)
		}
	}
}

func TestDNSAndHTTP(t *testing.T) {
	for _, test := range []struct{ name, event, argument, title, want string }{
		{"questions", "net_packet_dns_request", `"dns_questions","value":[{"query":"a.example","query_type":"A"},{"query":"b.example","query_type":"AAAA"}]`, "DNS query A a.example, b.example (curl)", `"dns":{"type":"query","names":["a.example","b.example"],"rrtype":"A"}`},
		{"response", "net_packet_dns_response", `"dns_response","value":[{"query_data":{"query":"a.example","query_type":"A"},"dns_answer":[{"answer_type":"A","ttl":1,"answer":"192.0.2.1"},{"answer_type":"A","answer":"192.0.2.2"}]}]`, "DNS answer A a.example (curl)", `"dns":{"type":"answer","names":["a.example"],"rrtype":"A","answers":["192.0.2.1","192.0.2.2"]}`},
		{"HTTP", "net_packet_http", `"proto_http","value":{"direction":"request","method":"GET","protocol":"HTTP/1.1","host":"a.example","uri_path":"/x?q=y","headers":{"User-Agent":["curl/8"]},"content_length":3}`, "HTTP GET a.example/x (curl)", `"http":{"method":"GET","hostname":"a.example","path":"/x","user_agent":"curl/8","length":3}`},
		{"HTTP request", "net_packet_http_request", `"http_request","value":{"method":"POST","host":"a.example","uri_path":"/"}`, "HTTP POST a.example/ (curl)", `"http":{"method":"POST","hostname":"a.example","path":"/"}`},
		{"HTTP response", "net_packet_http_response", `"http_response","value":{"status":"200 OK","status_code":200,"headers":{"Content-Type":["text/html"]},"content_length":-1}`, "HTTP response 200 (curl)", `"http":{"status":200,"content_type":"text/html"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			line := []byte(`{"timestamp":1796033005516899291,"eventName":"` + test.event + `","processName":"curl","args":[{"name":` + test.argument + `}]}`)
			normalizetest.Check(t, newNormalizer(), line)
			var e proto.Event
			newNormalizer().Event(&e, line, proto.Origin{})
			if e.Title != test.title || e.Tags != nil || !strings.Contains(string(e.AppendJSON(nil)), test.want) {
				t.Errorf("got %s", e.AppendJSON(nil))
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, file := range []string{
		recordings + "tracee-0.24.events.json", recordings + "tracee-v1beta1.events.json", "testdata/edges.json",
	} {
		for _, line := range normalizetest.Lines(f, file) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		normalizetest.Check(t, newNormalizer(), line)
	})
}

func BenchmarkTracee(b *testing.B) {
	lines := normalizetest.Lines(b, recordings+"tracee-0.24.events.json")
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
		n.Event(&e, lines[i%len(lines)], proto.Origin{File: "events.json", Generation: "g1", Offset: int64(i)})
		out = e.AppendJSON(out[:0])
	}
}
