package answer_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

var allAPIs = []llmapi.API{llmapi.Messages, llmapi.ChatCompletions, llmapi.Responses, llmapi.GenerateContent, llmapi.Embeddings, llmapi.None}

// An error passes as it came, in every API, whatever a reader makes of it, and its type
// is known as far as it can be read.
func TestErrorsPass(t *testing.T) {
	for name, tt := range map[string]struct{ body, kind string }{
		"an object":           {`{"error":{"type":"rate_limit_error","message":"slow down"}}`, "rate_limit_error"},
		"a list":              {"[{\n  \"error\": {\n    \"code\": 429,\n    \"message\": \"Quota.\",\n    \"status\": \"RESOURCE_EXHAUSTED\"\n  }\n}\n]\n", "RESOURCE_EXHAUSTED"},
		"a code alone":        {`{"error":{"code":"model_not_found","message":"x"}}`, "model_not_found"},
		"a name twice":        {`{"error":{"message":"a","type":"server_error","message":"b"}}`, "server_error"},
		"two cases":           {`{"Error":"a","error":"b"}`, "unknown"},
		"cut":                 {`{"error": {"type":"overloaded_error","message":"try ag`, "overloaded_error"},
		"cut at once":         {`{"err`, ""},
		"in the body itself":  {`{"object":"error","message":"x","type":"invalid_request_error","code":3051}`, "invalid_request_error"},
		"not an API's":        {`{"detail":"Not Found"}`, ""},
		"a string":            {`{"error":"model 'x' not found"}`, "unknown"},
		"nothing":             {"", ""},
		"a page":              {"<html>\n<body>data: {\"choices\": oops}</body></html>\n", ""},
		"text":                {"upstream connect error or disconnect/reset before headers", ""},
		"no UTF-8":            {"{\x00\"\x00e\x00", ""},
		"a number":            {"503", ""},
		"talk of calls":       {`[{"error":{"type":"x","message":"an assistant message with 'tool_calls' must be followed by tool messages","param":"a","param":"b"}}]`, "x"},
		"calls, but none":     {`{"error":{"type":"bad_request"},"tool_calls":[],"tool_calls":null}`, "bad_request"},
		"a list of something": {`[1,"a",[],{"error":{"type":"t"}}]`, "t"},
	} {
		for _, api := range allAPIs {
			for way, in := range ways([]byte(tt.body)) {
				r := answer.NewReader(in, answer.Options{API: api, Failed: true, Judge: allow})
				if got, err := io.ReadAll(r); err != nil || string(got) != tt.body {
					t.Fatalf("%s, %v, %s: %v\n%s", name, api, way, err, got)
				}
				if got := r.Result().ErrorType; got != tt.kind {
					t.Errorf("%s, %v, %s: error type %q, want %q", name, api, way, got, tt.kind)
				}
			}
		}
	}
}

// A call in an error is judged or, where one client finds it and another does not,
// stopped.
func TestCallsInErrors(t *testing.T) {
	const call = `"tool_calls":[{"index":0,"id":"t","function":{"name":"exec","arguments":"{}"}}]`
	refuse := func(llmapi.ToolCall) error { return errors.New("no") }
	for name, body := range map[string]string{
		"plain":               `{"error":{},"choices":[{"message":{` + call + `}}]}`,
		"in a list":           `[{"error":{}},{"choices":[{"message":{` + call + `}}]}]`,
		"behind an empty one": `{"choices":[],"choices":[{"message":{` + call + `}}]}`,
		"in another case":     `{"Choices":[{"message":{"Tool_Calls":[{"function":{"name":"exec"}}]}}],"choices":[]}`,
		"of another API":      `{"a":1,"a":2,"content":[{"type":"tool_use","name":"exec","input":{}}]}`,
		"a second object":     `{}{"choices":[{"message":{` + call + `}}]}`,
		"an event":            "data: {\"a\":1,\"a\":2,\"delta\":{" + call + "}}\n\n",
		"a field like data":   "data : {\"delta\":{" + call + "}}\n\n",
	} {
		r := answer.NewReader(strings.NewReader(body), answer.Options{API: llmapi.ChatCompletions, Failed: true, Judge: refuse})
		if out, err := io.ReadAll(r); r.Result().Blocked == nil || strings.Contains(string(out), "exec") {
			t.Errorf("%s: %v, passed as %s", name, err, out)
		}
	}
}

// What came of an error that broke off goes on, and then the break.
func TestBrokenErrorsPass(t *testing.T) {
	broken := errors.New("connection reset")
	for _, api := range allAPIs {
		for _, body := range []string{`{"error":{"type":"overloaded_error","mess`, "up", "event: error\ndata: {\"type\":\"err", ""} {
			r := answer.NewReader(io.MultiReader(strings.NewReader(body), iotest.ErrReader(broken)), answer.Options{API: api, Failed: true, Judge: allow})
			if got, err := io.ReadAll(r); !errors.Is(err, broken) || string(got) != body {
				t.Errorf("%v: %v, %q of %q", api, err, got, body)
			}
		}
	}
}

// Where there is no memory to look at a large error, it passes.
func TestErrorsPassWithoutMemory(t *testing.T) {
	full := func(n int) error {
		if n > 0 {
			return errors.New("no memory")
		}
		return nil
	}
	body := `{"error":{"type":"server_error","message":"` + strings.Repeat("long ", 100_000) + `"}}`
	for _, api := range allAPIs {
		r := answer.NewReader(strings.NewReader(body), answer.Options{API: api, Failed: true, Judge: allow, Grow: full})
		if got, err := io.ReadAll(r); err != nil || string(got) != body {
			t.Errorf("%v: %v, %d bytes", api, err, len(got))
		}
	}
}
