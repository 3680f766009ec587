package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

// newSolo starts a proxy without a bus, which keeps its records in memory, before
// a provider; nil is the usual one. The change alters its settings; it may be nil.
func newSolo(t *testing.T, provider http.Handler, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, provider: llmtest.New(llmtest.Config{})}
	if provider == nil {
		provider = r.provider
	}
	base := startServer(t, provider)
	if err := config.Load(&r.cfg, []string{
		"LLM_API_BASE=" + base, "LLM_API_KEY=" + llmtest.Key,
		"LLM_OPENAI_API_BASE=" + base, "LLM_OPENAI_API_KEY=" + llmtest.Key,
		"LLM_GEMINI_API_BASE=" + base, "LLM_GEMINI_API_KEY=" + llmtest.Key,
		"PROXY_AUDIT_DIR=" + filepath.Join(t.TempDir(), "audit"),
	}); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&r.cfg)
	}
	var err error
	if r.proxy, err = newProxy(r.cfg, daemon.Discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.proxy.close)
	r.proxy.records.spool = &memory{}
	r.url = startServer(t, r.proxy)
	return r
}

// memory takes records in place of the log.
type memory struct {
	mu     sync.Mutex
	audits []proto.Audit
	alerts []proto.Event
}

func (m *memory) AppendAudit(a *proto.Audit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.audits = append(m.audits, *a)
	return nil
}

func (m *memory) AppendAlert(e *proto.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alerts = append(m.alerts, *e)
	return nil
}

// final is the final record of a proxy's one request.
func (r *rig) final() (last proto.Audit) {
	r.t.Helper()
	m := r.proxy.records.spool.(*memory)
	bustest.Eventually(r.t, "there is a final record", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.audits) > 0 {
			last = m.audits[len(m.audits)-1]
		}
		return last.Phase == proto.PhaseEnd
	})
	return last
}

// naive is a rig whose proxy is a dozen lines, as they are often written: a
// reverse proxy that puts the key in, behind a guard that reads what users say.
func (th threat) naive(t *testing.T, provider http.Handler) *rig {
	r := &rig{t: t, provider: llmtest.New(llmtest.Config{})}
	if provider == nil {
		provider = r.provider
	}
	base, err := url.Parse(startServer(t, provider))
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		//lint:ignore SA1019 that is what makes it naive
		Director: func(r *http.Request) {
			r.URL.Scheme, r.URL.Host, r.Host = base.Scheme, base.Host, base.Host
			r.Header.Set("X-Api-Key", llmtest.Key)
		},
	}
	if th.guard == nil {
		r.url = startServer(t, forward)
		return r
	}
	guard := startGuard(t, th.guard)
	r.url = startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := naiveGuard(guard.url, r); refused != "" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"%s"}`, refused)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	return r
}

// naiveGuard returns why the guard refuses a request.
func naiveGuard(guard string, r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var request struct{ Messages []struct{ Role, Content any } }
	_ = json.Unmarshal(body, &request)
	texts := []string{}
	for _, m := range request.Messages {
		if text, ok := m.Content.(string); ok && m.Role == "user" {
			texts = append(texts, text)
		}
	}
	question, _ := json.Marshal(map[string]any{"messages": texts})
	response, err := http.Post(guard, "application/json", bytes.NewReader(question))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var verdict struct {
		Score  float64
		Reason string
	}
	_ = json.NewDecoder(response.Body).Decode(&verdict)
	if verdict.Score >= 0.8 {
		return verdict.Reason
	}
	return ""
}

func startServer(t *testing.T, h http.Handler) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// usual is an attack on the usual provider.
func usual(attack func(*rig) string) func(*testing.T) (http.Handler, func(*rig) string) {
	return func(*testing.T) (http.Handler, func(*rig) string) { return nil, attack }
}

// arrived says that something has reached the provider, if it has.
func (r *rig) arrived() string {
	if all := r.provider.Requests(); len(all) > 0 {
		return fmt.Sprintf("%d requests reached the provider, the first is %s %s %s", len(all), all[0].Method, all[0].Path, all[0].Body)
	}
	return ""
}

// raw sends bytes and returns what comes back until the connection is closed,
// which the bytes have to ask for.
func (r *rig) raw(wire string) string {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	// Should something wait for more, then the test does not wait for it for ever.
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, wire); err != nil {
		r.t.Fatal(err)
	}
	got, _ := io.ReadAll(c) // a reset is as good an end as any
	return string(got)
}

// wire is a Messages request as bytes; lines are further header lines.
func wire(target, host string, lines ...string) string {
	body := message(false, "hi")
	return "POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(lines, ""), "\r\n") +
		fmt.Sprintf("Content-Type: application/json\r\nAnthropic-Version: 2023-06-01\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
