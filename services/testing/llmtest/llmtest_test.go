package llmtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/golden"
)

// api is one of the APIs as a client sees it: how it is asked, and an
// independent reading of what it answers.
type api struct {
	name string
	path string // of an answer as a whole
	// streamPath is the path of a stream, if that is another.
	streamPath string
	// header authenticates.
	header map[string]string
	// request puts a prompt.
	request func(prompt string, stream bool) string
	// whole and stream read an answer.
	whole, stream func(t *testing.T, body []byte) said
}

// said is what an answer says.
type said struct {
	text          string
	calls         []toolCall
	input, output int // tokens
	cached        int
	finish        string
	failure       string // the message of an error within the answer
}

func apis() []api {
	anthropicHeader := map[string]string{"X-Api-Key": Key, "Anthropic-Version": "2023-06-01"}
	openAIHeader := map[string]string{"Authorization": "Bearer " + Key}
	geminiHeader := map[string]string{"X-Goog-Api-Key": Key}
	geminiRequest := func(prompt string, _ bool) string {
		return `{"contents":[{"role":"user","parts":[{"text":` + quote(prompt) + `}]}]}`
	}
	return []api{
		{
			name: "messages", path: "/v1/messages", header: anthropicHeader,
			request: func(prompt string, stream bool) string {
				return `{"model":"claude-sonnet-4-5","max_tokens":1024,"messages":[{"role":"user","content":[{"type":"text","text":` + quote(prompt) + `}]}],"stream":` + boolean(stream) + `}`
			},
			whole: readMessage, stream: readMessageStream,
		},
		{
			name: "chat", path: "/v1/chat/completions", header: openAIHeader,
			request: func(prompt string, stream bool) string {
				options := ""
				if stream {
					options = `,"stream_options":{"include_usage":true}`
				}
				return `{"model":"gpt-4.1","messages":[{"role":"system","content":"x"},{"role":"user","content":` + quote(prompt) + `}],"stream":` + boolean(stream) + options + `}`
			},
			whole: readCompletion, stream: readCompletionStream,
		},
		{
			name: "responses", path: "/v1/responses", header: openAIHeader,
			request: func(prompt string, stream bool) string {
				return `{"model":"gpt-5","input":[{"role":"user","content":[{"type":"input_text","text":` + quote(prompt) + `}]}],"stream":` + boolean(stream) + `}`
			},
			whole: readResponse, stream: readResponseStream,
		},
		{
			name: "gemini", path: "/v1beta/models/gemini-2.5-flash:generateContent", header: geminiHeader,
			streamPath: "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
			request:    geminiRequest,
			whole:      readGenerated, stream: readGeneratedStream,
		},
		{
			name: "gemini-array", path: "/v1beta/models/gemini-2.5-flash:generateContent", header: geminiHeader,
			streamPath: "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
			request:    geminiRequest,
			whole:      readGenerated, stream: readGeneratedArray,
		},
	}
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// rig is a server whose clock stands still.
type rig struct {
	t      *testing.T
	server *Server
	url    string
	client *http.Client
}

func newRig(t *testing.T) *rig {
	s := New(Config{})
	s.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &rig{t, s, s.Start(t), &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (r *rig) request(method, path string, header map[string]string, body string) *http.Request {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	return request
}

// do returns the response, and as much of its body as came before err.
func (r *rig) do(method, path string, header map[string]string, body string) (*http.Response, []byte, error) {
	r.t.Helper()
	response, err := r.client.Do(r.request(method, path, header, body))
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return response, got, err
}

// ask puts a prompt.
func (r *rig) ask(a api, stream bool, prompt string) (*http.Response, []byte, error) {
	r.t.Helper()
	path := a.path
	if stream && a.streamPath != "" {
		path = a.streamPath
	}
	return r.do(http.MethodPost, path, a.header, a.request(prompt, stream))
}

// mustAsk is ask for what is answered with 200 and in full.
func (r *rig) mustAsk(a api, stream bool, prompt string) (http.Header, []byte) {
	r.t.Helper()
	response, body, err := r.ask(a, stream, prompt)
	if err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatalf("got %v, %v: %s", response, err, body)
	}
	return response.Header, body
}

// forEach runs a test for each API, as a whole answer and as a stream.
func forEach(t *testing.T, run func(t *testing.T, a api, stream bool, read func(*testing.T, []byte) said)) {
	for _, a := range apis() {
		t.Run(a.name, func(t *testing.T) { run(t, a, false, a.whole) })
		t.Run(a.name+" stream", func(t *testing.T) { run(t, a, true, a.stream) })
	}
}

const scripted = "#say Two files, \"a\" and <b>: é.\n#tool exec {\"command\": \"ls -la /tmp/ä\", \"n\": 1.50}\n#tool read {\"path\":\"/etc/hosts\"}"

// TestAnswers reads what the server answers with structs of the test's own.
func TestAnswers(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, read func(*testing.T, []byte) said) {
		_, body := newRig(t).mustAsk(a, stream, scripted)
		got := read(t, body)
		if got.text != `Two files, "a" and <b>: é.` {
			t.Errorf("text %q", got.text)
		}
		if len(got.calls) != 2 || got.calls[0].name != "exec" || got.calls[1].name != "read" {
			t.Fatalf("calls %v", got.calls)
		}
		for i, want := range []string{`{"command": "ls -la /tmp/ä", "n": 1.50}`, `{"path":"/etc/hosts"}`} {
			if compact(got.calls[i].arguments) != compact(want) {
				t.Errorf("arguments %s, want %s", got.calls[i].arguments, want)
			}
		}
		if got.input < 30 || got.output < 10 || got.cached != 0 || got.failure != "" {
			t.Errorf("got %+v", got)
		}
		wantFinish := map[string]string{"messages": "tool_use", "chat": "tool_calls", "responses": "completed"}[a.name]
		if wantFinish != "" && got.finish != wantFinish {
			t.Errorf("finished by %q, want %q", got.finish, wantFinish)
		}
	})
}

