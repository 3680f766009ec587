package forward_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

var named = []forward.Service{
	{Provider: llmapi.Anthropic},
	{Provider: llmapi.OpenAI},
	{Name: "groq", Provider: llmapi.OpenAI},
	{Name: "office", Provider: llmapi.OpenAI, Azure: true},
	{Name: "zai", Provider: llmapi.Anthropic},
}

// A path that begins with /up/NAME goes to that service, without that beginning.
func TestMatchServices(t *testing.T) {
	table, err := forward.NewTable(named, []string{"groq POST /v1/rerank?x", "office GET /openai/threads/{id}"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ method, target, upstream, sent, model string }{
		{"POST", "/v1/chat/completions", "", "/v1/chat/completions", ""},
		{"POST", "/up/groq/v1/chat/completions", "groq", "/v1/chat/completions", ""},
		{"POST", "//up/groq/v1/embeddings", "groq", "/v1/embeddings", ""},
		{"GET", "/up/groq/v1/models", "groq", "/v1/models", ""},
		{"GET", "/up/zai/v1/models", "zai", "/v1/models", ""},
		{"POST", "/up/zai/v1/messages?beta=true", "zai", "/v1/messages?beta=true", ""},
		{"POST", "/up/groq/v1/rerank?x=1", "groq", "/v1/rerank?x=1", ""},
		{"POST", "/up/office/openai/deployments/mine/chat/completions?api-version=2024-10-21", "office", "/openai/deployments/mine/chat/completions?api-version=2024-10-21", "mine"},
		{"POST", "/up/office/openai/responses?api-version=preview", "office", "/openai/responses?api-version=preview", ""},
		{"POST", "/up/office/openai/v1/responses", "office", "/openai/v1/responses", ""},
		{"POST", "/up/office/v1/responses", "office", "/v1/responses", ""},
		{"GET", "/up/office/openai/threads/t?api-version=1", "office", "/openai/threads/t?api-version=1", ""},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.target, "/", "|"), func(t *testing.T) {
			// Whose client asks changes nothing.
			route, refusal := table.Match(asked(tt.method, tt.target, http.Header{"Anthropic-Version": {"2023-06-01"}}))
			if refusal != nil {
				t.Fatal(refusal)
			}
			if sent := forward.TargetOf(route); route.Upstream != tt.upstream || sent != tt.sent || route.Model != tt.model {
				t.Errorf("%q gets %s for model %q", route.Upstream, sent, route.Model)
			}
		})
	}
	for target, status := range map[string]int{
		"/up/groq/v1/messages":                                       404, // not its API
		"/up/zai/v1/chat/completions":                                404,
		"/up/mistral/v1/chat/completions":                            404,
		"/up/openai/v1/chat/completions":                             404, // has the paths without a prefix
		"/up/groq":                                                   404,
		"/up/groq/v1/../../up/zai":                                   400,
		"/up/groq/openai/deployments/m/chat/completions":             404, // not Azure
		"/v1/chat/completions?api-version=1":                         400,
		"/up/groq/v1/chat/completions?api-version=1":                 400,
		"/up/office/openai/deployments/a/b/chat/completions":         404,
		"/up/office/openai/deployments/m/files?api-version=1":        404,
		"/up/office/v1/chat/completions?api-version=1&api-version=2": 400,
		"/up/groq/up/office/v1/chat/completions":                     404,
		"/v1/rerank":                                                 404,
	} {
		t.Run(strings.ReplaceAll(target, "/", "|"), func(t *testing.T) {
			if _, refusal := table.Match(asked("POST", target, nil)); refusal == nil || refusal.Status != status {
				t.Errorf("got %+v, want %d", refusal, status)
			}
		})
	}
}

// Azure OpenAI has a header of its own for the key, and its paths below /openai.
func TestAzure(t *testing.T) {
	table, err := forward.NewTable(named, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"https://mine.test", "https://mine.test/openai", "https://mine.test/openai/v1/"} {
		u, err := forward.NewUpstream(forward.UpstreamConfig{Provider: llmapi.OpenAI, Azure: true, Base: base, Key: config.NewSecret(testKey)})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		for target, want := range map[string]string{
			"/v1/chat/completions":                                          "https://mine.test/openai/v1/chat/completions",
			"/openai/v1/chat/completions":                                   "https://mine.test/openai/v1/chat/completions",
			"/openai/deployments/m/chat/completions?api-version=2024-10-21": "https://mine.test/openai/deployments/m/chat/completions?api-version=2024-10-21",
		} {
			route, refusal := table.Match(asked("POST", "/up/office"+target, nil))
			if refusal != nil {
				t.Fatal(refusal)
			}
			if got := u.Target(route); got != want {
				t.Errorf("of %s, %s goes to %s", base, target, got)
			}
		}
		header := make(http.Header)
		u.Authenticate(header)
		if header.Get("Api-Key") != testKey || len(header) != 1 {
			t.Errorf("header %v", header)
		}
	}
}
