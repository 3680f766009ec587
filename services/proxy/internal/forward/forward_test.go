package forward_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
)

// answering is an upstream that answers with status, header and body.
func answering(status int, header http.Header, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func isAnthropicError(t *testing.T, response *http.Response, body, kind string) {
	t.Helper()
	if !strings.HasPrefix(body, `{"type":"error","error":{"type":"`+kind+`"`) || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("not an error of the provider's form: %q %s", response.Header.Get("Content-Type"), body)
	}
}

func TestAnswerPasses(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
	}{
		{"success", 200, `{"id":"msg_1"}`},
		{"provider's error", 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`},
		{"empty", 204, ""},
		{"large", 200, strings.Repeat("0123456789abcdef", 20000)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rig := newRig(t, answering(test.status, http.Header{"Content-Type": {"application/json"}}, test.body))
			response, body := rig.post("{}")
			if response.StatusCode != test.status || body != test.body {
				t.Errorf("got %d and %d bytes", response.StatusCode, len(body))
			}
			o := <-rig.outcomes
			if o.Status != test.status || o.Upstream != test.status || o.End != forward.Completed || o.Err != nil || o.Abort {
				t.Errorf("outcome %+v", o)
			}
			if n := int64(len(test.body)); o.Sent != n || o.Received != n {
				t.Errorf("counted %d and %d of %d bytes", o.Received, o.Sent, n)
			}
		})
	}
}

func TestAnswerHeader(t *testing.T) {
	rig := newRig(t, answering(200, http.Header{
		"Content-Type":                  {"application/json"},
		"Request-Id":                    {"req_1"},
		"Anthropic-Ratelimit-Remaining": {"7"},
		"Retry-After":                   {"3"},
		"Server":                        {"cloudflare"},
		"X-Echo":                        {"your key is " + testKey, "fine"},
		"Connection":                    {"keep-alive, X-Hop"},
		"X-Hop":                         {"1"},
		"Keep-Alive":                    {"timeout=5"},
		"Set-Cookie":                    {"session=1"},
		"Alt-Svc":                       {`h3=":443"`},
		"Location":                      {"https://evil.test"},
		"Access-Control-Allow-Origin":   {"*"},
		"Strict-Transport-Security":     {"max-age=1"},
	}, "{}"))
	response, _ := rig.post("{}")
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Request-Id": "req_1", "Anthropic-Ratelimit-Remaining": "7", "Retry-After": "3", "Server": "cloudflare",
		"X-Echo": "your key is [redacted],fine",
	} {
		if got := strings.Join(response.Header[name], ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{
		"Connection", "X-Hop", "Keep-Alive", "Set-Cookie", "Alt-Svc", "Location",
		"Access-Control-Allow-Origin", "Strict-Transport-Security",
	} {
		// The client of this test asks for the connection to be closed.
		if got := response.Header[name]; got != nil && (name != "Connection" || got[0] != "close") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestNoContentTypeIsMadeUp(t *testing.T) {
	rig := newRig(t, answering(200, http.Header{"Content-Type": nil}, "<html>"))
	if response, _ := rig.post("{}"); response.Header["Content-Type"] != nil {
		t.Errorf("got %q", response.Header["Content-Type"])
	}
}

func TestInformationalAnswersAndTrailersStayHere(t *testing.T) {
	rig := newRig(t, nil)
	upstreamSaying(t, rig, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nX-Key: "+testKey+"\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n2\r\n{}\r\n0\r\nX-Late: "+testKey+"\r\n\r\n")
	conn, err := rig.client.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	text := string(all)
	if !strings.HasPrefix(text, "HTTP/1.1 200 ") || strings.Contains(text, "X-Late") || strings.Contains(text, testKey) || strings.Count(text, "HTTP/1.1") != 1 {
		t.Errorf("got %s", text)
	}
}

func TestAnswerIsToldWhatTheClientSees(t *testing.T) {
	type told struct {
		status int
		header http.Header
	}
	tell := make(chan told, 1)
	header := http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}, "X-Echo": {testKey}}
	rig := newRig(t, answering(429, header, string(compress(t, "gzip", `{"a":1}`))), func(r *rig) {
		r.answer = func(status int, header http.Header, body io.Reader) io.Reader {
			tell <- told{status, header.Clone()}
			return io.MultiReader(body, strings.NewReader("!"))
		}
	})
	response, body := rig.post("{}")
	if response.StatusCode != 429 || body != `{"a":1}!` {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
	got := <-tell
	if got.status != 429 || got.header["Content-Encoding"] != nil || got.header.Get("X-Echo") != "[redacted]" {
		t.Errorf("told %+v", got)
	}
}

func TestKeyIsRedacted(t *testing.T) {
	const other = "another-secret-value"
	events := make(chan string, 4)
	rig := newRig(t, stream(events, make(chan struct{}, 1)), func(r *rig) {
		r.config.Redact = []config.Secret{config.NewSecret(other), config.NewSecret("short"), {}}
	})
	events <- "data: wrong key " + testKey[:20]
	events <- testKey[20:] + " and " + other + "\n\n"
	events <- "data: short " + testKey[:30] + "\n\n"
	close(events)
	_, body := rig.post("{}")
	if want := "data: wrong key [redacted] and [redacted]\n\ndata: short " + testKey[:30] + "\n\n"; body != want {
		t.Errorf("got %q", body)
	}
}