// TestGolden compares what goes over the wire with testdata, to the byte.
func TestGolden(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, _ func(*testing.T, []byte) said) {
		header, got := newRig(t).mustAsk(a, stream, scripted)
		got = append([]byte(header.Get("Content-Type")+"\n"), got...)
		name := filepath.Join("testdata", a.name+".golden")
		if stream {
			name = filepath.Join("testdata", a.name+"-stream.golden")
		}
		golden.Compare(t, name, got)
	})
}

func TestLongPromptsCountAsCached(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, read func(*testing.T, []byte) said) {
		_, body := newRig(t).mustAsk(a, stream, strings.Repeat("word ", 2000))
		got := read(t, body)
		if got.text != defaultText {
			t.Errorf("text %q", got.text)
		}
		if got.input < 2500 || got.cached < 1024 || got.cached >= got.input {
			t.Errorf("input %d, of it cached %d", got.input, got.cached)
		}
	})
}

// TestToolResultsEndALoop: an agent sends the prompt with its directive again
// and again, before the result of the tool.
func TestToolResultsEndALoop(t *testing.T) {
	headers := make(map[string]map[string]string)
	for _, a := range apis() {
		headers[a.path] = a.header
	}
	for _, test := range []struct{ path, body string }{
		{"/v1/messages", `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"#tool a {}"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"a","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"#tool a {}"}]}]}`},
		{"/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":"#tool a {}"},{"role":"assistant","tool_calls":[]},{"role":"tool","tool_call_id":"t","content":"#tool a {}"}]}`},
		{"/v1/responses", `{"model":"gpt-x","input":[{"role":"user","content":"#tool a {}"},{"type":"function_call_output","call_id":"t","output":"#tool a {}"}]}`},
		{"/v1beta/models/gemini-2.5-flash:generateContent", `{"contents":[{"parts":[{"text":"#tool a {}"}]},{"role":"model","parts":[]},{"role":"user","parts":[{"functionResponse":{"name":"a","response":{"output":"#tool a {}"}}}]}]}`},
	} {
		t.Run(test.path, func(t *testing.T) {
			response, body, err := newRig(t).do(http.MethodPost, test.path, headers[test.path], test.body)
			if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), defaultText) {
				t.Errorf("got %v, %v: %s", response, err, body)
			}
		})
	}
}

func TestIncludeUsage(t *testing.T) {
	for _, test := range []struct {
		options string
		usages  int
	}{
		{"", 0},
		{`,"stream_options":null`, 0},
		{`,"stream_options":{"include_usage":false}`, 0},
		{`,"stream_options":{"include_usage":true}`, 16}, // null in all but the last
	} {
		t.Run(test.options, func(t *testing.T) {
			body := `{"model":"gpt-x","stream":true,"messages":[{"role":"user","content":"x"}]` + test.options + `}`
			_, got, err := newRig(t).do(http.MethodPost, "/v1/chat/completions", map[string]string{"Authorization": "Bearer " + Key}, body)
			if err != nil || bytes.Count(got, []byte(`"usage":`)) != test.usages || !bytes.HasSuffix(got, []byte("data: [DONE]\n\n")) {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
}

func TestRecord(t *testing.T) {
	r := newRig(t)
	_, _, err := r.do(http.MethodPost, "/v1/%2e%2e/x?key=a;b", map[string]string{"Cookie": "c"}, "body")
	if err != nil {
		t.Fatal(err)
	}
	got := r.server.Requests()
	if len(got) != 1 {
		t.Fatalf("got %d requests", len(got))
	}
	q := got[0]
	if q.Method != "POST" || q.Path != "/v1/%2e%2e/x" || q.RawQuery != "key=a;b" || q.Header.Get("Cookie") != "c" || string(q.Body) != "body" || "http://"+q.Host != r.url {
		t.Errorf("got %+v", q)
	}
	for range maxRecorded + 5 {
		if _, _, err := r.do(http.MethodGet, "/v1/models", nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got = r.server.Requests(); len(got) != maxRecorded || got[0].Path != "/v1/models" {
		t.Errorf("%d requests, the oldest %s", len(got), got[0].Path)
	}
	if got := New(Config{Unrecorded: true}).Requests(); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestRecordIsBoundedInBytes(t *testing.T) {
	var c record
	for range 5 {
		c.add(&http.Request{RequestURI: "/"}, make([]byte, maxRecordedBytes/2))
	}
	if got := len(c.all()); got != 2 {
		t.Errorf("%d requests of half the bound are remembered", got)
	}
}

// decode reads JSON into v, and fails the test if it is none.
func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}
