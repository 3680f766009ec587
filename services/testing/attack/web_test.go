package attack

import (
	"testing"
)

// TestRebinding: a page whose name the browser was made to resolve to this machine
// is another origin to everything that listens here.
func TestRebinding(t *testing.T) {
	guard := freePort(t)
	s := newStack(t, "GUARD_ENABLED=true", "GUARD_STUB_ADDR="+guard).up()
	for _, url := range []string{s.admin + "/metrics", s.admin + "/readyz", s.admin + "/healthz", "http://" + guard + "/healthz", s.proxy + "/health", s.proxy + "/v1/models"} {
		t.Run(url, func(t *testing.T) {
			for _, name := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"} {
				status, text := get(t, url, "Host", name, "Origin", "http://"+name, "Sec-Fetch-Site", "same-origin")
				if status < 400 || status >= 500 {
					t.Errorf("%s gets %d %.100q", name, status, text)
				}
			}
			if status, text := get(t, url); status == 421 || status == 403 {
				t.Errorf("the owner gets %d %.100q", status, text)
			}
		})
	}
}
