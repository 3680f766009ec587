package answer_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// A forbidden value that is spread over parts of the answer that no API documents
// does not come out, whichever part it is.
func TestForbiddenValueInPieces(t *testing.T) {
	spread := func(event func(letter string) string) []string {
		var events []string
		for _, c := range secret {
			events = append(events, event(string(c)))
		}
		return events
	}
	const text = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n"
	tests := []struct {
		name string
		api  llmapi.API
		in   []string
	}{
		{"an unknown member", llmapi.ChatCompletions, spread(func(c string) string {
			return `data: {"choices":[{"delta":{"audio":{"transcript":` + quote(c) + `}}}]}` + "\n\n"
		})},
		{"an unknown member, escaped", llmapi.ChatCompletions, spread(func(c string) string {
			return fmt.Sprintf(`data: {"choices":[{"delta":{"x":"\u%04x"}}]}`+"\n\n", c[0])
		})},
		{"an unknown member beside a text", llmapi.ChatCompletions, spread(func(c string) string {
			return `data: {"choices":[{"delta":{"content":"no","x":` + quote(c) + `}}]}` + "\n\n"
		})},
		{"elements of one array", llmapi.Messages, []string{"data: {\"x\":[\"" + strings.Join(strings.Split(secret, ""), `","`) + "\"]}\n\n"}},
		{"an unknown type of event", llmapi.Messages, spread(func(c string) string {
			return `data: {"type":"new_delta","new":` + quote(c) + `}` + "\n\n"
		})},
		{"a block that is no text", llmapi.Messages, spread(func(c string) string {
			return `data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":` + quote(c) + `}}` + "\n\n"
		})},
		{"an unknown event of Responses", llmapi.Responses, spread(func(c string) string {
			return `data: {"type":"response.audio.transcript","transcript":` + quote(c) + `}` + "\n\n"
		})},
		{"an unknown part of Gemini", llmapi.GenerateContent, spread(func(c string) string {
			return `data: {"candidates":[{"content":{"parts":[{"new":` + quote(c) + `}]}}]}` + "\n\n"
		})},
		{"comments", llmapi.ChatCompletions, spread(func(c string) string { return ": " + c + "\n\n" })},
		{"comments in events", llmapi.ChatCompletions, spread(func(c string) string { return ": " + c + "\n" + text })},
		{"names of events", llmapi.ChatCompletions, spread(func(c string) string { return "event: " + c + "\n" + text })},
		{"ids of events", llmapi.ChatCompletions, []string{"id: " + secret + "\n" + text}},
		{"a body", llmapi.ChatCompletions, []string{`{"x":["` + strings.Join(strings.Split(secret, ""), `","`) + `"]}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := strings.Join(tt.in, "") + text + "data: [DONE]\n\n"
			r := answer.NewReader(strings.NewReader(in), answer.Options{API: tt.api, Stream: true, Forbidden: [][]byte{[]byte(secret)}})
			out, _ := io.ReadAll(r)
			if !errors.Is(r.Result().Blocked, answer.ErrForbidden) {
				t.Errorf("passed: %s", out)
			}
			if len(tt.in) > 1 && strings.Contains(string(out), tt.in[len(tt.in)-1]) {
				t.Errorf("the last letter has gone: %s", out)
			}
			// Less than a value passes byte for byte.
			short := strings.Join(tt.in[:len(tt.in)-1], "") + text + "data: [DONE]\n\n"
			if len(tt.in) > 1 {
				r = answer.NewReader(strings.NewReader(short), answer.Options{API: tt.api, Stream: true, Forbidden: [][]byte{[]byte(secret)}})
				if out, err := io.ReadAll(r); err != nil || string(out) != short {
					t.Errorf("changed, %v: %s", err, out)
				}
			}
		})
	}
}

// Some clients end lines at characters that the standard knows nothing of. What they
// would read differently does not pass; the same characters in a text do.
func TestOtherEndsOfLines(t *testing.T) {
	const (
		start = `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"exec","input":{"command":"x"}}}`
		delta = `{"type":"content_block_delta","index":0,"delta":{"text":"a%sb"}}`
	)
	for _, sep := range []string{"\v", "\f", "\x1c", "\x1d", "\x1e", "\u0085", "\u2028", "\u2029"} {
		tests := []struct {
			name, in string
			passes   bool
		}{
			{"data behind a name", "event: content_block_start" + sep + "data: " + start + "\n\n", false},
			{"data behind a comment", ": hi" + sep + "data: " + start + sep + sep + "\n\n", false},
			{"data behind an id", "id: 1" + sep + " Data : " + start + "\n\n", false},
			{"data behind an unknown field", "x: 1" + sep + "data:" + start + "\n\n", false},
			{"a name behind an id", "id: 1" + sep + "event: content_block_start\ndata: {\"index\":0}\n\n", false},
			{"a name behind an id, lines ended by CRLF", "id: 1" + sep + "event: content_block_start\r\ndata: {\"index\":0}\r\n\r\n", false},
			{"for each LF", strings.ReplaceAll("event: content_block_start\ndata: "+start+"\n\n", "\n", sep), false},
			{"data within data", `data: {"type":"x","x":"` + sep + sep + "data: " + start + sep + sep + `"}` + "\n\n", false},
			{"an event between two lines of data", "data: {\"type\":\"ping\",\"y\":\nx: " + sep + sep + "\ndata: " + start + "\nx: " + sep + sep + "\ndata: }\n\n", false},
			{"a comment", ": a" + sep + sep + "b\ndata: {\"type\":\"ping\"}\n\n", true},
			{"a separator as text", "data: " + fmt.Sprintf(delta, sep) + "\n\n", sep > "\x1f"}, // JSON has no control characters in strings
			{"words of the format as text", "data: " + fmt.Sprintf(delta, sep+"dataset: 1"+sep+"my data: 2"+sep) + "\n\n", sep > "\x1f"},
		}
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%q %s", sep, tt.name), func(t *testing.T) {
				r := answer.NewReader(strings.NewReader(tt.in), answer.Options{API: llmapi.Messages, Stream: true, Judge: allow})
				out, err := io.ReadAll(r)
				if passed := r.Result().Blocked == nil; passed != tt.passes || passed && string(out) != tt.in {
					t.Errorf("%v, blocked %v: %s", err, r.Result().Blocked, out)
				}
			})
		}
	}
}

// To approve a call is to have it run: the request for that is judged as the call is.
func TestApprovalRequestIsACall(t *testing.T) {
	const item = `{"type":"mcp_approval_request","id":"mcpr_1","server_label":"x","name":"exec","arguments":"{\"command\":\"x\"}"}`
	for name, in := range map[string]string{
		"done":      `data: {"type":"response.output_item.done","output_index":0,"item":` + item + "}\n\n",
		"added":     `data: {"type":"response.output_item.added","output_index":0,"item":` + item + "}\n\n",
		"completed": `data: {"type":"response.completed","response":{"status":"completed","output":[` + item + "]}}\n\n",
		"body":      `{"status":"completed","output":[` + item + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var calls []llmapi.ToolCall
			r := answer.NewReader(strings.NewReader(in), answer.Options{API: llmapi.Responses, Stream: name != "body", Judge: func(c llmapi.ToolCall) error {
				c.Arguments = []byte(string(c.Arguments))
				calls = append(calls, c)
				return errors.New("no")
			}})
			out, _ := io.ReadAll(r)
			if len(calls) != 1 || calls[0].Name != "exec" || !calls[0].Remote || !strings.Contains(string(calls[0].Arguments), `"command":"x"`) {
				t.Errorf("judged %+v", calls)
			}
			if strings.Contains(string(out), "command") {
				t.Errorf("passed: %s", out)
			}
		})
	}
}

// A call in the place of something else is refused: nobody knows which clients look
// there.
func TestCallsElsewhere(t *testing.T) {
	const block = `{"type":"tool_use","id":"t","name":"exec","input":{"command":"x"}}`
	const function = `{"id":"t","type":"function","function":{"name":"exec","arguments":"{}"}}`
	for in, api := range map[string]llmapi.API{
		`data: {"type":"message_delta","delta":{"content":[` + block + `],"stop_reason":"tool_use"}}`: llmapi.Messages,
		`data: {"choices":[{"delta":{"content":[` + function + `]}}]}`:                                llmapi.ChatCompletions,
		`data: {"choices":[{"delta":{"content":` + function + `}}]}`:                                  llmapi.ChatCompletions,
		`{"choices":[{"message":{"content":[{"tool_calls":[` + function + `]}]}}]}`:                   llmapi.ChatCompletions,
	} {
		r := answer.NewReader(strings.NewReader(in+"\n\n"), answer.Options{API: api, Stream: true, Judge: allow})
		if out, _ := io.ReadAll(r); !errors.Is(r.Result().Blocked, answer.ErrMalformed) || strings.Contains(string(out), "exec") {
			t.Errorf("%s: passed as %s", in, out)
		}
	}
	// Parts of a text pass, as some servers write them.
	const parts = `{"choices":[{"message":{"content":[{"type":"text","text":"hi"}]}}]}`
	if out, err := io.ReadAll(answer.NewReader(strings.NewReader(parts), answer.Options{API: llmapi.ChatCompletions, Judge: allow})); err != nil || string(out) != parts {
		t.Errorf("%v: %s", err, out)
	}
}
