package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/llmtest"
)

// threat is something that went wrong in another proxy, or that an attacker
// tries. It is tried on the proxy, which has to withstand, and on a naive one,
// which must not: that shows that the test could fail.
type threat struct {
	name   string
	change func(*Config) // of the proxy's settings
	guard  verdicts      // nil for none

	// withstood says that the naive proxy does no worse, because net/http sees to
	// it, or because it has no part in it.
	withstood bool

	// prepare returns the provider, nil for the usual one, and the attack. The
	// attack returns the harm that it has done, empty for none.
	prepare func(*testing.T) (http.Handler, func(*rig) string)
}

func TestThreats(t *testing.T) {
	for _, threats := range [][]threat{admissionThreats(), pathThreats(), credentialThreats(), bodyThreats(), guardThreats(), answerThreats(), connectionThreats()} {
		for _, th := range threats {
			t.Run(th.name, func(t *testing.T) {
				provider, attack := th.prepare(t)
				if harm := attack(th.rig(t, provider)); harm != "" {
					t.Errorf("harm done: %s", harm)
				}
				if th.withstood {
					return
				}
				provider, attack = th.prepare(t)
				if attack(th.naive(t, provider)) == "" {
					t.Error("the naive proxy withstands, so that this test shows nothing")
				}
			})
		}
	}
}

// rig is the proxy under attack.
func (th threat) rig(t *testing.T, provider http.Handler) *rig {
	return newSolo(t, provider, func(c *Config) {
		if th.guard != nil {
			use(c, startGuard(t, th.guard).url)
		}
		if th.change != nil {
			th.change(c)
		}
	})
}

// newSolo starts a proxy without a bus, which keeps its records in memory, before
// a provider; nil is the usual one. The change alters its settings; it may be nil.
func newSolo(t *testing.T, provider http.Handler, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, provider: llmtest.New(llmtest.Config{})}
	if provider == nil {
		provider = r.provider
	}
	base := startServer(t, provider)
	if err := config.Load(&r.cfg, []string{
		"LLM_API_BASE=" + base, "LLM_API_KEY=" + llmtest.Key,
		"LLM_OPENAI_API_BASE=" + base, "LLM_OPENAI_API_KEY=" + llmtest.Key,
		"LLM_GEMINI_API_BASE=" + base, "LLM_GEMINI_API_KEY=" + llmtest.Key,
		"PROXY_AUDIT_DIR=" + filepath.Join(t.TempDir(), "audit"),
	}); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&r.cfg)
	}
	var err error
	if r.proxy, err = newProxy(r.cfg, daemon.Discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.proxy.close)
	r.proxy.records = &memory{}
	r.url = startServer(t, r.proxy)
	return r
}

// memory takes records in place of the log.
type memory struct {
	mu     sync.Mutex
	audits []proto.Audit
}

func (m *memory) AppendAudit(a *proto.Audit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.audits = append(m.audits, *a)
	return nil
}

func (*memory) AppendAlert(*proto.Event) error { return nil }

// final is the final record of a proxy's one request.
func (r *rig) final() (last proto.Audit) {
	r.t.Helper()
	m := r.proxy.records.(*memory)
	bustest.Eventually(r.t, "there is a final record", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.audits) > 0 {
			last = m.audits[len(m.audits)-1]
		}
		return last.Phase == proto.PhaseEnd
	})
	return last
}

