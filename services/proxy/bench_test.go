package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// BenchmarkHandler is what the proxy itself does to a request of 1 KiB: neither
// sockets to the client nor NATS are in it. What a provider and the network cost
// is measured by internal/benchproxy.
func BenchmarkHandler(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":2}}`)
	}))
	defer upstream.Close()
	var cfg Config
	if err := config.Load(&cfg, []string{"LLM_API_BASE=" + upstream.URL, "LLM_API_KEY=sk-ant-api03-0123456789", "OPENCLAW_HOST=box1", "PROXY_AUDIT_DIR=" + b.TempDir(), "PROXY_AUDIT_MAX_BYTES=1099511627776"}); err != nil {
		b.Fatal(err)
	}
	p, err := newProxy(cfg, daemon.Discard())
	if err != nil {
		b.Fatal(err)
	}
	defer p.close()
	body := message(false, strings.Repeat("what is new in my notes? ", 40))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/messages", strings.NewReader(body))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Anthropic-Version", "2023-06-01")
		w := httptest.NewRecorder()
		p.ServeHTTP(deadlined{w}, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

// deadlined takes deadlines, which a recorder does not.
type deadlined struct{ *httptest.ResponseRecorder }
