package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// A call with a megabyte of arguments passes in every API, streamed and not, with every
// detection looking at it; one that is larger than PROXY_MAX_CALL does not.
func TestLargeCallsPass(t *testing.T) {
	const size = 1 << 20
	content := strings.Repeat("some words, and \\\"quotes\\\" ", size/24)[:size]
	arguments := `{"path":"a.html","content":"` + strings.TrimRight(content, `\`) + `"}`
	quote := func(s string) string {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(quoted)
	}
	events := func(first, fragment string, last ...string) string {
		var b strings.Builder
		b.WriteString("data: " + first + "\n\n")
		for rest := arguments; rest != ""; {
			n := min(64, len(rest))
			fmt.Fprintf(&b, "data: "+fragment+"\n\n", quote(rest[:n]))
			rest = rest[n:]
		}
		for _, event := range last {
			b.WriteString("data: " + event + "\n\n")
		}
		return b.String()
	}
	item := `{"type":"function_call","id":"f","call_id":"c","name":"write","arguments":` + quote(arguments) + `}`
	gemini := `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"write","args":` + arguments + `}}]},"finishReason":"STOP"}]}`
	for _, tt := range []struct {
		name, path, request, stream, body string
	}{
		{
			"messages", "/v1/messages", message(true, "hi"),
			events(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"c","name":"write","input":{}}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":%s}}`, `{"type":"content_block_stop","index":0}`),
			`{"content":[{"type":"tool_use","id":"c","name":"write","input":` + arguments + `}]}`,
		},
		{
			"chat", "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
			events(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"write","arguments":""}}]}}]}`,
				`{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":%s}}]},"finish_reason":null}]}`,
				`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]"),
			`{"choices":[{"index":0,"message":{"tool_calls":[{"id":"c","type":"function","function":{"name":"write","arguments":` + quote(arguments) + `}}]},"finish_reason":"tool_calls"}]}`,
		},
		{
			"responses", "/v1/responses", `{"model":"m","stream":true,"input":"hi"}`,
			events(`{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"f","call_id":"c","name":"write","arguments":""}}`,
				`{"type":"response.function_call_arguments.delta","output_index":0,"delta":%s}`,
				`{"type":"response.output_item.done","output_index":0,"item":`+item+`}`, `{"type":"response.completed","response":{"status":"completed","output":[`+item+`]}}`),
			`{"status":"completed","output":[` + item + `]}`,
		},
		{"gemini", "/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"hi"}]}]}`, "data: " + gemini + "\n\n", gemini},
	} {
		for media, answer := range map[string]string{"text/event-stream": tt.stream, "application/json": tt.body} {
			t.Run(tt.name+"/"+media, func(t *testing.T) {
				r := newSolo(t, answering(http.StatusOK, media, answer), nil)
				got := r.post(tt.path, tt.request)
				a := r.final()
				if got.err != nil || got.body != answer || len(a.ToolCalls) != 1 || a.ToolCalls[0].Verdict != proto.DecisionAllowed {
					t.Errorf("%v, %d bytes of %d, calls %+v, %s", got.err, len(got.body), len(answer), a.ToolCalls, a.Reason)
				}
				r = newSolo(t, answering(http.StatusOK, media, answer), func(c *Config) { c.MaxCall = size / 2 })
				got = r.post(tt.path, tt.request)
				if a := r.final(); a.Decision != proto.DecisionBlocked || len(got.body) >= len(answer) {
					t.Errorf("larger than PROXY_MAX_CALL: %s, %d bytes of %d", a.Decision, len(got.body), len(answer))
				}
			})
		}
	}
}
