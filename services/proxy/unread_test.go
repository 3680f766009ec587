package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
)

// Each request and answer that is refused because it cannot be checked has one finding and one alert.
func TestWhatCannotBeReadIsReported(t *testing.T) {
	const chat = `{"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}`
	request := func(name, body, detail string, header ...string) unreadCase {
		return unreadCase{name: name, body: body, header: header, rule: policy.RuleRequestRefused, severity: proto.SeverityLow, title: "Request refused: " + detail}
	}
	answer := func(name string, provider http.Handler, detail string) unreadCase {
		return unreadCase{name: name, body: chat, provider: provider, rule: policy.RuleAnswerRefused, severity: proto.SeverityMedium, title: "Answer refused: " + detail}
	}
	const oneWay, form = "its body cannot be read in one way only", "it is not in the form that its API documents"
	const media, events = "application/json", "text/event-stream"
	with := func(header, value string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			if header == "Location" {
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
			_, _ = w.Write([]byte("{}"))
		})
	}
	arguments := strings.Repeat("a", 5<<10)
	file, kind := uploadOf(t, "batch", "in.jsonl", `{"custom_id":"a","body":{"model":"a","model":"b"}}`+"\n")
	upload := request("a line of a batch", file, oneWay, "Content-Type", kind)
	upload.path = "/v1/files"
	for _, tt := range []unreadCase{
		upload,
		request("a name that occurs twice", `{"model":"a","model":"b","messages":[]}`, oneWay),
		request("no UTF-8", "{\"model\":\"\xff\"}", oneWay),
		request("no JSON", `model=gpt-5`, oneWay),
		request("an encoding", chat, "its body is in a form or an encoding that cannot be read", "Content-Encoding", "lzma"),
		request("a damaged encoding", chat, "its body is damaged or incomplete", "Content-Encoding", "gzip"),
		request("a large body", strings.Repeat(" ", 64<<10+1), "its body is too large"),

		answer("a name that occurs twice", answering(200, media, `{"id":"a","id":"b"}`), form),
		answer("a name that occurs twice in a stream", answering(200, events, "data: {\"id\":\"a\",\"id\":\"b\"}\n\n"), form),
		answer("UTF-16", answering(200, media, "\xff\xfe{\x00}\x00"), form),
		answer("a charset", answering(200, media+"; charset=utf-7", "{}"), form),
		answer("large arguments", answering(200, media, `{"choices":[{"index":0,"message":{"tool_calls":[{"id":"t","type":"function","function":{"name":"read","arguments":"`+arguments+`"}}]}}]}`), "it holds more than can be checked"),
		answer("large arguments in a stream", answering(200, events, `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"read","arguments":"`+arguments+`"}}]}}]}`+"\n\n"), "it holds more than can be checked"),
		answer("many elements", answering(200, media, `{"choices":[`+strings.Repeat("[],", 1<<16)+`[]]}`), "it holds more than can be checked"),
		answer("an encoding", with("Content-Encoding", "lzma"), policy.AnswerEncoding),
		answer("a redirect", with("Location", "https://elsewhere.example"), policy.AnswerRedirect),
	} {
		t.Run(tt.rule+" "+tt.name, func(t *testing.T) {
			r := newSolo(t, tt.provider, func(c *Config) { c.MaxBody, c.MaxCall = 64<<10, 4<<10 })
			r.post(cmp.Or(tt.path, "/v1/chat/completions"), tt.body, tt.header...)
			a := r.final()
			if len(a.Findings) != 1 || a.Findings[0].Rule != tt.rule || a.Findings[0].Severity != tt.severity || !a.Findings[0].Enforced || a.Severity != tt.severity {
				t.Errorf("record: %s, %s, findings %+v", a.Severity, a.Reason, a.Findings)
			}
			alerts := r.proxy.records.spool.(*memory).alerts
			if len(alerts) != 1 || alerts[0].Title != tt.title || alerts[0].Severity != tt.severity || alerts[0].Rule.ID != tt.rule || alerts[0].Action != "blocked" {
				t.Errorf("alerts %+v", alerts)
			}
		})
	}
}

type unreadCase struct {
	name, path, body string
	provider         http.Handler
	header           []string
	rule, title      string
	severity         proto.Severity
}

// A client that sends nothing else fills no stream of alerts.
func TestRefusalsThatFlood(t *testing.T) {
	r := newSolo(t, nil, func(c *Config) { c.Flood = 3 })
	for range 9 {
		r.post("/v1/messages", `{"a":1,"a":2}`)
	}
	var kinds []string
	for _, e := range r.proxy.records.spool.(*memory).alerts {
		kinds = append(kinds, e.Kind)
	}
	if got, want := fmt.Sprint(kinds), fmt.Sprint([]string{"guard", "guard", "guard", proto.KindFlood}); got != want {
		t.Errorf("alerts %s, want %s", got, want)
	}
}

// What a detection or a lack of memory has stopped is reported as that, and not once more
// as an answer that cannot be read.
func TestWhatIsStoppedIsReportedOnce(t *testing.T) {
	r := newSolo(t, answering(200, "text/event-stream", delta("of "+goldenCanary)+`data: {"error":"`+goldenCanary+`"}`+"\n\n"), func(c *Config) {
		c.Canaries = config.NewSecret(goldenCanary)
	})
	r.post("/v1/messages", message(true, "hi"))
	if a := r.final(); len(a.Findings) != 1 || a.Findings[0].Rule != "canary" {
		t.Errorf("findings %+v", a.Findings)
	}
}