// naive is a rig whose proxy is a dozen lines, as they are often written: a
// reverse proxy that puts the key in, behind a guard that reads what users say.
func (th threat) naive(t *testing.T, provider http.Handler) *rig {
	r := &rig{t: t, provider: llmtest.New(llmtest.Config{})}
	if provider == nil {
		provider = r.provider
	}
	base, err := url.Parse(startServer(t, provider))
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		//lint:ignore SA1019 that is what makes it naive
		Director: func(r *http.Request) {
			r.URL.Scheme, r.URL.Host, r.Host = base.Scheme, base.Host, base.Host
			r.Header.Set("X-Api-Key", llmtest.Key)
		},
	}
	if th.guard == nil {
		r.url = startServer(t, forward)
		return r
	}
	guard := startGuard(t, th.guard)
	r.url = startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := naiveGuard(guard.url, r); refused != "" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"%s"}`, refused)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	return r
}

// naiveGuard returns why the guard refuses a request.
func naiveGuard(guard string, r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var request struct{ Messages []struct{ Role, Content any } }
	_ = json.Unmarshal(body, &request)
	texts := []string{}
	for _, m := range request.Messages {
		if text, ok := m.Content.(string); ok && m.Role == "user" {
			texts = append(texts, text)
		}
	}
	question, _ := json.Marshal(map[string]any{"messages": texts})
	response, err := http.Post(guard, "application/json", bytes.NewReader(question))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var verdict struct {
		Score  float64
		Reason string
	}
	_ = json.NewDecoder(response.Body).Decode(&verdict)
	if verdict.Score >= 0.8 {
		return verdict.Reason
	}
	return ""
}

func startServer(t *testing.T, h http.Handler) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// usual is an attack on the usual provider.
func usual(attack func(*rig) string) func(*testing.T) (http.Handler, func(*rig) string) {
	return func(*testing.T) (http.Handler, func(*rig) string) { return nil, attack }
}

// arrived says that something has reached the provider, if it has.
func (r *rig) arrived() string {
	if all := r.provider.Requests(); len(all) > 0 {
		return fmt.Sprintf("%d requests reached the provider, the first is %s %s %s", len(all), all[0].Method, all[0].Path, all[0].Body)
	}
	return ""
}

// raw sends bytes and returns what comes back until the connection is closed,
// which the bytes have to ask for.
func (r *rig) raw(wire string) string {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	// Should something wait for more, then the test does not wait for it for ever.
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, wire); err != nil {
		r.t.Fatal(err)
	}
	got, _ := io.ReadAll(c) // a reset is as good an end as any
	return string(got)
}

// wire is a Messages request as bytes; lines are further header lines.
func wire(target, host string, lines ...string) string {
	body := message(false, "hi")
	return "POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(lines, ""), "\r\n") +
		fmt.Sprintf("Content-Type: application/json\r\nAnthropic-Version: 2023-06-01\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// A web page that somebody looks at on the same machine or network can send
// requests too.
func admissionThreats() []threat {
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
		"/v1/files", "/v1/organizations/api_keys", "/v1/messages/batches", "/v1beta/models/a%2fb:generateContent", "/v1beta/models/../x:generateContent",
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

// The provider sees the proxy's key, whatever the caller does, and nothing else
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

// The guard sees every text that a model will, wherever it stands.
func guardThreats() []threat {
	const anthropic, openai, gemini = "/v1/messages", "/v1/chat/completions", "/v1beta/models/gemini-2.5-pro:generateContent"
	var all []threat
	for _, hidden := range []struct{ name, path, body string }{
		{"a tool's result", anthropic, `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"INJECTED"}]}]`},
		{"a tool's result in blocks", anthropic, `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"INJECTED"}]}]}]`},
		{"a text block", anthropic, `"messages":[{"role":"user","content":[{"type":"text","text":"INJECTED"}]}]`},
		{"a document", anthropic, `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"It is INJECTED here."}}]}]`},
		{"the system prompt", anthropic, `"system":[{"type":"text","text":"INJECTED"}],"messages":[{"role":"user","content":"hi"}]`},
		{"a tool's description", anthropic, `"tools":[{"name":"a","description":"It is INJECTED here.","input_schema":{}}],"messages":[{"role":"user","content":"hi"}]`},
		{"a shape of tomorrow", anthropic, `"messages":[{"role":"user","content":"hi"}],"memories":[{"note":{"says":"It is INJECTED here."}}]`},
		{"escapes", anthropic, `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"\u0049NJECTE\u0044"}]}]`},
		{"OpenAI's tool role", openai, `"messages":[{"role":"tool","tool_call_id":"t","content":"INJECTED"}]`},
		{"OpenAI's developer role", openai, `"messages":[{"role":"developer","content":"INJECTED"}]`},
		{"the input of Responses", "/v1/responses", `"input":"INJECTED"`},
		{"the instructions of Responses", "/v1/responses", `"instructions":"INJECTED","input":"hi"`},
		{"a tool's output in Responses", "/v1/responses", `"input":[{"type":"function_call_output","call_id":"c","output":"INJECTED"}]`},
		{"Gemini's parts", gemini, `"contents":[{"role":"user","parts":[{"text":"INJECTED"}]}]`},
		{"Gemini's tool results", gemini, `"contents":[{"role":"user","parts":[{"functionResponse":{"name":"a","response":{"result":"It is INJECTED here."}}}]}]`},
	} {
		body := `{"model":"claude-sonnet-4-5","max_tokens":9,` + hidden.body + `}`
		if hidden.path == gemini {
			body = `{` + hidden.body + `}`
		}
		all = append(all, threat{
			name: "the guard and " + hidden.name, guard: blockWith("INJECTED", "an injection"),
			prepare: usual(func(r *rig) string { return r.refused(400, r.post(hidden.path, body)) }),
		})
	}
	says := func(text string) string { return message(false, text) }
	return append(all,
		threat{name: "the guard and a compressed body", guard: blockWith("INJECTED", "an injection"), prepare: usual(func(r *rig) string {
			return r.refused(400, r.post(anthropic, zipped(says("INJECTED")), "Content-Encoding", "gzip"))
		})},
		threat{name: "the guard and a repeated name", guard: blockWith("INJECTED", "an injection"), prepare: usual(func(r *rig) string {
			return r.refused(400, r.post(anthropic, `{"messages":[{"role":"user","content":"INJECTED"}],"messages":[{"role":"user","content":"hi"}]}`))
		})},
		threat{name: "the guard answers HTTP 500", guard: down, prepare: usual(func(r *rig) string { return r.refused(400, r.post(anthropic, says("hi"))) })},
		threat{name: "the guard's reason has quotes", guard: blockWith("INJECTED", `"}, "x": \ "`), prepare: usual(func(r *rig) string {
			got := r.post(anthropic, says("INJECTED"))
			if !json.Valid([]byte(got.body)) {
				return got.body
			}
			return r.refused(400, got)
		})},
	)
}

// An answer shows the key to nobody, arrives whole, and is counted as the
// provider does.
func answerThreats() []threat {
	var all []threat
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate"} {
		all = append(all, threat{name: "an answer in " + encoding + " that was not asked for", prepare: usual(func(r *rig) string {
			for _, stream := range []bool{false, true} {
				got := r.post("/v1/messages", message(stream, "#"+encoding+"\n#say hello"), "Accept-Encoding", "identity")
				length := got.header.Get("Content-Length")
				if got.status != 200 || got.err != nil || !strings.Contains(got.body, "hello") || got.header.Get("Content-Encoding") != "" || length != "" && length != fmt.Sprint(len(got.body)) {
					return fmt.Sprintf("stream %t: %d %v %q %v", stream, got.status, got.header, got.body, got.err)
				}
			}
			return ""
		})})
	}
	for _, stream := range []bool{false, true} {
		all = append(all, threat{name: fmt.Sprintf("the key echoed, stream %t", stream), prepare: usual(func(r *rig) string {
			got := r.post("/v1/messages", message(stream, "hi\n#echo-key"))
			if strings.Contains(got.body+fmt.Sprint(got.header)+spoken(got.body), llmtest.Key) {
				return got.body
			}
			if !strings.Contains(got.body, "error") {
				return "there is no error: " + got.body
			}
			return ""
		})})
	}
	echo := func(name string, stream bool, pieces ...string) threat {
		return threat{name: name, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			return script(stream, pieces...), func(r *rig) string {
				got := r.post("/v1/messages", message(stream, "hi"))
				if strings.Contains(got.body, llmtest.Key) || strings.Contains(spoken(got.body), llmtest.Key) {
					return got.body
				}
				return ""
			}
		}}
	}
	a, b, c := llmtest.Key[:10], llmtest.Key[10:30], llmtest.Key[30:]
	return append(all,
		echo("the key in an error, split over chunks", false, `{"type":"error","error":{"type":"authentication_error","message":"`+a, b, c+` is invalid"}}`),
		echo("the key in a stream's error, split over chunks", true, `data: {"type":"error","error":{"type":"api_error","message":"`+a, b, c+"\"}}\n\n"),
		echo("the key split over deltas", true, delta(a), delta(b), delta(c)),
		echo("the key split over deltas with a ping between", true, delta(a), "event: ping\ndata: {\"type\":\"ping\"}\n\n", delta(b), ": comment\n\n", delta(c)),
		threat{name: "usage is told anew, not added", withstood: true, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			return script(true,
					sse("message_start", `"message":{"id":"msg_1","model":"claude-sonnet-4-5","usage":{"input_tokens":7,"cache_read_input_tokens":100,"output_tokens":1}}`),
					sse("message_delta", `"delta":{},"usage":{"output_tokens":10}`),
					sse("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":25}`),
					sse("message_stop", `"x":0`),
				), func(r *rig) string {
					r.post("/v1/messages", message(true, "hi"))
					if u := r.final().Usage; u == nil || *u != (proto.Usage{Input: 107, Output: 25, CacheRead: 100, Complete: true}) {
						return fmt.Sprintf("%+v", u)
					}
					return ""
				}
		}},
		threat{name: "an error in the midst of a stream", withstood: true, prepare: usual(func(r *rig) string {
			got := r.post("/v1/messages", message(true, "hi\n#text 20\n#error-after 5"))
			a := r.final()
			if got.status != 200 || got.err != nil || !strings.Contains(got.body, "event: error") || a.ErrorType == "" || a.Usage == nil || a.Usage.Complete {
				return fmt.Sprintf("%+v, record %+v", got, a)
			}
			return ""
		})},
		threat{name: "a stream that breaks off does not look complete", withstood: true, prepare: usual(func(r *rig) string {
			got := r.post("/v1/messages", message(true, "hi\n#text 20\n#break-after 5"))
			if a := r.final(); got.err == nil || a.Decision != proto.DecisionFailed || a.ErrorType != "upstream_broken" || a.Usage == nil || a.Usage.Complete {
				return fmt.Sprintf("%+v, record %+v", got, a)
			}
			return ""
		})},
	)
}

// sse is an event of Anthropic's.
func sse(kind, members string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"," + members + "}\n\n"
}

func delta(text string) string {
	return sse("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"`+text+`"}`)
}

// script is a provider that answers with pieces, each sent by itself.
func script(stream bool, pieces ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if stream {
			w.Header().Set("Content-Type", "text/event-stream")
		} else {
			w.WriteHeader(http.StatusUnauthorized)
		}
		for _, piece := range pieces {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	})
}

