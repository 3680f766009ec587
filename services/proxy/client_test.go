package proxy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// A client that closes its connection behind a request gets the answer to one that is
// refused with its body unread, as others do.
func TestRefusalReachesAClientThatCloses(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBody = 1 << 20 })
	body := bytes.Repeat([]byte("x"), 10<<20)
	for _, closes := range []bool{true, false} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: closes}}
		defer client.CloseIdleConnections()
		for _, test := range []struct {
			path   string
			status int
		}{{"/v1/nowhere", 404}, {"/v1/messages", 413}} {
			for range 8 {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+test.path, bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", "application/json")
				response, err := client.Do(request)
				if err != nil {
					t.Fatalf("%s, closes %t: %v", test.path, closes, err)
				}
				response.Body.Close()
				if response.StatusCode != test.status {
					t.Errorf("%s, closes %t: %d", test.path, closes, response.StatusCode)
				}
			}
		}
	}
}

// What asks only whether the proxy is there is answered, reaches no provider and fills
// no record.
func TestProbes(t *testing.T) {
	r := newRig(t, nil)
	ask := func(method, path string) answered {
		request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return r.do(request)
	}
	for _, path := range []string{"/", "/health", "/health/", "/healthz", "/livez", "/readyz", "/ping", "/api/hello", "/api/hello?x=1"} {
		if got := ask(http.MethodGet, path); got.status != 200 || !strings.Contains(got.body, `"status":"healthy"`) {
			t.Errorf("GET %s: %d %s", path, got.status, got.body)
		}
		if got := ask(http.MethodHead, path); got.status != 200 || got.body != "" {
			t.Errorf("HEAD %s: %d %s", path, got.status, got.body)
		}
	}
	if got := ask(http.MethodHead, "/v1/nowhere"); got.status != 404 {
		t.Errorf("HEAD of no route: %d", got.status)
	}
	if a := r.audits(1)[0]; a.Method != http.MethodHead || a.Path != "/v1/nowhere" || a.Decision != proto.DecisionRefused {
		t.Errorf("record %+v", a)
	}
	if n := len(r.provider.Requests()); n != 0 {
		t.Errorf("%d requests reached the provider", n)
	}
}

// Each refusal says that it is the proxy's, in the form of each provider, so that nobody
// looks for its cause at the provider.
func TestRefusalsSayWhose(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBody = 1 << 10 })
	for _, test := range []struct{ name, path, body, contentType string }{
		{"no route", "/v1/nowhere", "{}", "application/json"},
		{"no route, Gemini", "/v1beta/nowhere", "{}", "application/json"},
		{"no JSON", "/v1/chat/completions", "{", "application/json"},
		{"no type", "/v1/responses", "{}", "text/plain"},
		{"too large", "/v1/messages", message(false, strings.Repeat("x", 2000)), "application/json"},
		{"redirect", "/v1/messages", message(false, "hi\n#redirect http://127.0.0.1:1/"), "application/json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := r.post(test.path, test.body, "Content-Type", test.contentType)
			var e struct{ Error struct{ Message string } }
			if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status < 400 || !strings.Contains(e.Error.Message, "security proxy") {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}
