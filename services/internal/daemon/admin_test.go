package daemon_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// startAdmin serves on a free port until the test ends.
func startAdmin(t *testing.T, gatherer prometheus.Gatherer, ready *daemon.Readiness, hosts ...string) *daemon.Admin {
	t.Helper()
	admin, err := daemon.ListenAdmin(t.Context(), config.Admin{Addr: "127.0.0.1:0", Hosts: hosts}, gatherer, ready, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the admin server ended with: %v", err)
		}
	})
	return admin
}

// ask returns the status, content type and body of a request to the server.
func ask(t *testing.T, admin *daemon.Admin, method, path, accept string) (int, string, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+admin.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Content-Type"), string(body)
}

func TestAdminRoutes(t *testing.T) {
	registry := prometheus.NewRegistry()
	lines := prometheus.NewCounter(prometheus.CounterOpts{Name: "lines_total", Help: "Lines."})
	registry.MustRegister(lines)
	lines.Add(3)
	admin := startAdmin(t, registry, daemon.NewReadiness())
	tests := []struct {
		method, path string
		status       int
		contains     string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/metrics", 200, "lines_total 3"},
		{"POST", "/healthz", 405, ""},
		{"DELETE", "/metrics", 405, ""},
		{"PUT", "/readyz", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/healthz/more", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			status, _, body := ask(t, admin, test.method, test.path, "")
			if status != test.status || !strings.Contains(body, test.contains) {
				t.Errorf("got %d %q", status, body)
			}
		})
	}
}

// A web page whose name leads to the admin address reads nothing there.
func TestAdminAnswersToItsNamesOnly(t *testing.T) {
	admin := startAdmin(t, prometheus.NewRegistry(), daemon.NewReadiness(), "security-auditor")
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost:9600": http.StatusOK, "security-auditor:9600": http.StatusOK,
		"evil.example": http.StatusMisdirectedRequest, "security-notifier:9600": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/healthz", "/metrics"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin.Addr()+path, nil)
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
				t.Errorf("%s of %q is answered with %d, want %d", path, host, response.StatusCode, want)
			}
		}
	}
}

func TestAdminReadyz(t *testing.T) {
	ready := daemon.NewReadiness()
	admin := startAdmin(t, prometheus.NewRegistry(), ready)
	steps := []struct {
		name   string
		change func()
		status int
		text   string
		json   string
	}{
		{
			"nothing reported", func() {}, 503,
			"not ready: nothing has been reported yet\n",
			`{"ready":false,"conditions":[]}`,
		},
		{
			"one of two holds", func() {
				ready.Set("nats", nil)
				ready.Set("stream", errors.Join(errors.New("not found"), errors.New(`run "provision"`)))
			}, 503,
			"ok nats\nnot ready stream: not found; run \"provision\"\n",
			`{"ready":false,"conditions":[{"name":"nats","ready":true},{"name":"stream","ready":false,"reason":"not found\nrun \"provision\""}]}`,
		},
		{
			"both hold", func() { ready.Set("stream", nil) }, 200,
			"ok nats\nok stream\n",
			`{"ready":true,"conditions":[{"name":"nats","ready":true},{"name":"stream","ready":true}]}`,
		},
	}
	for _, step := range steps {
		step.change()
		for _, form := range []struct{ path, accept, contentType, want string }{
			{"/readyz", "", "text/plain; charset=utf-8", step.text},
			{"/readyz", "text/html, */*", "text/plain; charset=utf-8", step.text},
			{"/readyz?format=json", "", "application/json", step.json + "\n"},
			{"/readyz", "application/json", "application/json", step.json + "\n"},
		} {
			status, contentType, body := ask(t, admin, http.MethodGet, form.path, form.accept)
			if status != step.status || contentType != form.contentType || body != form.want {
				t.Errorf("%s, %s: got %d, %s, %q", step.name, form.path, status, contentType, body)
			}
		}
	}
}

func TestAdminAddressInUse(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, err = daemon.ListenAdmin(t.Context(), config.Admin{Addr: listener.Addr().String()}, prometheus.NewRegistry(), daemon.NewReadiness(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "ADMIN_ADDR") || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestAdminEndsWhileARequestHangs(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		close(entered)
		<-release
		return nil, nil
	})
	admin, err := daemon.ListenAdmin(t.Context(), config.Admin{Addr: "127.0.0.1:0"}, gather, daemon.NewReadiness(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- admin.Run(ctx) }()
	answered := make(chan error, 1)
	go func() {
		response, err := http.Get("http://" + admin.Addr() + "/metrics")
		if err == nil {
			response.Body.Close()
		}
		answered <- err
	}()
	<-entered
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the admin server ended with: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("the hanging request was answered")
	}
}
