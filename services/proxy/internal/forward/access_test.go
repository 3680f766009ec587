package forward_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
)

const (
	aliceToken = "alice-0123456789abcdef"
	bobToken   = "bob-0123456789abcdef"
)

func newAccess(t *testing.T, hosts []string, tokens map[string]config.Secret) *forward.Access {
	t.Helper()
	a, err := forward.NewAccess(hosts, tokens)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAdmitByHost(t *testing.T) {
	a := newAccess(t, []string{"security-llm-proxy", "Host.Docker.Internal"}, nil)
	tests := map[string]bool{
		"localhost":                 true,
		"localhost:8080":            true,
		"LOCALHOST.:8080":           true,
		"127.0.0.1:8080":            true,
		"192.168.1.7":               true,
		"[::1]:8080":                true,
		"[::1]":                     true,
		"security-llm-proxy:8080":   true,
		"host.docker.internal":      true,
		"":                          false,
		"evil.test":                 false,
		"evil.test:8080":            false,
		"localhost.evil.test":       false,
		"127.0.0.1.evil.test":       false,
		"2130706433":                false, // 127.0.0.1 to browsers, a name to resolvers
		"0x7f.1":                    false,
		"security-llm-proxy.evil":   false,
		"localhost:8080, evil.test": false,
	}
	for host, want := range tests {
		t.Run(host, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/v1/messages", nil)
			r.Host = host
			_, refusal := a.Check(r)
			if got := refusal == nil; got != want {
				t.Errorf("admitted %v, want %v", got, want)
			}
			if refusal != nil && refusal.Status != http.StatusForbidden {
				t.Errorf("status %d", refusal.Status)
			}
		})
	}
}

func TestAdmitRefusesPages(t *testing.T) {
	a := newAccess(t, nil, nil)
	tests := []struct {
		name     string
		header   http.Header
		admitted bool
	}{
		{"no browser", http.Header{}, true},
		{"Node's fetch", http.Header{"Sec-Fetch-Mode": {"cors"}}, true},
		{"address bar", http.Header{"Sec-Fetch-Site": {"none"}}, true},
		{"origin", http.Header{"Origin": {"https://evil.test"}}, false},
		{"own origin", http.Header{"Origin": {"http://localhost"}}, false},
		{"null origin", http.Header{"Origin": {"null"}}, false},
		{"empty origin", http.Header{"Origin": {""}}, false},
		{"preflight", http.Header{"Origin": {"https://evil.test"}, "Access-Control-Request-Method": {"POST"}}, false},
		{"cross-site without an origin", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"another port of this host", http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "http://localhost/v1/messages", nil)
			r.Header = test.header
			_, refusal := a.Check(r)
			if got := refusal == nil; got != test.admitted {
				t.Errorf("admitted %v", got)
			}
			if refusal != nil && refusal.Status != http.StatusForbidden {
				t.Errorf("status %d", refusal.Status)
			}
		})
	}
}

func TestAdmitByToken(t *testing.T) {
	a := newAccess(t, nil, map[string]config.Secret{"alice": config.NewSecret(aliceToken), "bob": config.NewSecret(bobToken)})
	tests := []struct {
		name   string
		header http.Header
		query  string
		client string // empty for refused
	}{
		{"bearer", http.Header{"Authorization": {"Bearer " + aliceToken}}, "", "alice"},
		{"bearer in lower case", http.Header{"Authorization": {"bearer " + bobToken}}, "", "bob"},
		{"Anthropic's place", http.Header{"X-Api-Key": {bobToken}}, "", "bob"},
		{"Gemini's place", http.Header{"X-Goog-Api-Key": {bobToken}}, "", "bob"},
		{"Azure's place", http.Header{"Api-Key": {bobToken}}, "", "bob"},
		{"query", nil, "alt=sse&key=" + aliceToken, "alice"},
		{"beside another key", http.Header{"Authorization": {"Bearer sk-ant-other"}, "X-Api-Key": {aliceToken}}, "", "alice"},
		{"nothing", nil, "", ""},
		{"empty", http.Header{"X-Api-Key": {""}, "Authorization": {"Bearer "}}, "key=", ""},
		{"wrong", http.Header{"X-Api-Key": {"wrong"}}, "", ""},
		{"part", http.Header{"X-Api-Key": {aliceToken[:len(aliceToken)-1]}}, "", ""},
		{"longer", http.Header{"X-Api-Key": {aliceToken + "x"}}, "", ""},
		{"no scheme", http.Header{"Authorization": {aliceToken}}, "", ""},
		{"other scheme", http.Header{"Authorization": {"Basic " + aliceToken}}, "", ""},
		{"name in place of token", http.Header{"X-Api-Key": {"alice"}}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "http://localhost/v1/messages?"+test.query, nil)
			r.Header = test.header
			client, refusal := a.Check(r)
			if client != test.client || (refusal == nil) != (test.client != "") {
				t.Fatalf("got %q, %+v", client, refusal)
			}
			if refusal != nil && refusal.Status != http.StatusUnauthorized {
				t.Errorf("status %d", refusal.Status)
			}
		})
	}
}

func TestNewAccessFaults(t *testing.T) {
	tests := []struct {
		name   string
		hosts  []string
		tokens map[string]config.Secret
	}{
		{"host with a port", []string{"a:80"}, nil},
		{"empty host", []string{""}, nil},
		{"short token", nil, map[string]config.Secret{"alice": config.NewSecret("hunter2")}},
		{"unset token", nil, map[string]config.Secret{"alice": {}}},
		{"token without a name", nil, map[string]config.Secret{"": config.NewSecret(aliceToken)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := forward.NewAccess(test.hosts, test.tokens)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}
