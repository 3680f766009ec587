package proxy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
)

// Two texts that come by turns hide no canary in either, as it is or encoded; what is
// stopped is a finding and an alert, once.
func TestCanaryInTextsByTurns(t *testing.T) {
	const canary = "a-canary/that+nobody-sends-01"
	chat := func(choice int, members string) string {
		return fmt.Sprintf(`{"choices":[{"index":%d,"delta":{%s}}]}`, choice, members)
	}
	apis := map[string]struct{ path, body string }{
		"chat":      {"/v1/chat/completions", `{"model":"m","stream":true,"n":2,"messages":[{"role":"user","content":"hi"}]}`},
		"messages":  {"/v1/messages", message(true, "hi")},
		"responses": {"/v1/responses", `{"model":"m","stream":true,"input":"hi"}`},
		"gemini":    {"/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"hi"}]}]}`},
	}
	for _, tt := range []struct {
		api, name string
		say       func(piece string) []string // the piece, as JSON, and what comes with it
	}{
		{"chat", "mirrored reasoning", func(p string) []string {
			return []string{chat(0, `"reasoning":`+p+`,"reasoning_content":`+p)}
		}},
		{"chat", "content and reasoning", func(p string) []string {
			return []string{chat(0, `"content":`+p), chat(0, `"reasoning_content":"hm "`)}
		}},
		{"chat", "content and refusal", func(p string) []string { return []string{chat(0, `"content":"x","refusal":`+p)} }},
		{"chat", "two choices", func(p string) []string { return []string{chat(0, `"content":`+p), chat(1, `"content":"word "`)} }},
		{"chat", "a choice that ends with each piece", func(p string) []string {
			return []string{`{"choices":[{"index":0,"delta":{"content":` + p + `},"finish_reason":"stop"}]}`}
		}},
		{"messages", "text and thinking", func(p string) []string {
			return []string{
				`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm "}}`,
				`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":` + p + `}}`,
			}
		}},
		{"messages", "text and thinking in one event", func(p string) []string {
			return []string{`{"type":"content_block_delta","index":0,"delta":{"thinking":"hm ","text":` + p + `}}`}
		}},
		{"responses", "text and a summary", func(p string) []string {
			return []string{
				`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":` + p + `}`,
				`{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"hm "}`,
			}
		}},
		{"gemini", "text and thoughts", func(p string) []string {
			return []string{`{"candidates":[{"content":{"parts":[{"text":"hm ","thought":true},{"text":` + p + `}]}}]}`}
		}},
	} {
		for form, secret := range map[string]string{"plain": canary, "encoded": base64.StdEncoding.EncodeToString([]byte("x=" + canary + ";"))} {
			t.Run(tt.api+"/"+tt.name+"/"+form, func(t *testing.T) {
				var stream strings.Builder
				for i := range len(secret) {
					piece, err := json.Marshal(secret[i : i+1])
					if err != nil {
						t.Fatal(err)
					}
					for _, event := range tt.say(string(piece)) {
						stream.WriteString("data: " + event + "\n\n")
					}
				}
				r := newSolo(t, answering(http.StatusOK, "text/event-stream", stream.String()), func(c *Config) { c.Canaries = config.NewSecret(canary) })
				got := r.post(apis[tt.api].path, apis[tt.api].body)
				if !strings.Contains(got.body, "blocked by the security proxy") {
					t.Errorf("passed: %s", got.body)
				}
				a := r.final()
				if a.Decision != proto.DecisionBlocked || a.Severity != proto.SeverityCritical || len(a.Findings) != 1 || a.Findings[0].Rule != detect.Canary || !a.Findings[0].Enforced {
					t.Errorf("record %+v", a)
				}
				if alerts := r.proxy.records.spool.(*memory).alerts; len(alerts) != 1 || alerts[0].Rule.ID != detect.Canary || alerts[0].Action != "blocked" {
					t.Errorf("alerts %+v", alerts)
				}
			})
		}
	}
}

// Servers that send a text under several names do not fill the record with it.
func TestTextIsRecordedOnce(t *testing.T) {
	stream := ""
	for _, word := range []string{"The ", "user"} {
		stream += `data: {"choices":[{"index":0,"delta":{"reasoning":"` + word + `","reasoning_content":"` + word + `"}}]}` + "\n\n"
	}
	stream += `data: {"choices":[{"index":0,"delta":{"content":"Hi."}},{"index":1,"delta":{"content":"Hi."}}]}` + "\n\n"
	r := newSolo(t, answering(http.StatusOK, "text/event-stream", stream), func(c *Config) { c.AuditContent = true })
	r.post("/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	if got := r.final().Answer; got != "The user\nHi.\nHi." {
		t.Errorf("recorded %q", got)
	}
}
