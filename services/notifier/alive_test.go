package notifier

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// A service elsewhere is asked only while alerts can be delivered, and that it cannot be
// asked is a reason not to be ready, without the URL.
func TestOutwardHeartbeat(t *testing.T) {
	var asked []string
	status := http.StatusOK
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		w.WriteHeader(status)
	}))
	defer elsewhere.Close()
	rt := daemon.Discard()
	rt.Metrics = prometheus.NewRegistry()
	o := newOutward(config.NewSecret(elsewhere.URL+"/secret-path"), []string{"telegram-1", "webhook"}, rt)
	expect := func(want int, outcome string, times float64) {
		t.Helper()
		o.ask(t.Context())
		if len(asked) != want {
			t.Errorf("asked %q, want %d times", asked, want)
		}
		if got := testutil.ToFloat64(o.asked.WithLabelValues(outcome)); got != times {
			t.Errorf("%s %v times, want %v", outcome, got, times)
		}
	}
	rt.Ready.Expect(condNATS, "telegram-1", "webhook")
	expect(0, "withheld", 1)
	for _, condition := range []string{condNATS, condStoring, "telegram-1", "webhook"} {
		rt.Ready.Set(condition, nil)
	}
	rt.Ready.Set("progress", errors.New("a sensor is silent")) // which the chat is told
	expect(1, "sent", 1)
	for i, condition := range []string{condNATS, condStoring, "telegram-1", "webhook"} {
		rt.Ready.Set(condition, errors.New("it is broken"))
		expect(1, "withheld", float64(i+2))
		rt.Ready.Set(condition, nil)
	}
	status = http.StatusNotFound
	expect(2, "failed", 1)
	err := rt.Ready.Reason(condOutward)
	if err == nil || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("not ready because of %v", err)
	}
	elsewhere.CloseClientConnections()
	status = http.StatusNoContent
	expect(3, "sent", 2)
	if err := rt.Ready.Reason(condOutward); err != nil {
		t.Errorf("not ready because of %v", err)
	}
	elsewhere.Close()
	expect(3, "failed", 2)
	if err := rt.Ready.Reason(condOutward); err == nil || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("not ready because of %v", err)
	}
	for _, u := range asked {
		if u != "GET /secret-path" {
			t.Errorf("asked %s", u)
		}
	}
}

func TestHeartbeatURL(t *testing.T) {
	for value, want := range map[string]bool{"": true, "https://hc-ping.com/x": true, "http://127.0.0.1:1/push": true, "hc-ping.com/x": false, "ftp://x": false} {
		cfg := Config{}
		err := config.Load(&cfg, []string{"NATS_URL=nats://127.0.0.1:1", "NOTIFIER_HEARTBEAT_URL=" + value})
		if faulty := err != nil && strings.Contains(err.Error(), "NOTIFIER_HEARTBEAT_URL"); faulty == want {
			t.Errorf("%q: %v", value, err)
		}
	}
}
