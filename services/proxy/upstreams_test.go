package proxy

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
)

// Each server of LLM_UPSTREAMS gets what is sent to its path, with its own key and nobody
// else's; the record names it.
func TestUpstreams(t *testing.T) {
	servers := make(map[string]*anyServer)
	url := func(name string) string {
		servers[name] = &anyServer{contentType: "application/json", answer: `{"object":"list","data":[{"id":"of ` + name + `"}]}`}
		server := httptest.NewServer(servers[name])
		t.Cleanup(server.Close)
		return server.URL
	}
	const keyA, keyB = "key-of-server-aaaaaaaaaaaa", "key-of-server-bbbbbbbbbbbb"
	r := newRig(t, func(c *Config) {
		c.LLM.APIBase = url("default")
		c.LLM.Upstreams = []string{
			"a=" + url("a") + "/openai/v1", "b:azure=" + url("b"), "c:anthropic=" + url("c") + "/anthropic", "d:no-stream-options=" + url("d"), "openai:no-stream-options",
		}
		c.LLM.UpstreamKeys = config.NewSecret("a=" + keyA + "\nb=" + keyB + "\n")
	})
	const chat, stream = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`, `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	tests := []struct{ method, path, body, server, target, header, key, provider, upstream string }{
		{"POST", "/up/a/v1/chat/completions", chat, "a", "/openai/v1/chat/completions", "Authorization", "Bearer " + keyA, "openai", "a"},
		{"GET", "/up/a/v1/models", "", "a", "/openai/v1/models", "Authorization", "Bearer " + keyA, "openai", "a"},
		{"POST", "/up/b/openai/deployments/mine/chat/completions?api-version=2024-10-21", chat, "b", "/openai/deployments/mine/chat/completions?api-version=2024-10-21", "Api-Key", keyB, "azure.ai.openai", "b"},
		{"POST", "/up/b/v1/chat/completions", chat, "b", "/openai/v1/chat/completions", "Api-Key", keyB, "azure.ai.openai", "b"},
		{"POST", "/up/c/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`, "c", "/anthropic/v1/messages", "X-Api-Key", "", "anthropic", "c"},
		{"POST", "/up/d/v1/chat/completions", stream, "d", "/v1/chat/completions", "Authorization", "", "openai", "d"},
		{"GET", "/v1/models", "", "default", "/v1/models", "", "", "anthropic", ""},
	}
	for i, tt := range tests {
		if tt.path == "/up/a/v1/models" { // nobody's key is shown
			servers["a"].answer = `{"object":"list","data":[],"echo":"` + keyA + ` ` + keyB + `"}`
		}
		got := r.send(tt.method, tt.path, map[bool]string{true: "application/json"}[tt.body != ""], tt.body, "Api-Key", "the-caller's")
		if got.status != 200 || strings.Contains(got.body, keyA) || strings.Contains(got.body, keyB) {
			t.Errorf("%s: %d %s", tt.path, got.status, got.body)
		}
		came := servers[tt.server].requests()
		last := came[len(came)-1]
		if last.target != tt.target || last.body != tt.body || tt.header != "" && last.header.Get(tt.header) != tt.key || last.header.Get("Api-Key") == "the-caller's" {
			t.Errorf("%s: server %s got %+v", tt.path, tt.server, last)
		}
		a := r.audits(2 * (i + 1))[2*i+1]
		if a.Upstream != tt.upstream || a.Provider != tt.provider || a.Decision != proto.DecisionAllowed {
			t.Errorf("%s: record %+v", tt.path, a)
		}
	}
	if got := r.send("POST", "/up/nobody/v1/chat/completions", "application/json", chat); got.status != 404 || !strings.Contains(got.body, "LLM_UPSTREAMS") {
		t.Errorf("%d %s", got.status, got.body)
	}
	// The key of one server is stopped on its way to another.
	if got := r.send("POST", "/up/d/v1/chat/completions", "application/json", strings.Replace(chat, "hi", keyA, 1)); got.status != 400 || !strings.Contains(got.body, "key-leak") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
