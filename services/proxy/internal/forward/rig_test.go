package forward_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

const (
	testKey   = "sk-ant-api03-Zm9v/YmFy+QUJDREVGR0hJSktMTU5PUFFS-AA"
	testLimit = 1 << 20
)

// rig is a proxy between a client and one upstream. Its connections are in
// memory, so that it also works in a synctest bubble.
type rig struct {
	t        *testing.T
	config   forward.UpstreamConfig
	answer   func(status int, header http.Header, body io.Reader) io.Reader
	extra    []string
	client   *pipe // to the proxy
	behind   *pipe // from the proxy to the upstream
	upstream *forward.Upstream
	outcomes chan forward.Outcome // of each Forward
}

// newRig starts a proxy before handler. Each change is made before the start.
func newRig(t *testing.T, handler http.Handler, changes ...func(*rig)) *rig {
	t.Helper()
	r := &rig{
		t:        t,
		config:   forward.UpstreamConfig{Provider: llmapi.Anthropic, Base: "http://provider.test", Key: config.NewSecret(testKey)},
		client:   newPipe(),
		behind:   newPipe(),
		outcomes: make(chan forward.Outcome, 16),
	}
	for _, change := range changes {
		change(r)
	}
	var err error
	if r.upstream, err = forward.NewUpstream(r.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.upstream.Close)
	r.upstream.Transport().DialContext = r.behind.dial
	if handler != nil {
		serve(t, r.behind, handler)
	}
	serve(t, r.client, r.handler())
	return r
}

// handler does what the proxy's own does, as far as this package is concerned.
func (r *rig) handler() http.Handler {
	table, err := forward.NewTable([]forward.Service{{Provider: r.config.Provider}}, r.extra)
	if err != nil {
		r.t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		route, refusal := table.Match(req)
		if refusal != nil {
			refusal.Write(w, route.Provider, nil)
			return
		}
		body, err := forward.ReadBody(w, req, testLimit, new(room))
		if refusal, ok := errors.AsType[llmapi.Error](err); ok {
			refusal.Write(w, route.Provider, nil)
			return
		}
		outcome := r.upstream.Forward(w, req, forward.Exchange{Route: route, Body: body, Answer: r.answer})
		r.outcomes <- outcome
		if outcome.Abort {
			panic(http.ErrAbortHandler)
		}
	})
}

// do sends a request through the proxy on a connection of its own.
func (r *rig) do(req *http.Request) (*http.Response, error) {
	transport := &http.Transport{DialContext: r.client.dial, DisableKeepAlives: true, DisableCompression: true}
	return transport.RoundTrip(req)
}

// post sends body to /v1/messages and returns the answer with its body.
func (r *rig) post(body string) (*http.Response, string) {
	r.t.Helper()
	response, err := r.do(message(r.t.Context(), body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response, string(content)
}

// raw sends bytes through the proxy and returns the answer to them.
func (r *rig) raw(text string) (*http.Response, string) {
	r.t.Helper()
	conn, err := r.client.dial(r.t.Context(), "", "")
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, text) }() // ends when conn is closed
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	for err == nil && response.StatusCode < 200 {
		response, err = http.ReadResponse(reader, nil)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response, string(content)
}

// message is a request to Anthropic's Messages API.
func message(ctx context.Context, body string) *http.Request {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v1/messages", strings.NewReader(body))
	req.RequestURI = "" // a client's request has none
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Anthropic-Version", "2023-06-01")
	return req
}

// serve runs a server on p until the test ends.
func serve(t *testing.T, p *pipe, handler http.Handler) {
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(p) // always ends with an error, here by Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
}

// pipe is a listener in memory.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipe() *pipe { return &pipe{make(chan net.Conn), make(chan struct{})} }

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipe) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

// Addr implements net.Listener.
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
