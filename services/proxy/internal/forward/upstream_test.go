package forward_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
)

func TestRedirectIsRefused(t *testing.T) {
	for _, status := range []int{301, 302, 303, 304, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			rig := newRig(t, answering(status, http.Header{"Location": {"http://evil.test/"}}, ""))
			response, body := rig.post("{}")
			if response.StatusCode != 502 || response.Header["Location"] != nil {
				t.Errorf("got %d %v", response.StatusCode, response.Header)
			}
			isAnthropicError(t, response, body, "api_error")
			if o := <-rig.outcomes; o.End != forward.UpstreamRedirect || o.Upstream != status || o.Status != 502 || o.Abort {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// upstreamSaying is an upstream that reads one request on each connection and
// answers with these bytes, then closes.
func upstreamSaying(t *testing.T, r *rig, text string) {
	var conns []net.Conn
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := r.behind.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(conn, text)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		r.behind.Close()
		<-ended
	})
}

func TestUpstreamThatBreaks(t *testing.T) {
	tests := []struct {
		name, text string
		end        forward.End
	}{
		{"says nothing", "", forward.UpstreamUnreachable},
		{"speaks no HTTP and echoes the key", "550 " + testKey + "\r\n\r\n", forward.UpstreamUnreachable},
		{"breaks off before the body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", forward.UpstreamBroken},
		{"switches protocols", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", forward.UpstreamRedirect},
		{"unknown encoding", "HTTP/1.1 200 OK\r\nContent-Encoding: compress\r\nContent-Length: 0\r\n\r\n", forward.UpstreamEncoding},
		{"two encodings", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br\r\nContent-Length: 0\r\n\r\n", forward.UpstreamEncoding},
		{"not what the encoding says", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nno gzip here", forward.UpstreamBroken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rig := newRig(t, nil)
			upstreamSaying(t, rig, test.text)
			response, body := rig.post("{}")
			if response.StatusCode != 502 {
				t.Errorf("status %d", response.StatusCode)
			}
			isAnthropicError(t, response, body, "api_error")
			o := <-rig.outcomes
			if o.End != test.end || o.Err == nil || o.Abort {
				t.Errorf("outcome %+v", o)
			}
			if strings.Contains(o.Err.Error()+body, testKey) {
				t.Errorf("the key is shown: %v, %s", o.Err, body)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	rig := newRig(t, nil)
	rig.behind.Close()
	response, body := rig.post("{}")
	if response.StatusCode != 502 {
		t.Errorf("status %d", response.StatusCode)
	}
	isAnthropicError(t, response, body, "api_error")
	if o := <-rig.outcomes; o.End != forward.UpstreamUnreachable || o.Upstream != 0 {
		t.Errorf("outcome %+v", o)
	}
}

// A kept connection that breaks is where the transport would ask again by
// itself: for GET, and for what has an idempotency key.
func TestNothingIsSentTwice(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	requests := map[string]func(context.Context) *http.Request{
		"GET": func(ctx context.Context) *http.Request {
			r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost/v1/models", nil)
			r.RequestURI = ""
			return r
		},
		"POST with an idempotency key": func(ctx context.Context) *http.Request {
			r := message(ctx, "{}")
			r.Header.Set("Idempotency-Key", "1")
			return r
		},
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t, nil)
			arrived := make(chan int, 10)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for n := 1; ; n++ {
					conn, err := rig.behind.Accept()
					if err != nil {
						return
					}
					reader := bufio.NewReader(conn)
					for i := range 2 {
						request, err := http.ReadRequest(reader)
						if err != nil {
							break
						}
						_, _ = io.Copy(io.Discard, request.Body)
						arrived <- n
						if i == 0 {
							_, _ = io.WriteString(conn, answer)
						}
					}
					conn.Close()
				}
			}()
			t.Cleanup(func() {
				rig.upstream.Close()
				rig.behind.Close()
				<-ended
			})
			for i, want := range []int{200, 502} {
				response, err := rig.do(request(t.Context()))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if response.StatusCode != want {
					t.Errorf("status %d of request %d, want %d", response.StatusCode, i, want)
				}
			}
			if len(arrived) != 2 || <-arrived != 1 || <-arrived != 1 {
				t.Error("the second request did not come once, on the first connection")
			}
		})
	}
}
