// Package sdktest has the vendors' own client libraries talk to providers through
// the LLM proxy. It is a module of its own, so that what they need is none of the
// product's.
//
//	SDK ─▶ proxy ─▶ a stand-in for the provider
//	         └─▶ NATS ─▶ records, alerts
package sdktest

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
	"github.com/openclaw-security/bus/services/testing/proxytest"
	"github.com/openclaw-security/bus/services/testing/standin"
)

// patience bounds a test's waiting.
const patience = time.Minute

// noKey is what the clients have in place of a key. The stand-ins take no other than
// the proxy's.
const noKey = "none"

// rig is a proxy before a provider.
type rig struct {
	t       *testing.T
	url     string
	journal *proxytest.Journal
}

// newRig starts a proxy that forwards to provider, whichever API is asked for.
func newRig(t *testing.T, provider http.Handler, settings ...string) *rig {
	t.Helper()
	base := standin.Start(t, func(ctx context.Context, l net.Listener) error { return standin.Serve(ctx, l, provider, nil) })
	b := bustest.Start(t)
	environ := append([]string{
		"LLM_API_BASE=" + base, "LLM_API_KEY=" + llmtest.Key,
		"LLM_OPENAI_API_BASE=" + base, "LLM_OPENAI_API_KEY=" + llmtest.Key,
		"LLM_GEMINI_API_BASE=" + base, "LLM_GEMINI_API_KEY=" + llmtest.Key,
		"OPENCLAW_HOST=" + bustest.Host, "NATS_URL=" + b.URL(), "NATS_NKEY_SEED=" + b.Seed(t, proxy.Role),
		"PROXY_AUDIT_DIR=" + filepath.Join(t.TempDir(), "records"),
	}, settings...)
	p, err := proxytest.Start(t.Context(), environ)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("the proxy has ended with %v", err)
		}
	})
	return &rig{t: t, url: p.URL, journal: proxytest.Open(t.Context(), b.Conn(t, bus.RoleTail))}
}

// record is the final record of the request that a response is the answer to.
func (r *rig) record(response http.Header) proto.Audit {
	r.t.Helper()
	return *r.entry(response, proxytest.Ended).End
}

// entry is what there is of that request, once it is enough.
func (r *rig) entry(response http.Header, enough func(proxytest.Entry) bool) proxytest.Entry {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	e, err := r.journal.Await(ctx, response.Get(proxytest.HeaderRequestID), enough)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// alerted is a final record and an alert.
func alerted(e proxytest.Entry) bool { return e.End != nil && len(e.Alerts) > 0 }

// routes answers requests by method and path, as [http.ServeMux] has them, and keeps what
// came. A request without the proxy's key is refused, as providers do.
type routes struct {
	mux *http.ServeMux

	mu   sync.Mutex
	came []call
}

// call is a request as the provider got it.
type call struct {
	Method, URI string
	Header      http.Header
	Body        string
}

// newRoutes answers with JSON, or with the function that stands for it.
func newRoutes(answers map[string]any) *routes {
	p := &routes{mux: http.NewServeMux()}
	for pattern, answer := range answers {
		switch a := answer.(type) {
		case string:
			p.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, a)
			})
		case func(http.ResponseWriter, *http.Request):
			p.mux.HandleFunc(pattern, a)
		}
	}
	return p
}

// ServeHTTP implements [http.Handler].
func (p *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	p.came = append(p.came, call{r.Method, r.RequestURI, r.Header.Clone(), string(body)})
	p.mu.Unlock()
	key := r.Header.Get("X-Api-Key") + r.Header.Get("X-Goog-Api-Key") + r.Header.Get("Authorization")
	if key != llmtest.Key && key != "Bearer "+llmtest.Key {
		http.Error(w, `{"error":{"type":"authentication_error","message":"a wrong key"}}`, http.StatusUnauthorized)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// last is the latest request.
func (p *routes) last(t *testing.T) call {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.came) == 0 {
		t.Fatal("nothing came to the provider")
	}
	return p.came[len(p.came)-1]
}
