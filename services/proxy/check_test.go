package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/checktest"
)

func TestCheckHealth(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, test := range []struct {
		name    string
		status  int // 0: nothing replies
		body    string
		assumed bool
		state   check.State
		part    string // of the text
	}{
		{"healthy", 200, `{"status":"healthy","guard_enabled":true,"llm_api_base":"https://api.example"}`, false, check.Good, "healthy, forwards to https://api.example, guard enabled"},
		{"not healthy", 503, `{"status":"starting","guard_enabled":false}`, false, check.Fault, "starting"},
		{"something else", 200, `{"status":"healthy"}`, false, check.Fault, "is not the proxy"},
		{"gone", 0, "", false, check.Fault, "the agent has no model"},
		{"perhaps elsewhere", 0, "", true, check.Warning, "DOCTOR_PROXY"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := gone.URL
			if test.status != 0 {
				mux := http.NewServeMux()
				mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(test.status)
					_, _ = w.Write([]byte(test.body))
				})
				server := httptest.NewServer(mux)
				defer server.Close()
				at = server.URL
			}
			c := service.Checkup{Deployment: service.Deployment{Environ: []string{"DOCTOR_PROXY=" + at}}}
			if test.assumed {
				keys := []string{"LLM_API_KEY=x", "LLM_OPENAI_API_KEY=x"}
				c = service.Checkup{Embedded: true, Deployment: service.Deployment{Environ: append(keys, "PROXY_ADDR="+strings.TrimPrefix(at, "http://"))}}
			}
			found := checkup(t.Context(), c)
			if len(found) != 1 || found[0].Subject != "health" || found[0].State != test.state || !strings.Contains(found[0].Text, test.part) {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestCheckNamedWrongly(t *testing.T) {
	found := checkup(t.Context(), service.Checkup{Deployment: service.Deployment{Environ: []string{"DOCTOR_PROXY=ftp://box"}}})
	checktest.Compare(t, found, checktest.Want("health", check.Fault, "DOCTOR_PROXY"))
}

func TestLastRequest(t *testing.T) {
	r := checktest.New(t)
	last := func() []check.Finding { return checkup(t.Context(), service.Checkup{Bus: r.Read(0)}) }
	record := func(decision proto.Decision, reason string) {
		a := &proto.Audit{Host: bustest.Host, Source: Role, Kind: "request", Decision: decision, Reason: reason}
		r.Store(Role, a.Subject().Ingest(), a, nil)
	}
	checktest.Compare(t, last(), checktest.Want("last request", check.Good, "none yet"))
	record(proto.DecisionAllowed, "")
	checktest.Compare(t, last(), checktest.Want("last request", check.Good, "allowed"))
	record(proto.DecisionRefused, "the security proxy has no key for anthropic: set LLM_API_KEY")
	checktest.Compare(t, last(), checktest.Want("last request", check.Warning, "set LLM_API_KEY"))
}

// TestCheckKeys: a provider that refuses requests without a key has none. The
// key of the other is not shown.
func TestCheckKeys(t *testing.T) {
	const secret = "sk-0123456789"
	found := checkup(t.Context(), service.Checkup{
		Embedded:   true,
		Deployment: service.Deployment{Environ: []string{"LLM_OPENAI_API_KEY=" + secret, "PROXY_ADDR=127.0.0.1:0"}},
	})
	if len(found) != 1 || found[0].Subject != "anthropic" || found[0].State != check.Warning || !strings.Contains(found[0].Text, "LLM_API_KEY is not set") || strings.Contains(found[0].Text, secret) {
		t.Errorf("found %+v", found)
	}
}
