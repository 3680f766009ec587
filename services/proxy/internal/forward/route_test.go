package forward_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

var all = []llmapi.Provider{llmapi.Anthropic, llmapi.OpenAI, llmapi.Gemini}

func newTable(t testing.TB, providers []llmapi.Provider, extra ...string) *forward.Table {
	t.Helper()
	table, err := forward.NewTable(services(providers), extra)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// services are those of providers, without names.
func services(providers []llmapi.Provider) []forward.Service {
	var all []forward.Service
	for _, p := range providers {
		all = append(all, forward.Service{Provider: p})
	}
	return all
}

// asked is a request as the server would hand it over.
func asked(method, target string, header http.Header) *http.Request {
	r := httptest.NewRequest(method, "http://localhost/", nil)
	r.RequestURI = target
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	if method == http.MethodPost && r.Header["Content-Type"] == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func TestMatch(t *testing.T) {
	table := newTable(t, all, "GET /v1/messages/batches/{id}/report")
	version := http.Header{"Anthropic-Version": {"2023-06-01"}}
	tests := []struct {
		method, target string
		header         http.Header
		provider       llmapi.Provider
		api            llmapi.API
		model          string
		stream         bool
	}{
		{"POST", "/v1/messages", version, llmapi.Anthropic, llmapi.Messages, "", false},
		{"POST", "//v1/chat/completions", nil, llmapi.OpenAI, llmapi.ChatCompletions, "", false},
		{"POST", "/v1/messages?beta=true", nil, llmapi.Anthropic, llmapi.Messages, "", false},
		{"POST", "/v1/messages/count_tokens", version, llmapi.Anthropic, llmapi.CountTokens, "", false},
		{"GET", "/v1/messages/batches/msgbatch_1/report", version, llmapi.Anthropic, llmapi.None, "", false},
		{"GET", "/v1/files/f/content", version, llmapi.Anthropic, llmapi.Results, "", false},
		{"GET", "/v1/files/f/content", nil, llmapi.OpenAI, llmapi.Results, "", false},
		{"GET", "/v1beta/files/f:download?alt=media", nil, llmapi.Gemini, llmapi.Results, "", false},
		{"GET", "/v1/models", version, llmapi.Anthropic, llmapi.None, "", false},
		{"GET", "/v1/models?limit=5&after_id=x", version, llmapi.Anthropic, llmapi.None, "", false},
		{"GET", "/v1/models/claude-opus-4", version, llmapi.Anthropic, llmapi.None, "claude-opus-4", false},
		{"GET", "/v1/models", nil, llmapi.Anthropic, llmapi.None, "", false},
		{"POST", "/v1/chat/completions", nil, llmapi.OpenAI, llmapi.ChatCompletions, "", false},
		{"POST", "/v1/responses", nil, llmapi.OpenAI, llmapi.Responses, "", false},
		{"POST", "/v1/embeddings", nil, llmapi.OpenAI, llmapi.Embeddings, "", false},
		{"POST", "/v1beta/models/gemini-2.5-pro:generateContent", nil, llmapi.Gemini, llmapi.GenerateContent, "gemini-2.5-pro", false},
		{"POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", nil, llmapi.Gemini, llmapi.GenerateContent, "gemini-2.5-pro", true},
		{"POST", "/v1beta/models/gemini-2.5-pro:countTokens", nil, llmapi.Gemini, llmapi.GenerateContent, "gemini-2.5-pro", false},
		{"GET", "/v1beta/models?pageSize=3", nil, llmapi.Gemini, llmapi.None, "", false},
		{"POST", "/v1/messages/batches", nil, llmapi.Anthropic, llmapi.Batches, "", false},
		{"GET", "/v1/messages/batches/msgbatch_1/results", version, llmapi.Anthropic, llmapi.Results, "", false},
		{"POST", "/v1/models/gemini-2.5-pro:generateContent", nil, llmapi.Gemini, llmapi.GenerateContent, "gemini-2.5-pro", false},
		{"POST", "/v1alpha/models/gemini-2.5-pro:streamGenerateContent?alt=sse", nil, llmapi.Gemini, llmapi.GenerateContent, "gemini-2.5-pro", true},
		{"GET", "/v1/models/ft:gpt-5:org::1", nil, llmapi.Anthropic, llmapi.None, "ft:gpt-5:org::1", false},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			route, refusal := table.Match(asked(test.method, test.target, test.header))
			if refusal != nil {
				t.Fatalf("refused: %+v", *refusal)
			}
			if route.Provider != test.provider || route.API != test.api || route.Model != test.model || route.Stream != test.stream {
				t.Errorf("got %+v", route)
			}
		})
	}
}

