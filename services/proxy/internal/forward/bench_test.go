package forward_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// BenchmarkForward compares this package with a bare httputil.ReverseProxy, by
// the size of the request's body, over real connections.
func BenchmarkForward(b *testing.B) {
	event := strings.Repeat("data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"some words\"}}\n\n", 20)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, event)
	}))
	defer upstream.Close()
	base, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}

	u, err := forward.NewUpstream(forward.UpstreamConfig{Provider: llmapi.Anthropic, Base: upstream.URL, Key: config.NewSecret(testKey)})
	if err != nil {
		b.Fatal(err)
	}
	defer u.Close()
	table := newTable(b, all)
	proxies := map[string]http.Handler{
		"forward": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			route, refusal := table.Match(r)
			if refusal != nil {
				b.Errorf("refused: %+v", *refusal)
				return
			}
			body, _ := forward.ReadBody(w, r, 1<<20, new(room))
			u.Forward(w, r, forward.Exchange{Route: route, Body: body})
		}),
		"ReverseProxy": &httputil.ReverseProxy{
			FlushInterval: -1,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true},
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(base) },
		},
	}
	for _, size := range []int{1 << 10, 200 << 10} {
		body := bytes.Repeat([]byte("x"), size)
		for name, handler := range proxies {
			b.Run(name+"/"+map[bool]string{true: "1KiB", false: "200KiB"}[size == 1<<10], func(b *testing.B) {
				proxy := httptest.NewServer(handler)
				defer proxy.Close()
				b.ReportAllocs()
				for b.Loop() {
					response, err := http.Post(proxy.URL+"/v1/messages", "application/json", bytes.NewReader(body))
					if err != nil {
						b.Fatal(err)
					}
					if n, err := io.Copy(io.Discard, response.Body); err != nil || int(n) != len(event) {
						b.Fatalf("%d bytes, %v", n, err)
					}
					response.Body.Close()
				}
			})
		}
	}
}
