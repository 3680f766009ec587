package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openclaw-security/bus/services/testing/llmtest"
)

// A web page that somebody looks at on the same machine or network can send
// requests too.
func accessThreats() []threat {
	header := func(name string, lines ...string) threat {
		return threat{name: name, prepare: usual(func(r *rig) string {
			r.raw(wire("/v1/messages", "localhost", lines...))
			return r.arrived()
		})}
	}
	return []threat{
		{name: "DNS rebinding", prepare: usual(func(r *rig) string {
			r.raw(wire("/v1/messages", "evil.example:8080"))
			return r.arrived()
		})},
		{name: "a Host without a name", prepare: usual(func(r *rig) string {
			r.raw(wire("/v1/messages", ""))
			return r.arrived()
		})},
		header("a page of another origin", "Origin: https://evil.example"),
		header("a page of an opaque origin", "Origin: null"),
		header("a page of the same site", "Sec-Fetch-Site: same-origin"),
		{name: "preflight", prepare: usual(func(r *rig) string {
			got := r.raw("OPTIONS /v1/messages HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n" +
				"Access-Control-Request-Headers: content-type\r\nConnection: close\r\n\r\n")
			if strings.Contains(got, "HTTP/1.1 2") || strings.Contains(strings.ToLower(got), "access-control-allow") {
				return "allowed: " + got
			}
			return r.arrived()
		})},
		{name: "the permission of an answer to be read by a page", prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Access-Control-Allow-Origin", "*")
					w.Header().Set("Set-Cookie", "a=b")
					_, _ = io.WriteString(w, "{}")
				}), func(r *rig) string {
					got := r.post("/v1/messages", message(false, "hi"))
					return got.header.Get("Access-Control-Allow-Origin") + got.header.Get("Set-Cookie")
				}
		}},
	}
}

// A caller must not choose what of the provider, or of its host, it reaches.
func pathThreats() []threat {
	var all []threat
	for _, target := range []string{
		"/v1/%2e%2e/%2e%2e/admin%3fx=1", "/v1/messages/../../admin", "/v1/messages/./", "//evil.example/v1/messages", "/v1//messages",
		"/v1/messages%2f..%2f..%2fadmin", "/v1/messages;x=1", "/v1/messages%00", `/v1\messages`, "/v1/messages#/admin", "/V1/messages", "/v1/messages/",
		"/v1/files", "/v1/organizations/api_keys", "/v1/files/file_1/copy", "/v1beta/models/a%2fb:generateContent", "/v1beta/models/../x:generateContent",
		"/v1/messages?alt=media", "/v1/messages?$.xgafv=2", "/v1/messages?beta=true&beta=false", "/v1/messages?a=%zz",
	} {
		all = append(all, threat{name: "target " + strings.ReplaceAll(target, "/", "|"), prepare: usual(func(r *rig) string {
			r.raw(wire(target, "localhost"))
			return r.arrived()
		})})
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "TRACE", "post", "GET"} {
		all = append(all, threat{name: "method " + method, prepare: usual(func(r *rig) string {
			r.raw(strings.Replace(wire("/v1/messages", "localhost"), "POST", method, 1))
			return r.arrived()
		})})
	}
	// None of these is an upstream of the caller's choice, and nothing tells the
	// provider of another host.
	other := func(name string, withstood bool, send func(evil string) string) threat {
		return threat{name: name, withstood: withstood, prepare: func(t *testing.T) (http.Handler, func(*rig) string) {
			var called atomic.Bool
			evil := strings.TrimPrefix(startServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) })), "http://")
			return nil, func(r *rig) string {
				r.raw(send(evil))
				if called.Load() {
					return "the caller's host was called"
				}
				for _, request := range r.provider.Requests() {
					if wire := fmt.Sprint(request); strings.Contains(wire, evil) {
						return wire
					}
				}
				return ""
			}
		}}
	}
	return append(all,
		threat{name: "an absolute target", prepare: usual(func(r *rig) string {
			r.raw(wire("http://evil.example/v1/messages", "localhost"))
			return r.arrived()
		})},
		other("an absolute target that exists", true, func(evil string) string { return wire("http://"+evil+"/v1/messages", "localhost") }),
		other("a Host that exists", true, func(evil string) string { return wire("/v1/messages", evil) }),
		other("a tunnel", true, func(evil string) string {
			return "CONNECT " + evil + " HTTP/1.1\r\nHost: " + evil + "\r\nConnection: close\r\n\r\n"
		}),
		other("X-Forwarded-Host", false, func(evil string) string { return wire("/v1/messages", "localhost", "X-Forwarded-Host: "+evil) }),
		other("Forwarded", false, func(evil string) string { return wire("/v1/messages", "localhost", "Forwarded: host="+evil) }),
		other("a base in a header", false, func(evil string) string { return wire("/v1/messages", "localhost", "X-Base-Url: http://"+evil) }),
	)
}