func TestMatchRefuses(t *testing.T) {
	table := newTable(t, all)
	tests := []struct {
		name, method, target string
		header               http.Header
		status               int
	}{
		{"encoded dots", "POST", "/v1/%2e%2e/%2e%2e/admin%3fx=1", nil, 400},
		{"dot segments", "POST", "/v1/../v1/messages", nil, 400},
		{"one dot", "POST", "/v1/./messages", nil, 400},
		{"trailing dots", "GET", "/v1/models/..", nil, 400},
		{"encoded slash", "GET", "/v1/models/a%2fb", nil, 400},
		{"encoded backslash", "GET", "/v1/models/a%5cb", nil, 400},
		{"backslash", "GET", `/v1\models`, nil, 400},
		{"needless escape", "POST", "/v1/%6dessages", nil, 400},
		{"encoded zero", "POST", "/v1/messages%00", nil, 400},
		{"parameters", "POST", "/v1/messages;x=1", nil, 400},
		{"another host", "POST", "//evil.test/v1/messages", nil, 404},
		{"double slash inside", "POST", "/v1//messages", nil, 400},
		{"trailing slash", "POST", "/v1/messages/", nil, 400},
		{"absolute form", "POST", "http://evil.test/v1/messages", nil, 400},
		{"authority form", "CONNECT", "api.anthropic.com:443", nil, 400},
		{"asterisk form", "OPTIONS", "*", nil, 400},
		{"empty", "POST", "", nil, 400},
		{"fragment", "POST", "/v1/messages#x", nil, 400},
		{"control byte", "POST", "/v1/messages\x01", nil, 400},
		{"not ASCII", "GET", "/v1/models/é", nil, 400},
		{"too long", "GET", "/v1/models/" + strings.Repeat("a", 5000), nil, 400},
		{"two verbs", "POST", "/v1beta/models/a:countTokens:generateContent", nil, 404},
		{"no model", "POST", "/v1beta/models/:generateContent", nil, 404},
		{"model with a slash", "POST", "/v1beta/models/a/b:generateContent", nil, 404},
		{"unlisted", "POST", "/v1/evals", nil, 404},
		{"deeper", "GET", "/v1/responses/resp_1/output/1", nil, 404},
		{"two verbs in an id", "GET", "/v1/responses/a:b/input_items", nil, 404},
		{"case", "POST", "/V1/messages", nil, 404},
		{"method", "GET", "/v1/messages", nil, 404},
		{"HEAD", "HEAD", "/v1/models", nil, 404},
		{"OPTIONS", "OPTIONS", "/v1/messages", nil, 404},
		{"unknown parameter", "POST", "/v1/messages?callback=x", nil, 400},
		{"parameter twice", "POST", "/v1beta/models/a:streamGenerateContent?alt=sse&alt=json", nil, 400},
		{"binary answer", "POST", "/v1beta/models/a:generateContent?alt=proto", nil, 400},
		{"answer in another form", "POST", "/v1beta/models/a:generateContent?%24alt=proto", nil, 400},
		{"query with a semicolon", "POST", "/v1/messages?beta=true;key=x", nil, 400},
		{"query with a bad escape", "POST", "/v1/messages?beta=%zz", nil, 400},
		{"WebSocket", "GET", "/v1/models", http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}, 501},
		{"no content type", "POST", "/v1/messages", http.Header{"Content-Type": {}}, 415},
		{"text", "POST", "/v1/messages", http.Header{"Content-Type": {"text/plain"}}, 415},
		{"UTF-16", "POST", "/v1/messages", http.Header{"Content-Type": {"application/json; charset=utf-16"}}, 415},
		{"two content types", "POST", "/v1/messages", http.Header{"Content-Type": {"application/json", "text/plain"}}, 415},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			route, refusal := table.Match(asked(test.method, test.target, test.header))
			if refusal == nil {
				t.Fatalf("matched %+v", route)
			}
			if refusal.Status != test.status || refusal.Message == "" {
				t.Errorf("got %+v", *refusal)
			}
			if route.Provider == "" {
				t.Error("no provider in whose form to answer")
			}
		})
	}
}

