package httpserve_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/internal/httpserve"
)

func TestHosts(t *testing.T) {
	hosts, err := httpserve.NewHosts("SOME_HOSTS", "security-auditor", "Metrics.Example")
	if err != nil {
		t.Fatal(err)
	}
	hosts.AddOwn("security-proxy-admin:9600")
	tests := map[string]bool{
		"localhost:9600":            true,
		"LOCALHOST.":                true,
		"127.0.0.1:9600":            true,
		"172.18.0.5":                true,
		"[::1]:9600":                true,
		"security-auditor:9600":     true,
		"security-proxy-admin":      true,
		"metrics.example:443":       true,
		"":                          false,
		"evil.test":                 false,
		"evil:9600":                 false,
		"localhost.evil.test":       false,
		"127.0.0.1.evil.test":       false,
		"security-auditor.evil":     false,
		"2130706433":                false, // 127.0.0.1 to browsers, a name to resolvers
		"0x7f.1":                    false,
		"localhost:9600, evil.test": false,
		"evil.test\nlocalhost":      false,
	}
	if own, err := os.Hostname(); err == nil {
		tests[own+":9600"] = true
	}
	for host, want := range tests {
		t.Run(host, func(t *testing.T) {
			if got := hosts.Allow(host); got != want {
				t.Errorf("allowed %v, want %v", got, want)
			}
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
			r.Host = host
			hosts.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside") })).ServeHTTP(w, r)
			if body := w.Body.String(); want != (w.Code == http.StatusOK && body == "inside") ||
				!want && (w.Code != http.StatusMisdirectedRequest || !strings.Contains(body, "SOME_HOSTS")) {
				t.Errorf("answered %d %q", w.Code, body)
			}
		})
	}
	for _, name := range []string{"", "a:80", "[::1]", "dot."} {
		if _, err := httpserve.NewHosts("SOME_HOSTS", name); err == nil {
			t.Errorf("%q counts as a host name", name)
		}
	}
}

// A server answers no other name, independent of its handler.
func TestServeChecksHosts(t *testing.T) {
	hosts, err := httpserve.NewHosts("SOME_HOSTS")
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- httpserve.Serve(ctx, l, server, hosts, time.Minute) }()
	for host, want := range map[string]int{"": http.StatusOK, "evil.test": http.StatusMisdirectedRequest} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host // "": that of the address
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%q is answered with %d, want %d", host, response.StatusCode, want)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
