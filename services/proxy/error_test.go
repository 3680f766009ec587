package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// newRigAt is newRig before an upstream of the test's own.
func newRigAt(t *testing.T, upstream http.HandlerFunc) *rig {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	return newRig(t, func(c *Config) { c.LLM.APIBase, c.LLM.OpenAIBase = server.URL, server.URL })
}

// What a provider says of an error reaches the client, and the record says what kind of
// error it was where that can be read.
func TestErrorsOfProvidersPass(t *testing.T) {
	tests := []struct {
		name, path, media string
		status            int
		body, kind        string
	}{
		{"a list", "/v1/chat/completions", "application/json; charset=UTF-8", 429, "[{\n\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}\n]\n", "RESOURCE_EXHAUSTED"},
		{"a name twice", "/v1/messages", "application/json", 503, `{"error":{"type":"overloaded_error","message":"a","message":"b"}}`, "overloaded_error"},
		{"two cases", "/v1/messages", "application/json", 503, `{"Error":"a","error":"b"}`, "unknown"},
		{"cut", "/v1/messages", "application/json", 529, `{"error": {"message":"cu`, "unknown"},
		{"bytes", "/v1/chat/completions", "application/octet-stream", 400, `{"error":{"message":"x","type":"invalid_request_error","code":null}}`, "invalid_request_error"},
		{"embeddings", "/v1/embeddings", "application/json", 404, `{"error":{"message":"x","type":"not_found_error"}}`, "not_found_error"},
		{"models", "/v1/models", "application/json", 401, `{"error":{"message":"x","code":"invalid_api_key"}}`, "invalid_api_key"},
		{"a page", "/v1/messages", "text/html; charset=utf-8", 502, "<html>\n data: {}\n<script>data: x</script></html>\n", ""},
		{"a page in another charset", "/v1/messages", "text/html; charset=utf-16", 502, "<\x00h\x00t\x00m\x00l\x00>\x00", ""},
		{"events", "/v1/messages", "text/event-stream", 429, "event: error\ndata: {\"type\":\"error\",\"type\":\"error\"}\n\n", ""},
	}
	var next int
	r := newRigAt(t, func(w http.ResponseWriter, _ *http.Request) {
		tt := tests[next]
		w.Header().Set("Content-Type", tt.media)
		w.Header().Set("Retry-After", "12")
		w.WriteHeader(tt.status)
		_, _ = io.WriteString(w, tt.body)
	})
	for i, tt := range tests {
		next = i
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got answered
		switch tt.path {
		case "/v1/models":
			got = r.do(request)
		case "/v1/embeddings":
			got = r.post(tt.path, `{"model":"e","input":"hi"}`)
		default:
			got = r.post(tt.path, message(false, "hi"))
		}
		if got.status != tt.status || got.body != tt.body || got.header.Get("Retry-After") != "12" {
			t.Errorf("%s: %d %q, %v", tt.name, got.status, got.body, got.header)
		}
	}
	for i, a := range r.audits(2 * len(tests)) {
		tt := tests[i/2]
		if a.Phase == proto.PhaseEnd && (a.Decision != proto.DecisionAllowed || a.Status != tt.status || a.ErrorType != tt.kind) {
			t.Errorf("%s: record %s, %d, %q", tt.name, a.Decision, a.Status, a.ErrorType)
		}
	}
}

// An error that breaks off keeps its status and what came of it.
func TestErrorsThatBreakOff(t *testing.T) {
	for _, sent := range []string{"", `{"error":{"type":"overloaded_error","mess`} {
		r := newRigAt(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "3")
			w.Header().Set("Content-Length", fmt.Sprint(len(sent)+100))
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, sent)
		})
		got := r.post("/v1/messages", message(false, "hi"))
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "3" || got.body != sent || got.err == nil {
			t.Errorf("%d %q, %v", got.status, got.body, got.err)
		}
		if a := r.audits(2)[1]; a.Decision != proto.DecisionFailed || a.Status != http.StatusServiceUnavailable {
			t.Errorf("record %s, %d", a.Decision, a.Status)
		}
	}
}

// Embeddings are counted, though nothing in them is inspected.
func TestEmbeddingsAreCounted(t *testing.T) {
	const body = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":9,"total_tokens":9}}`
	r := newRigAt(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	})
	if got := r.post("/v1/embeddings", `{"model":"text-embedding-3-small","input":"hi"}`); got.body != body {
		t.Errorf("%d %q", got.status, got.body)
	}
	a := r.audits(2)[1]
	if u := a.Usage; u == nil || u.Input != 9 || u.Output != 0 || !u.Complete || a.ResponseModel != "text-embedding-3-small" {
		t.Errorf("record %q, %+v", a.ResponseModel, u)
	}
}
