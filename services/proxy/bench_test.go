package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// BenchmarkHandler is what the proxy itself does to a request whose history it
// has seen: neither sockets to the client nor NATS are in it. What a provider and
// the network cost is measured by services/testing/bench/proxy.
func BenchmarkHandler(b *testing.B) {
	for _, turns := range []int{1, 200} {
		b.Run(fmt.Sprintf("%d turns", turns), func(b *testing.B) { benchmarkHandler(b, turns) })
	}
}

func benchmarkHandler(b *testing.B, turns int) {
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
	var history strings.Builder
	for n := range turns {
		fmt.Fprintf(&history, `{"role":"user","content":%q},{"role":"assistant","content":"nothing"},`, fmt.Sprint(n, strings.Repeat("what is new in my\n\tnotes? ", 40)))
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		body := fmt.Sprintf(`{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[%s{"role":"user","content":"go on with step %d"}]}`, history.String(), n)
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