// A parameter passes where its API documents it, and nowhere else.
func TestQueryParameters(t *testing.T) {
	table := newTable(t, all, "GET /v1/evals", "GET /v1/vector_stores?after&filter[]")
	tests := []struct{ method, target, sent string }{
		{"POST", "/v1/messages?beta=true", "/v1/messages?beta=true"},
		{"POST", "/v1/messages?after=x", ""},
		{"POST", "/v1/chat/completions?beta=true", ""},
		{"GET", "/v1/models?limit=5&after_id=x", "/v1/models?after_id=x&limit=5"},
		{"POST", "/v1beta/models/m:generateContent?%24alt=json%3Benum-encoding%3Dint", "/v1beta/models/m:generateContent?%24alt=json%3Benum-encoding%3Dint"},
		{"POST", "/v1beta/models/m:streamGenerateContent?alt=sse;enum-encoding=int", ""}, // a semicolon that is not escaped
		{"POST", "/v1beta/models/m:generateContent?%24alt=proto", ""},
		{"POST", "/v1beta/models/m:generateContent?%24alt=json&alt=sse", ""},
		{"POST", "/v1beta/models/m:generateContent?callback=x", ""},
		{"GET", "/v1beta/models?pageSize=3&key=caller", "/v1beta/models?pageSize=3"},
		{"GET", "/v1/evals?order=asc&pageSize=3&callback=x", ""},
		{"GET", "/v1/evals?after=x&limit=3", "/v1/evals?after=x&limit=3"},
		{"GET", "/v1/vector_stores?after=x&filter[]=a&filter[]=b&filter=c", "/v1/vector_stores?after=x&filter=c&filter%5B%5D=a&filter%5B%5D=b"},
		{"GET", "/v1/responses/resp_1?stream=true&starting_after=42", "/v1/responses/resp_1?starting_after=42&stream=true"},
		{"GET", "/v1/responses/resp_1?include[]=reasoning.encrypted_content&include[]=x", "/v1/responses/resp_1?include%5B%5D=reasoning.encrypted_content&include%5B%5D=x"},
		{"GET", "/v1/responses/resp_1/input_items?order=asc", "/v1/responses/resp_1/input_items?order=asc"},
		{"POST", "/v1/responses?order=asc", ""},
		{"GET", "/v1/vector_stores?limit=1", ""},
		{"GET", "/v1/vector_stores?after=x&after=y", ""},
	}
	for _, test := range tests {
		t.Run(test.target, func(t *testing.T) {
			route, refusal := table.Match(asked(test.method, test.target, nil))
			switch {
			case refusal == nil && test.sent == "", refusal != nil && (test.sent != "" || refusal.Status != 400):
				t.Errorf("refused with %v", refusal)
			case refusal == nil && forward.TargetOf(route) != test.sent:
				t.Errorf("goes upstream as %s", forward.TargetOf(route))
			}
		})
	}
}

// A path of one provider's API never goes to another, whichever is the default one.
func TestAPathGoesToItsProvider(t *testing.T) {
	version := http.Header{"Anthropic-Version": {"2023-06-01"}}
	extra := []string{"POST /v1/fine_tuning/jobs", "POST /upload/v1beta/files", "anthropic GET /v1/organizations/me", "POST /v1/messages"}
	tests := []struct {
		method, target string
		header         http.Header
		want           llmapi.Provider // empty for none
	}{
		{"POST", "/v1/fine_tuning/jobs", nil, llmapi.OpenAI},
		{"POST", "/v1/fine_tuning/jobs", version, llmapi.Anthropic},
		{"POST", "/upload/v1beta/files", nil, llmapi.Gemini},
		{"GET", "/v1/organizations/me", nil, llmapi.Anthropic},
		{"POST", "/v1/messages", nil, llmapi.Anthropic},
	}
	for _, first := range all {
		providers := []llmapi.Provider{first}
		for _, other := range all {
			if other != first {
				providers = append(providers, other)
			}
		}
		table := newTable(t, providers, extra...)
		for _, test := range tests {
			route, refusal := table.Match(asked(test.method, test.target, test.header))
			if refusal != nil || route.Provider != test.want {
				t.Errorf("default %s: %s %s goes to %s, %v", first, test.method, test.target, route.Provider, refusal)
			}
		}
	}
	alone := newTable(t, []llmapi.Provider{llmapi.Anthropic}, "POST /v1/complete")
	if route, refusal := alone.Match(asked("POST", "/v1/complete", nil)); refusal != nil || route.Provider != llmapi.Anthropic {
		t.Errorf("with one provider: %s, %v", route.Provider, refusal)
	}
}

func TestMatchRefusesABodyThatNobodyReads(t *testing.T) {
	r := asked("GET", "/v1/models", nil)
	r.ContentLength = -1 // chunked
	if _, refusal := newTable(t, all).Match(r); refusal == nil || refusal.Status != 400 {
		t.Errorf("got %+v", refusal)
	}
}

func TestMatchIgnoresAnOfferOfH2C(t *testing.T) {
	header := http.Header{"Upgrade": {"h2c"}, "Connection": {"Upgrade, HTTP2-Settings"}, "Http2-Settings": {"AAMAAABkAAQAoAAAAAIAAAAA"}}
	if _, refusal := newTable(t, all).Match(asked("POST", "/v1/messages", header)); refusal != nil {
		t.Errorf("refused: %+v", *refusal)
	}
}

