package forward

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

const wsKey = "sk-proj-0123456789abcdef"

// echo is a provider that opens a WebSocket, as far as the proxy can tell, and
// sends back what it gets. It notes the header of the request.
func echo(t *testing.T, header *http.Header) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*header = r.Header.Clone()
		if r.URL.RawQuery != "model=gpt-realtime" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSet-Cookie: a=b\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}))
	t.Cleanup(s.Close)
	return s
}

// tunnel serves a WebSocket route to upstream and returns its address.
func tunnel(t *testing.T, upstream string, outcomes chan<- Outcome) string {
	u, err := NewUpstream(UpstreamConfig{Provider: llmapi.OpenAI, Base: upstream, Key: config.NewSecret(wsKey)})
	if err != nil {
		t.Fatal(err)
	}
	table, err := NewTable([]Service{{Provider: llmapi.OpenAI}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.AllowWebSocket(); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, refusal := table.Match(r)
		if refusal != nil {
			refusal.Write(w, route.Provider, nil)
			return
		}
		outcomes <- u.Tunnel(w, r, route)
	}))
	t.Cleanup(func() { s.Close(); u.Close() })
	return strings.TrimPrefix(s.URL, "http://")
}

// open asks for path over WebSocket.
func open(t *testing.T, addr, path string) (net.Conn, *bufio.Reader, *http.Response) {
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2V5\r\n"+
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.caller\r\nAuthorization: Bearer caller\r\nCookie: caller\r\nOpenAI-Beta: realtime=v1\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return conn, reader, response
}

func TestTunnel(t *testing.T) {
	var header http.Header
	outcomes := make(chan Outcome, 1)
	conn, reader, response := open(t, tunnel(t, echo(t, &header).URL, outcomes), "/v1/realtime?model=gpt-realtime")
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != "websocket" || response.Header.Get("Set-Cookie") != "" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	if _, err := io.WriteString(conn, "frames\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := reader.ReadString('\n'); line != "frames\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
	conn.Close()
	if o := <-outcomes; o.Status != http.StatusSwitchingProtocols || o.End != Completed {
		t.Errorf("outcome %+v", o)
	}
	for name, values := range header {
		if strings.Contains(strings.Join(values, " "), "caller") {
			t.Errorf("%s: %q goes upstream", name, values)
		}
	}
	if header.Get("Authorization") != "Bearer "+wsKey || header.Get("Sec-Websocket-Protocol") != "realtime" || header.Get("Openai-Beta") != "realtime=v1" {
		t.Errorf("header %v", header)
	}
}

func TestTunnelFails(t *testing.T) {
	var header http.Header
	outcomes := make(chan Outcome, 1)
	_, _, response := open(t, tunnel(t, echo(t, &header).URL, outcomes), "/v1/realtime?model=other")
	if o := <-outcomes; response.StatusCode != http.StatusBadGateway || o.End != UpstreamBroken || o.Upstream != http.StatusBadRequest {
		t.Errorf("refused: %d, outcome %+v", response.StatusCode, o)
	}
	_, _, response = open(t, tunnel(t, "http://127.0.0.1:1", outcomes), "/v1/realtime")
	if o := <-outcomes; response.StatusCode != http.StatusBadGateway || o.End != UpstreamUnreachable {
		t.Errorf("unreachable: %d, outcome %+v", response.StatusCode, o)
	}
	_, _, response = open(t, tunnel(t, "http://127.0.0.1:1", outcomes), "/v1/responses")
	if response.StatusCode != http.StatusNotImplemented {
		t.Errorf("another route: %d", response.StatusCode)
	}
}
