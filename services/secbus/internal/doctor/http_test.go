package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/testing/checktest"

	"github.com/openclaw-security/bus/services/internal/check"
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
	endless := answering(t, "/readyz", 200, `"`+strings.Repeat("x", 2*check.MaxReply)+`"`)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	c := &checkup{Options: Options{Ready: []check.Endpoint{
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
	checktest.Compare(t, c.readiness(t.Context()),
		checktest.Want("ready", check.Good, "ready: 2 conditions hold"),
		checktest.Want("not ready", check.Fault, "file is not ready: eve.json does not exist yet"),
		checktest.Want("not ready", check.Fault, "publish is not ready: fenced"),
		checktest.Want("silent", check.Fault, "does not say why"),
		checktest.Want("foreign", check.Warning, "no service of the bus"),
		checktest.Want("html", check.Fault, "HTTP status 404"),
		checktest.Want("moved", check.Fault, "HTTP status 302"),
		checktest.Want("endless", check.Fault, "reading the reply"),
		checktest.Want("gone", check.Fault, "is it running?"),
		checktest.Want("perhaps", check.Warning, "--admin"),
	)
}

// TestAnswersInTime: what does not answer holds nothing up.
func TestAnswersInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // as the hop's timeout would
		<-r.Context().Done()
	}))
	defer stuck.Close()
	c := &checkup{Options: Options{Ready: []check.Endpoint{{Name: "stuck", URL: stuck.URL}}}}
	checktest.Compare(t, c.readiness(ctx), checktest.Want("stuck", check.Fault, "context canceled"))
}
