package forward_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
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