// The provider sees the proxy's key, no matter what the caller does, and nothing else
// that authenticates.
func credentialThreats() []threat {
	const secret = "the-callers-own-secret"
	var all []threat
	for _, line := range []string{
		"X-Goog-Api-Key: " + secret, "Api-Key: " + secret, "Cookie: a=" + secret, "Proxy-Authorization: Basic " + secret, "Authorization: Bearer " + secret,
		"X-Custom-Token: " + secret, "Anthropic-Workspace-Id: " + secret, "Openai-Organization: " + secret,
		"Connection: X-Secret\r\nX-Secret: " + secret,
	} {
		name, _, _ := strings.Cut(line, ":")
		all = append(all, threat{
			name: "the caller's " + name,
			// The reverse proxy does see to those.
			withstood: name == "Connection" || name == "Proxy-Authorization",
			prepare:   usual(func(r *rig) string { return r.shows(r.raw(wire("/v1/messages", "localhost", line)), secret) }),
		})
	}
	for _, name := range []string{"key", "api_key", "access_token", "KEY"} {
		all = append(all, threat{name: "the caller's ?" + name, prepare: usual(func(r *rig) string {
			return r.shows(r.raw(wire("/v1/messages?"+name+"="+secret, "localhost")), secret)
		})})
	}
	for _, line := range []string{"Connection: X-Api-Key", "Connection: close, x-api-key", "Connection: Authorization, X-Api-Key"} {
		all = append(all, threat{name: line, prepare: usual(func(r *rig) string {
			return r.shows(r.raw(wire("/v1/messages", "localhost", line)), secret)
		})})
	}
	return append(all,
		threat{name: "anthropic-version is the caller's", withstood: true, prepare: usual(func(r *rig) string {
			var got []string
			for _, version := range []string{"2023-01-01", "2023-06-01"} {
				r.post("/v1/messages", message(false, "hi"), "Anthropic-Version", version)
			}
			for _, request := range r.provider.Requests() {
				got = append(got, request.Header.Get("Anthropic-Version"))
			}
			if !slices.Equal(got, []string{"2023-01-01", "2023-06-01"}) {
				return fmt.Sprintf("the provider gets %q", got)
			}
			return ""
		})},
		threat{name: "a redirect takes the request elsewhere", prepare: func(t *testing.T) (http.Handler, func(*rig) string) {
			var called atomic.Bool
			evil := startServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
			return http.RedirectHandler(evil+"/v1/messages", http.StatusTemporaryRedirect), func(r *rig) string {
				if got := r.post("/v1/messages", message(false, "hi")); called.Load() {
					return "the other server was called, by the proxy or by its client"
				} else if got.status != http.StatusBadGateway {
					return fmt.Sprint(got)
				}
				return ""
			}
		}},
		threat{name: "another protocol", prepare: usual(func(r *rig) string {
			r.raw(wire("/v1/messages", "localhost", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings"))
			for _, request := range r.provider.Requests() {
				if request.Header.Get("Upgrade")+request.Header.Get("Http2-Settings") != "" {
					return fmt.Sprint(request.Header)
				}
			}
			return ""
		})},
		threat{name: "a WebSocket", prepare: usual(func(r *rig) string {
			r.raw(strings.Replace(wire("/v1/messages", "localhost", "Upgrade: websocket", "Connection: Upgrade"), "Connection: close\r\n", "", 1) +
				"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			return r.arrived()
		})},
	)
}

// shows returns what is wrong with the one request that has reached the
// provider, to which got is the answer.
func (r *rig) shows(got, secret string) string {
	requests := r.provider.Requests()
	switch {
	case len(requests) != 1:
		return fmt.Sprintf("%d requests reached the provider", len(requests))
	case strings.Contains(fmt.Sprint(requests[0]), secret):
		return fmt.Sprint(requests[0])
	case requests[0].Header.Get("X-Api-Key") != llmtest.Key || !strings.HasPrefix(got, "HTTP/1.1 200 "):
		return "the proxy's own key is missing: " + got
	}
	return ""
}

// What is forwarded must be what was inspected, to the byte, and no more.
func bodyThreats() []threat {
	over := func(c *Config) { c.MaxBody = 1 << 10 }
	big := message(false, strings.Repeat("x", 4<<10))
	all := []threat{
		{name: "oversize", change: over, prepare: usual(func(r *rig) string { return r.refused(413, r.post("/v1/messages", big)) })},
		{name: "oversize, of unknown length", change: over, prepare: usual(func(r *rig) string {
			got := r.raw(fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"+
				"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(big), big))
			return r.refused(413, answered{status: statusOf(r.t, got)})
		})},
		{name: "oversize when decompressed", change: over, prepare: usual(func(r *rig) string {
			return r.refused(413, r.post("/v1/messages", zipped(big), "Content-Encoding", "gzip"))
		})},
		{name: "an encoding that nobody knows", prepare: usual(func(r *rig) string {
			return r.refused(415, r.post("/v1/messages", message(false, "hi"), "Content-Encoding", "lzma"))
		})},
		{name: "one encoding upon another", prepare: usual(func(r *rig) string {
			return r.refused(415, r.post("/v1/messages", zipped(zipped(message(false, "hi"))), "Content-Encoding", "gzip, gzip"))
		})},
		{name: "another charset", prepare: usual(func(r *rig) string {
			return r.refused(415, r.post("/v1/messages", message(false, "hi"), "Content-Type", "application/json; charset=utf-16"))
		})},
	}
	for _, ambiguous := range []struct{ name, body string }{
		{"trailing data", message(false, "hi") + message(false, "and again")},
		{"a repeated name", `{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[],"messages":[{"role":"user","content":"hi"}]}`},
		{"a name of two cases", `{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[],"Messages":[{"role":"user","content":"hi"}]}`},
		{"an escaped name", `{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[],"m\u0065ssages":[{"role":"user","content":"hi"}]}`},
		{"malformed UTF-8", strings.Replace(message(false, "hi"), "hi", "hi\xff", 1)},
		{"half a surrogate", strings.Replace(message(false, "hi"), "hi", `\ud83e`, 1)},
		{"a byte order mark", "\ufeff" + message(false, "hi")},
		{"an array of requests", "[" + message(false, "hi") + "]"},
	} {
		all = append(all, threat{name: ambiguous.name, prepare: usual(func(r *rig) string { return r.refused(400, r.post("/v1/messages", ambiguous.body)) })})
	}
	// net/http refuses most of these. Of the others it takes the chunks, so that
	// the naive proxy is not fooled about where the request ends; it passes the
	// second one on as a request of its own.
	for _, smuggling := range []struct {
		name, lines string
		refused     bool // by net/http
	}{
		{"length and chunks", "Content-Length: %d\r\nTransfer-Encoding: chunked", false},
		{"chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: %d", false},
		{"chunks behind a tab", "Content-Length: %d\r\nTransfer-Encoding:\tchunked", false},
		{"chunks behind a lone line feed", "Content-Length: %d\nTransfer-Encoding: chunked", false},
		{"chunks on a folded line", "Content-Length: %d\r\nTransfer-Encoding:\r\n chunked", false},
		{"two lengths", "Content-Length: 5\r\nContent-Length: %d", true},
		{"chunks twice", "Content-Length: %d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", true},
		{"chunks of another name", "Content-Length: %d\r\nTransfer-Encoding: xchunked", true},
		{"chunks and identity", "Content-Length: %d\r\nTransfer-Encoding: chunked, identity", true},
		{"chunks before a space", "Content-Length: %d\r\nTransfer-Encoding : chunked", true},
	} {
		body := message(false, "hi")
		smuggled := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\nGET /v1/organizations HTTP/1.1\r\nHost: localhost\r\n\r\n", len(body), body)
		all = append(all, threat{name: "smuggling: " + smuggling.name, withstood: smuggling.refused, prepare: usual(func(r *rig) string {
			r.raw("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + fmt.Sprintf(smuggling.lines, len(smuggled)) + "\r\n\r\n" +
				smuggled + "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			for _, request := range r.provider.Requests() {
				if request.Path != "/v1/messages" || string(request.Body) != body {
					return fmt.Sprint(request)
				}
			}
			return ""
		})})
	}
	return all
}

// refused returns what is wrong if a request was not refused with status.
func (r *rig) refused(status int, got answered) string {
	if harm := r.arrived(); harm != "" {
		return harm
	}
	if got.status != status {
		return fmt.Sprintf("status %d, want %d: %s", got.status, status, got.body)
	}
	return ""
}

func statusOf(t *testing.T, wire string) int {
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(wire)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text) // into memory
	_ = z.Close()
	return b.String()
}
