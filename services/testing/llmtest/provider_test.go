package llmtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestAuthentication(t *testing.T) {
	const version = "2023-06-01"
	message := `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	for _, test := range []struct {
		name, key, path string
		header          map[string]string
		status          int
		kind            string // of error
	}{
		{"anthropic", Key, "/v1/messages", map[string]string{"X-Api-Key": Key, "Anthropic-Version": version}, 200, ""},
		{"anthropic without key", Key, "/v1/messages", map[string]string{"Anthropic-Version": version}, 401, "authentication_error"},
		{"anthropic with a wrong key", Key, "/v1/messages", map[string]string{"X-Api-Key": "no", "Anthropic-Version": version}, 401, "authentication_error"},
		{"anthropic without version", Key, "/v1/messages", map[string]string{"X-Api-Key": Key}, 400, "invalid_request_error"},
		{"anthropic with a key as a bearer", Key, "/v1/messages", map[string]string{"Authorization": "Bearer " + Key, "Anthropic-Version": version, "Anthropic-Beta": oauthBeta}, 401, "authentication_error"},
		{"anthropic by token", oauthPrefix + "01", "/v1/messages", map[string]string{"Authorization": "Bearer " + oauthPrefix + "01", "Anthropic-Version": version, "Anthropic-Beta": "a," + oauthBeta}, 200, ""},
		{"anthropic by token without the beta", oauthPrefix + "01", "/v1/messages", map[string]string{"Authorization": "Bearer " + oauthPrefix + "01", "Anthropic-Version": version}, 401, "authentication_error"},
		{"anthropic with a token as a key", oauthPrefix + "01", "/v1/messages", map[string]string{"X-Api-Key": oauthPrefix + "01", "Anthropic-Version": version}, 401, "authentication_error"},
		{"openai", Key, "/v1/chat/completions", map[string]string{"Authorization": "bearer " + Key}, 404, "invalid_request_error"}, // of the model
		{"openai without key", Key, "/v1/chat/completions", map[string]string{"Authorization": "Basic eA=="}, 401, "invalid_request_error"},
		{"openai with a wrong key", Key, "/v1/chat/completions", map[string]string{"Authorization": "Bearer no"}, 401, "invalid_request_error"},
		{"gemini", Key, "/v1beta/models/claude-x:generateContent", map[string]string{"X-Goog-Api-Key": Key}, 400, "INVALID_ARGUMENT"}, // of the body
		{"gemini by query", Key, "/v1beta/models/gemini-x:countTokens?key=" + Key, nil, 400, "INVALID_ARGUMENT"},
		{"gemini without key", Key, "/v1beta/models/gemini-x:generateContent", nil, 403, "PERMISSION_DENIED"},
		{"gemini with a wrong key", Key, "/v1beta/models/gemini-x:generateContent", map[string]string{"X-Goog-Api-Key": "no"}, 400, "INVALID_ARGUMENT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			r.server.key = test.key
			response, body, err := r.do(http.MethodPost, test.path, test.header, message)
			if err != nil || response.StatusCode != test.status {
				t.Fatalf("got %v, %v: %s", response, err, body)
			}
			var e struct{ Error struct{ Type, Status string } }
			decode(t, body, &e)
			if e.Error.Type+e.Error.Status != test.kind {
				t.Errorf("got %s", body)
			}
		})
	}
}

// TestKeyIsNotShown: an error shows no more of a key than the provider's does.
func TestKeyIsNotShown(t *testing.T) {
	_, body, err := newRig(t).do(http.MethodPost, "/v1/embeddings", map[string]string{"Authorization": "Bearer " + Key + "x"}, "")
	if err != nil || strings.Contains(string(body), Key) || !strings.Contains(string(body), "sk-ant-a********-AAx") {
		t.Errorf("%v: %s", err, body)
	}
}

func TestRefusals(t *testing.T) {
	headers := map[string]map[string]string{}
	for _, a := range apis() {
		headers[a.path] = a.header
	}
	headers["/v1/messages/count_tokens"] = headers["/v1/messages"]
	headers["/v1/embeddings"] = headers["/v1/responses"]
	const geminiPath = "/v1beta/models/gemini-2.5-flash:generateContent"
	for _, test := range []struct {
		path, body string
		status     int
		contains   string
	}{
		{"/v1/messages", `{"model":"claude-x"`, 400, "not valid JSON"},
		{"/v1/messages", `{"model":"claude-x"} x`, 400, "not valid JSON"},
		{"/v1/messages", ``, 400, "not valid JSON"},
		{"/v1/messages", `{"model":"claude-x","messages":[{"role":"user","content":"x"}]}`, 400, "max_tokens"},
		{"/v1/messages", `{"max_tokens":1,"messages":[{"role":"user","content":"x"}]}`, 400, "model"},
		{"/v1/messages", `{"model":"claude-x","max_tokens":1,"messages":[]}`, 400, "messages"},
		{"/v1/messages", `{"model":"gpt-5","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`, 404, "not_found_error"},
		{"/v1/messages", `{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":"#nope"}]}`, 400, "#nope"},
		{"/v1/messages/count_tokens", `{"model":"claude-x"}`, 400, "messages"},
		{"/v1/chat/completions", `[]`, 400, "model"},
		{"/v1/chat/completions", `{"model":"gpt-5","messages":{}}`, 400, "messages"},
		{"/v1/chat/completions", `{"model":"gpt-5","messages":[{}],"stream_options":{}}`, 400, "stream_options"},
		{"/v1/chat/completions", `{"model":"claude-x","messages":[{}]}`, 404, "model_not_found"},
		{"/v1/responses", `{"model":"gpt-5"}`, 400, "input"},
		{"/v1/responses", `{"model":"gpt-5","input":7}`, 400, "input"},
		{"/v1/embeddings", `{"model":"text-embedding-3-small","input":[]}`, 400, "input"},
		{"/v1/embeddings", `{"model":"text-embedding-3-small","input":"x","dimensions":0}`, 400, "dimensions"},
		{geminiPath, `{"contents":[]}`, 400, "contents"},
	} {
		t.Run(test.path+" "+test.body, func(t *testing.T) {
			response, body, err := newRig(t).do(http.MethodPost, test.path, headers[test.path], test.body)
			if err != nil || response.StatusCode != test.status || !strings.Contains(string(body), test.contains) {
				t.Errorf("got %v, %v: %s", response, err, body)
			}
		})
	}
}

func TestPathsAndMethods(t *testing.T) {
	anthropicHeader := map[string]string{"X-Api-Key": Key, "Anthropic-Version": "2023-06-01"}
	openAIHeader := map[string]string{"Authorization": "Bearer " + Key}
	geminiHeader := map[string]string{"X-Goog-Api-Key": Key}
	for _, test := range []struct {
		method, path string
		header       map[string]string
		status       int
		contains     string
	}{
		{"GET", "/v1/models", anthropicHeader, 200, `"display_name":"claude-sonnet-4-5-20250929"`},
		{"GET", "/v1/models/claude-x", anthropicHeader, 200, `"id":"claude-x"`},
		{"GET", "/v1/models/gpt-5", anthropicHeader, 404, "not_found_error"},
		{"GET", "/v1/models", openAIHeader, 200, `"id":"gpt-5"`},
		{"GET", "/v1/models/gpt-5", openAIHeader, 200, `"owned_by":"openai"`},
		{"GET", "/v1/models/claude-x", openAIHeader, 404, "model_not_found"},
		{"GET", "/v1/modelsx", openAIHeader, 404, "/v1/modelsx"},
		{"GET", "/v1/models", nil, 401, "invalid_request_error"},
		{"GET", "/v1beta/models", geminiHeader, 200, `"name": "models/gemini-2.5-flash"`},
		{"GET", "/v1beta/models/gemini-x", geminiHeader, 200, `"displayName": "gemini-x"`},
		{"GET", "/v1/messages", anthropicHeader, 405, "error"},
		{"POST", "/v1/models", openAIHeader, 404, "error"},
		{"POST", "/v1beta/models/gemini-x:explode", geminiHeader, 404, "NOT_FOUND"},
		{"POST", "/v1/../admin", openAIHeader, 404, "error"},
		{"GET", "/", openAIHeader, 404, "error"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			response, body, err := newRig(t).do(test.method, test.path, test.header, "")
			if err != nil || response.StatusCode != test.status || !strings.Contains(string(body), test.contains) {
				t.Errorf("got %v, %v: %s", response, err, body)
			}
			if !json.Valid(body) {
				t.Errorf("no JSON: %s", body)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	want := map[string][]string{
		"messages":  {"Request-Id", "Anthropic-Organization-Id", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
		"chat":      {"X-Request-Id", "Openai-Organization", "X-Ratelimit-Remaining-Tokens", "Set-Cookie", "Alt-Svc"},
		"responses": {"X-Request-Id", "Openai-Processing-Ms"},
		"gemini":    {"Server-Timing", "X-Content-Type-Options", "Alt-Svc"},
	}
	forEach(t, func(t *testing.T, a api, stream bool, _ func(*testing.T, []byte) said) {
		r := newRig(t)
		for _, prompt := range []string{"x", "#error 500"} {
			response, _, err := r.ask(a, stream, prompt)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range want[a.name] {
				if response.Header.Get(name) == "" {
					t.Errorf("no %s", name)
				}
			}
		}
	})
}

func TestCounts(t *testing.T) {
	r := newRig(t)
	body := `{"model":"claude-x","messages":[{"role":"user","content":"0123456789"}]}`
	_, got, err := r.do(http.MethodPost, "/v1/messages/count_tokens", map[string]string{"X-Api-Key": Key, "Anthropic-Version": "1"}, body)
	if err != nil || string(got) != `{"input_tokens":18}` {
		t.Errorf("%v: %s", err, got)
	}
	var count struct{ TotalTokens int }
	_, got, err = r.do(http.MethodPost, "/v1beta/models/gemini-x:countTokens?key="+Key, nil, `{"contents":[{"parts":[{"text":"0123456789"}]}]}`)
	if decode(t, got, &count); err != nil || count.TotalTokens != 12 {
		t.Errorf("%v: %s", err, got)
	}
}

func TestEmbeddings(t *testing.T) {
	for _, test := range []struct {
		name, rest   string
		inputs, size int
	}{
		{"text", `"input":"x"`, 1, 1536},
		{"texts", `"input":["x","y"],"dimensions":8`, 2, 8},
		{"packed", `"input":["x"],"encoding_format":"base64"`, 1, 1536},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, body, err := newRig(t).do(http.MethodPost, "/v1/embeddings", map[string]string{"Authorization": "Bearer " + Key}, `{"model":"text-embedding-3-small",`+test.rest+`}`)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Object string
				Data   []struct {
					Object    string
					Index     int
					Embedding json.RawMessage
				}
			}
			decode(t, body, &got)
			if got.Object != "list" || len(got.Data) != test.inputs || got.Data[test.inputs-1].Index != test.inputs-1 {
				t.Fatalf("got %s", body)
			}
			var packed string
			if json.Unmarshal(got.Data[0].Embedding, &packed) == nil {
				raw, err := base64.StdEncoding.DecodeString(packed)
				if err != nil || len(raw) != 4*test.size || test.name != "packed" {
					t.Errorf("%d bytes, %v", len(raw), err)
				}
				return
			}
			var vector []float32
			if decode(t, got.Data[0].Embedding, &vector); len(vector) != test.size {
				t.Errorf("%d numbers", len(vector))
			}
		})
	}
}

func TestTooLargeBody(t *testing.T) {
	for _, a := range apis()[:1] {
		body := strings.Repeat(" ", maxBody+1)
		response, got, err := newRig(t).do(http.MethodPost, a.path, a.header, body)
		// The server may close before the client has sent everything.
		if err == nil && (response.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(got), "request_too_large")) {
			t.Errorf("got %v: %s", response, got)
		}
	}
}

func TestServeEnds(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(Config{}).Serve(ctx, l) }()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if err := New(Config{}).Serve(t.Context(), l); err == nil {
		t.Error("a closed listener is served")
	}
}
