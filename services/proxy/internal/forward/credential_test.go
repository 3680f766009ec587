package forward_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// received is a request as it arrived upstream.
type received struct {
	*http.Request
	body string
}

// recorder keeps the requests that arrive and answers {}.
func recorder(arrived chan<- received) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- received{r, string(body)}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
}

func TestWhatGoesUpstream(t *testing.T) {
	arrived := make(chan received, 1)
	rig := newRig(t, recorder(arrived))
	request := message(t.Context(), `{"a":1}`)
	request.URL.RawQuery = "beta=true&key=caller-key&access_token=caller-token"
	request.Header = http.Header{
		"Content-Type":      {"application/json; charset=utf-8"},
		"Accept":            {"text/event-stream"},
		"Accept-Encoding":   {"gzip, br"},
		"Anthropic-Version": {"2023-06-01"},
		"Anthropic-Beta":    {"one,two", "three"},
		"Anthropic-Dangerous-Direct-Browser-Access": {"true"},
		"X-Stainless-Retry-Count":                   {"2"},
		"X-App":                                     {"cli"},
		"User-Agent":                                {"openclaw/1"},
		"Session_id":                                {"sess-1"},
		"X-Session-Affinity":                        {"sess-1"},
		"X-Session-Id":                              {"sess-1"},
		"X-Grok-Conv-Id":                            {"sess-1"},
		"X-Client-Request-Id":                       {"sess-1"},
		"X-Anthropic-Beta":                          {"interleaved-thinking-2025-05-14"},
		"Originator":                                {"openclaw"},
		"Traceparent":                               {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"Idempotency-Key":                           {"stainless-1"},
		// None of these may arrive.
		"Authorization":       {"Bearer caller"},
		"X-Api-Key":           {"caller"},
		"Api-Key":             {"caller"},
		"X-Goog-Api-Key":      {"caller"},
		"X-Goog-User-Project": {"caller"},
		"Proxy-Authorization": {"Basic caller"},
		"Cookie":              {"session=caller"},
		"Openai-Organization": {"caller"},
		"Openai-Project":      {"caller"},
		"Anthropic-Api-Key":   {"caller"},
		"X-Amz-Date":          {"caller"},
		"Forwarded":           {"for=caller"},
		"X-Forwarded-For":     {"caller"},
		"X-Forwarded-Host":    {"caller"},
		"X-Real-Ip":           {"caller"},
		"Via":                 {"1.1 caller"},
		"Te":                  {"trailers"},
		"X-Anything-Else":     {"caller"},
		"Tracestate":          {"vendor=caller"},
		"Baggage":             {"user=caller"},
		"X-Http-Method":       {"DELETE"},
	}
	if _, err := rig.do(request); err != nil {
		t.Fatal(err)
	}
	got := <-arrived
	want := http.Header{
		"Accept":            {"text/event-stream"},
		"Accept-Encoding":   {"identity"},
		"Content-Type":      {"application/json"},
		"Content-Length":    {"7"},
		"Anthropic-Version": {"2023-06-01"},
		"Anthropic-Beta":    {"one,two", "three"},
		"Anthropic-Dangerous-Direct-Browser-Access": {"true"},
		"X-Stainless-Retry-Count":                   {"2"},
		"X-App":                                     {"cli"},
		"User-Agent":                                {"openclaw/1"},
		"Session_id":                                {"sess-1"},
		"X-Session-Affinity":                        {"sess-1"},
		"X-Session-Id":                              {"sess-1"},
		"X-Grok-Conv-Id":                            {"sess-1"},
		"X-Client-Request-Id":                       {"sess-1"},
		"X-Anthropic-Beta":                          {"interleaved-thinking-2025-05-14"},
		"Originator":                                {"openclaw"},
		"Traceparent":                               {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"Idempotency-Key":                           {"stainless-1"},
		"X-Api-Key":                                 {testKey},
	}
	if fmt.Sprint(got.Header) != fmt.Sprint(want) {
		t.Errorf("header\n got %v\nwant %v", got.Header, want)
	}
	if got.Host != "provider.test" || got.RequestURI != "/v1/messages?beta=true" || got.Method != "POST" {
		t.Errorf("got %s %s for %s", got.Method, got.RequestURI, got.Host)
	}
	if got.body != `{"a":1}` || got.ContentLength != 7 || got.TransferEncoding != nil {
		t.Errorf("body %q, length %d, %v", got.body, got.ContentLength, got.TransferEncoding)
	}
}

func TestTrace(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for value, valid := range map[string]bool{
		"00-" + trace + "-" + span + "-01":                    true,
		"00-" + trace + "-" + span + "-00":                    true,
		"cc-" + trace + "-" + span + "-01-later":              true,
		"00-" + trace + "-" + span + "-01-later":              false,
		"ff-" + trace + "-" + span + "-01":                    false,
		"00-" + strings.ToUpper(trace) + "-" + span + "-01":   false,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01":  false,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01": false,
		"00-" + trace + "-" + span:                            false,
		"00-" + trace[1:] + "-" + span + "-01":                false,
		"":                                                    false,
	} {
		gotTrace, gotSpan := forward.Trace(http.Header{"Traceparent": {value}})
		if valid != (gotTrace == trace && gotSpan == span) || !valid && gotTrace+gotSpan != "" {
			t.Errorf("%q: trace %q, span %q", value, gotTrace, gotSpan)
		}
	}
	if trace, _ := forward.Trace(http.Header{"Traceparent": {"00-" + trace + "-" + span + "-01", "x"}}); trace != "" {
		t.Error("took one of two headers")
	}
}

func TestNoUserAgentIsMadeUp(t *testing.T) {
	arrived := make(chan received, 1)
	rig := newRig(t, recorder(arrived))
	rig.raw("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got, ok := (<-arrived).Header["User-Agent"]; ok {
		t.Errorf("got %q", got)
	}
}

// Go's Director hook lets this remove the key that it has just set
// (https://go.dev/issue/50580).
func TestConnectionCannotRemoveTheKey(t *testing.T) {
	arrived := make(chan received, 1)
	rig := newRig(t, recorder(arrived))
	rig.raw("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: X-Api-Key, Anthropic-Beta\r\n" +
		"X-Api-Key: caller\r\nAnthropic-Beta: hop\r\nAnthropic-Version: 2023-06-01\r\n\r\n")
	got := (<-arrived).Header
	if !slices.Equal(got["X-Api-Key"], []string{testKey}) {
		t.Errorf("the key is %q", got["X-Api-Key"])
	}
	if got["Anthropic-Beta"] != nil {
		t.Errorf("a header of this hop went on: %q", got["Anthropic-Beta"])
	}
	if got.Get("Anthropic-Version") == "" {
		t.Error("a header that is not of this hop did not go on")
	}
}

func TestH2CIsNotForwarded(t *testing.T) {
	arrived := make(chan received, 1)
	rig := newRig(t, recorder(arrived))
	response, _ := rig.raw("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
	got := (<-arrived).Header
	if response.StatusCode != 200 || got["Upgrade"] != nil || got["Connection"] != nil || got["Http2-Settings"] != nil {
		t.Errorf("status %d, upstream got %v", response.StatusCode, got)
	}
}

func TestAuthentication(t *testing.T) {
	const oauth = "sk-ant-oat01-0123456789abcdef"
	version := []string{"2023-06-01"}
	tests := []struct {
		name     string
		provider llmapi.Provider
		key      string
		path     string
		header   http.Header
		want     http.Header
	}{
		{"Anthropic", llmapi.Anthropic, "sk-ant-api03-x", "/v1/messages", nil, http.Header{"X-Api-Key": {"sk-ant-api03-x"}}},
		{"Anthropic OAuth", llmapi.Anthropic, oauth, "/v1/messages", nil, http.Header{"Authorization": {"Bearer " + oauth}, "Anthropic-Beta": {"oauth-2025-04-20"}}},
		{
			"Anthropic OAuth with betas", llmapi.Anthropic, oauth, "/v1/messages",
			http.Header{"Anthropic-Beta": {"one,two"}, "Anthropic-Version": version},
			http.Header{"Authorization": {"Bearer " + oauth}, "Anthropic-Beta": {"one,two", "oauth-2025-04-20"}, "Anthropic-Version": version},
		},
		{
			"Anthropic OAuth with its beta", llmapi.Anthropic, oauth, "/v1/messages",
			http.Header{"Anthropic-Beta": {"one, oauth-2025-04-20"}},
			http.Header{"Authorization": {"Bearer " + oauth}, "Anthropic-Beta": {"one, oauth-2025-04-20"}},
		},
		{"OpenAI", llmapi.OpenAI, "sk-proj-x", "/v1/responses", nil, http.Header{"Authorization": {"Bearer sk-proj-x"}}},
		{"Gemini", llmapi.Gemini, "AIzaX", "/v1beta/models/m:generateContent", nil, http.Header{"X-Goog-Api-Key": {"AIzaX"}}},
		{"no key", llmapi.OpenAI, "", "/v1/responses", http.Header{"Authorization": {"Bearer caller"}, "X-Api-Key": {"caller"}}, http.Header{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			arrived := make(chan received, 1)
			rig := newRig(t, recorder(arrived), func(r *rig) {
				r.config.Provider, r.config.Key = test.provider, config.NewSecret(test.key)
			})
			request := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost"+test.path, strings.NewReader("{}"))
			request.RequestURI = ""
			request.Header = test.header.Clone()
			if request.Header == nil {
				request.Header = make(http.Header)
			}
			request.Header.Set("Content-Type", "application/json")
			if _, err := rig.do(request); err != nil {
				t.Fatal(err)
			}
			got := (<-arrived).Header
			for _, name := range []string{"Accept-Encoding", "Content-Length", "Content-Type", "User-Agent"} {
				got.Del(name)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestBase(t *testing.T) {
	tests := []struct {
		provider         llmapi.Provider
		base, path, want string
	}{
		{llmapi.Anthropic, "https://api.anthropic.com", "/v1/messages", "https://api.anthropic.com/v1/messages"},
		{llmapi.Anthropic, "https://api.anthropic.com/", "/v1/messages", "https://api.anthropic.com/v1/messages"},
		{llmapi.Anthropic, "https://api.anthropic.com/v1", "/v1/messages", "https://api.anthropic.com/v1/messages"},
		{llmapi.Anthropic, "https://gateway.test/anthropic", "/v1/messages", "https://gateway.test/anthropic/v1/messages"},
		{llmapi.OpenAI, "https://api.openai.com", "/v1/responses", "https://api.openai.com/v1/responses"},
		{llmapi.OpenAI, "https://api.openai.com/v1/", "/v1/responses", "https://api.openai.com/v1/responses"},
		{llmapi.OpenAI, "https://openrouter.ai/api/v1", "/v1/chat/completions", "https://openrouter.ai/api/v1/chat/completions"},
		{llmapi.OpenAI, "https://generativelanguage.googleapis.com/v1beta/openai", "/v1/chat/completions", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"},
		{llmapi.Gemini, "https://generativelanguage.googleapis.com", "/v1beta/models/m:generateContent", "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"},
		{llmapi.Gemini, "https://generativelanguage.googleapis.com/v1beta", "/v1beta/models/m:generateContent", "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"},
	}
	for _, test := range tests {
		t.Run(test.base, func(t *testing.T) {
			route, refusal := newTable(t, []llmapi.Provider{test.provider}).Match(asked("POST", test.path, nil))
			if refusal != nil {
				t.Fatalf("%+v", *refusal)
			}
			upstream, err := forward.NewUpstream(forward.UpstreamConfig{Provider: test.provider, Base: test.base})
			if err != nil {
				t.Fatal(err)
			}
			if got := upstream.Target(route); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestNewUpstreamFaults(t *testing.T) {
	tests := []struct{ name, base, key string }{
		{"no scheme", "api.anthropic.com", testKey},
		{"other scheme", "ftp://api.anthropic.com", testKey},
		{"no host", "https:///v1", testKey},
		{"user", "https://u:hunter2-password@api.test", testKey},
		{"query", "https://api.test/?key=hunter2", testKey},
		{"dot segments", "https://api.test/v1/../x", testKey},
		{"escape", "https://api.test/%2e%2e/x", testKey},
		{"line break in the key", "https://api.test", "hunter2\nX: y"},
		{"space in the key", "https://api.test", "hunter2 "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := forward.NewUpstream(forward.UpstreamConfig{Provider: llmapi.Anthropic, Base: test.base, Key: config.NewSecret(test.key)})
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), testKey) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