func TestSharedRoutesAndRefusalsGoToTheLikelyProvider(t *testing.T) {
	version := http.Header{"Anthropic-Version": {"2023-06-01"}}
	tests := []struct {
		name      string
		providers []llmapi.Provider
		target    string
		header    http.Header
		want      llmapi.Provider
	}{
		{"by header", []llmapi.Provider{llmapi.OpenAI, llmapi.Anthropic}, "/v1/models", version, llmapi.Anthropic},
		{"default", []llmapi.Provider{llmapi.OpenAI, llmapi.Anthropic}, "/v1/models", nil, llmapi.OpenAI},
		{"default, other order", []llmapi.Provider{llmapi.Anthropic, llmapi.OpenAI}, "/v1/models", nil, llmapi.Anthropic},
		{"the first that has it", []llmapi.Provider{llmapi.Gemini, llmapi.OpenAI, llmapi.Anthropic}, "/v1/models", nil, llmapi.OpenAI},
		{"header of one that is not configured", []llmapi.Provider{llmapi.OpenAI}, "/v1/models", version, llmapi.OpenAI},
		{"refused by header", all, "/v1/x", version, llmapi.Anthropic},
		{"refused by path", all, "/v1beta/x", nil, llmapi.Gemini},
		{"refused by default", []llmapi.Provider{llmapi.OpenAI, llmapi.Gemini}, "/v1/x", nil, llmapi.OpenAI},
		{"refused on a known route", all, "/v1beta/models?fields=x", nil, llmapi.Gemini},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			route, _ := newTable(t, test.providers).Match(asked("GET", test.target, test.header))
			if route.Provider != test.want {
				t.Errorf("got %s, want %s", route.Provider, test.want)
			}
		})
	}
}

func TestARouteOfAProviderThatIsNotConfiguredIsNone(t *testing.T) {
	table := newTable(t, []llmapi.Provider{llmapi.Anthropic})
	if _, refusal := table.Match(asked("POST", "/v1/chat/completions", nil)); refusal == nil || refusal.Status != 404 {
		t.Errorf("got %+v", refusal)
	}
}

func TestNewTableFaults(t *testing.T) {
	for _, extra := range []string{"", "/v1/x", "post /v1/x", "POST v1/x", "POST /v1/../x", "POST /v1/{a}{b}", "POST /v1/{a", "POST /v1/%41", "POST /v1/x?", "POST /v1/x?y=1", "POST /v1/x?key", "POST /v1/x}", "POST /v1/{}", "mistral POST /v1"} {
		t.Run(extra, func(t *testing.T) {
			if _, err := forward.NewTable(services(all), []string{extra}); err == nil {
				t.Error("accepted")
			}
		})
	}
	if _, err := forward.NewTable(services([]llmapi.Provider{llmapi.Anthropic}), []string{"POST /v1/responses"}); err == nil {
		t.Error("accepted a route of a provider that is not configured")
	}
	if _, err := forward.NewTable([]forward.Service{{Name: "groq", Provider: llmapi.OpenAI}}, nil); err == nil {
		t.Error("accepted a table without a provider")
	}
}

// FuzzMatch asserts what every target that is let through has in common.
func FuzzMatch(f *testing.F) {
	for _, seed := range []string{
		"/v1/messages", "/v1/messages?beta=true", "/v1/models/a.b", "/v1/models/..", "/v1/%2e%2e/x", "//evil/v1/messages",
		"/v1beta/models/m:streamGenerateContent?alt=sse&key=secret", "/v1/models?KEY=a&limit=%31", "http://x/v1/models",
	} {
		f.Add(seed)
	}
	table := newTable(f, all)
	f.Fuzz(func(t *testing.T, target string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			route, refusal := table.Match(asked(method, target, nil))
			if refusal != nil {
				continue
			}
			sent := forward.TargetOf(route)
			path, query, _ := strings.Cut(sent, "?")
			if want, _, _ := strings.Cut(target, "?"); path != "/"+strings.TrimLeft(want, "/") {
				t.Errorf("%q goes upstream as %q", target, sent)
			}
			if strings.ContainsAny(path, "%\\;?# ") || strings.Contains(path, "//") || strings.Contains(path+"/", "/../") {
				t.Errorf("path %q", path)
			}
			for pair := range strings.SplitSeq(query, "&") {
				name, _, _ := strings.Cut(pair, "=")
				if name = strings.ReplaceAll(name, "%24", "$"); name != "" && !slices.Contains(forward.Parameters(), name) {
					t.Errorf("query %q", query)
				}
			}
		}
	})
}