// spoken is the text of a Messages stream, put together as a client does.
func spoken(stream string) string {
	var text strings.Builder
	for line := range strings.Lines(stream) {
		data, ok := strings.CutPrefix(line, "data: ")
		var e struct{ Delta struct{ Text string } }
		if ok && json.Unmarshal([]byte(data), &e) == nil {
			text.WriteString(e.Delta.Text)
		}
	}
	return text.String()
}

// Connections neither leak nor hang.
func connectionThreats() []threat {
	soon := func(c *Config) { c.HeaderWait, c.IdleWait = 100*time.Millisecond, 100*time.Millisecond }
	// A client that gives up shows that the proxy would not have.
	hangs := func(name, endType, pieces string) threat {
		return threat{name: name, change: soon, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // so that the client's end is noticed
					if pieces != "" {
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, pieces)
						_ = http.NewResponseController(w).Flush()
					}
					<-r.Context().Done()
				}), func(r *rig) string {
					patience := time.Minute
					if r.proxy == nil {
						patience = time.Second // it has none of its own
					}
					ctx, cancel := context.WithTimeout(r.t.Context(), patience)
					defer cancel()
					err := ask(ctx, r.url)
					if ctx.Err() != nil {
						return "the client had to give up"
					}
					if a := r.final(); a.ErrorType != endType || a.Decision != proto.DecisionFailed {
						return fmt.Sprintf("%v, record %+v", err, a)
					}
					return ""
				}
		}}
	}
	return []threat{
		hangs("a provider that never answers", "upstream_timeout", ""),
		hangs("a connection that dies in the midst of a stream", "upstream_idle", delta("hello")),
		{name: "a client that goes is not worked for", withstood: true, prepare: usual(func(r *rig) string {
			ctx, cancel := context.WithCancel(r.t.Context())
			gone := make(chan error, 1)
			go func() { gone <- ask(ctx, r.url) }()
			bustest.Eventually(r.t, "the provider answers", func() bool { return r.provider.Active() == 1 })
			cancel()
			<-gone
			bustest.Eventually(r.t, "the provider is left alone", func() bool { return r.provider.Active() == 0 })
			if a := r.final(); a.ErrorType != "client_gone" || a.Usage != nil && a.Usage.Complete {
				return fmt.Sprintf("record %+v", a)
			}
			return ""
		})},
		{name: "a connection for each request", withstood: true, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			var from sync.Map
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					from.Store(r.RemoteAddr, nil)
					_, _ = io.WriteString(w, "{}")
				}), func(r *rig) string {
					for range 20 {
						r.post("/v1/messages", message(false, "hi"))
					}
					connections := 0
					from.Range(func(any, any) bool { connections++; return true })
					if connections != 1 {
						return fmt.Sprintf("%d connections for requests one after another", connections)
					}
					return ""
				}
		}},
		{name: "it listens to this machine only", withstood: true, prepare: usual(func(*rig) string {
			var c Config
			if err := config.Load(&c, nil); err != nil {
				return err.Error()
			}
			if host, _, _ := net.SplitHostPort(c.Addr); !net.ParseIP(host).IsLoopback() {
				return c.Addr
			}
			return ""
		})},
	}
}

// ask sends a request that the usual provider does not answer to its end, and
// waits for that.
func ask(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/messages", strings.NewReader(message(true, "hi\n#stall 3")))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Anthropic-Version", "2023-06-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
