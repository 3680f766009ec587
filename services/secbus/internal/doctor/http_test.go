package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

// answering serves one answer to whatever is asked at path.
func answering(t *testing.T, path string, status int, body string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		if _, err := w.Write([]byte(body)); err != nil {
			t.Logf("answering: %v", err) // whoever asked reads no more
		}
	})
	mux.HandleFunc("GET /elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestServices(t *testing.T) {
	ready := answering(t, "/readyz", 200, `{"ready":true,"conditions":[{"name":"nats","ready":true},{"name":"file","ready":true}]}`)
	notReady := answering(t, "/readyz", 503, `{"ready":false,"conditions":[{"name":"file","ready":false,"reason":"eve.json does not exist yet"},{"name":"nats","ready":true},{"name":"publish","ready":false,"reason":"fenced"}]}`)
	silent := answering(t, "/readyz", 503, `{"ready":false,"conditions":[]}`)
	foreign := answering(t, "/readyz", 200, `{"hello":1}`)
	html := answering(t, "/readyz", 404, `<html>`)
	moved := answering(t, "/readyz", 302, ``)
	endless := answering(t, "/readyz", 200, `"`+strings.Repeat("x", 2*answerLimit)+`"`)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	c := &checkup{Options: Options{Services: []Endpoint{
		{Name: "ready", URL: ready},
		{Name: "not ready", URL: notReady},
		{Name: "silent", URL: silent},
		{Name: "foreign", URL: foreign},
		{Name: "html", URL: html},
		{Name: "moved", URL: moved},
		{Name: "endless", URL: endless},
		{Name: "gone", URL: gone.URL},
		{Name: "perhaps", URL: gone.URL, Assumed: true},
	}}}
	check(t, c.services(t.Context()),
		want{"ready", Good, "ready: 2 conditions hold"},
		want{"not ready", Fault, "file is not ready: eve.json does not exist yet"},
		want{"not ready", Fault, "publish is not ready: fenced"},
		want{"silent", Fault, "does not say why"},
		want{"foreign", Warning, "no service of the bus"},
		want{"html", Fault, "HTTP status 404"},
		want{"moved", Fault, "HTTP status 302"},
		want{"endless", Fault, "reading the answer"},
		want{"gone", Fault, "is it running?"},
		want{"perhaps", Warning, "--admin"},
	)
}

func TestJudgeProxy(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, test := range []struct {
		name string
		at   Endpoint
		want want
	}{
		{"healthy", Endpoint{URL: answering(t, "/health", 200, `{"status":"healthy","guard_enabled":true,"llm_api_base":"https://api.example"}`)}, want{"health", Good, "healthy, forwards to https://api.example, guard enabled"}},
		{"not healthy", Endpoint{URL: answering(t, "/health", 503, `{"status":"starting","guard_enabled":false}`)}, want{"health", Fault, "starting"}},
		{"something else", Endpoint{URL: answering(t, "/health", 200, `{"status":"healthy"}`)}, want{"health", Fault, "is not the proxy"}},
		{"gone", Endpoint{URL: gone.URL}, want{"health", Fault, "the agent has no model"}},
		{"perhaps elsewhere", Endpoint{URL: gone.URL, Assumed: true}, want{"health", Warning, "--proxy"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &checkup{Options: Options{Proxy: &test.at}}
			check(t, c.proxy(t.Context()), test.want)
		})
	}
}

// TestProxyKeys: a provider that refuses requests without a key has none. The
// key of the other is not shown.
func TestProxyKeys(t *testing.T) {
	const secret = "sk-0123456789"
	llm := config.LLM{APIProvider: "anthropic", OpenAIKey: config.NewSecret(secret)}
	c := &checkup{Options: Options{Providers: llm.Endpoints()}}
	check(t, c.proxy(t.Context()), want{"anthropic", Warning, "LLM_API_KEY is not set"})
}

// TestAnswersInTime: what does not answer holds nothing up.
func TestAnswersInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // as the hop's timeout would
		<-r.Context().Done()
	}))
	defer stuck.Close()
	c := &checkup{Options: Options{Services: []Endpoint{{Name: "stuck", URL: stuck.URL}}}}
	check(t, c.services(ctx), want{"stuck", Fault, "context canceled"})
}
