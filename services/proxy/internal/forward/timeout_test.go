package forward_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
)

func TestTimeouts(t *testing.T) {
	t.Run("status", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rig := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}))
			start := time.Now()
			response, body := rig.post("{}")
			if response.StatusCode != 504 || time.Since(start) != 10*time.Minute {
				t.Errorf("status %d after %v", response.StatusCode, time.Since(start))
			}
			isAnthropicError(t, response, body, "timeout_error")
			if o := <-rig.outcomes; o.End != forward.UpstreamTimeout {
				t.Errorf("outcome %+v", o)
			}
		})
	})
	t.Run("body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events, cancelled := make(chan string), make(chan struct{}, 1)
			rig := newRig(t, stream(events, cancelled))
			go func() {
				for range 3 { // as a whole longer than the limit
					time.Sleep(4 * time.Minute)
					events <- "data: {}\n\n"
				}
			}()
			response, err := rig.do(message(t.Context(), "{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			content, err := io.ReadAll(response.Body)
			if len(content) != 30 || err == nil {
				t.Errorf("got %q, %v", content, err)
			}
			<-cancelled
			o := <-rig.outcomes
			if o.End != forward.UpstreamIdle || !o.Abort || o.Duration != 17*time.Minute || o.FirstByte != 4*time.Minute {
				t.Errorf("outcome %+v", o)
			}
		})
	})
	t.Run("body before its first byte", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rig := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}))
			response, body := rig.post("{}")
			if response.StatusCode != 504 {
				t.Errorf("status %d", response.StatusCode)
			}
			isAnthropicError(t, response, body, "timeout_error")
			if o := <-rig.outcomes; o.End != forward.UpstreamIdle || o.Abort {
				t.Errorf("outcome %+v", o)
			}
		})
	})
	t.Run("inspection is not idleness", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events := make(chan string)
			rig := newRig(t, stream(events, make(chan struct{}, 1)), func(r *rig) {
				r.answer = func(_ int, _ http.Header, body io.Reader) io.Reader {
					return readerFunc(func(p []byte) (int, error) {
						time.Sleep(time.Hour)
						return body.Read(p)
					})
				}
			})
			go func() {
				for range 3 {
					time.Sleep(61 * time.Minute)
					events <- "data: {}\n\n"
				}
				close(events)
			}()
			if response, body := rig.post("{}"); response.StatusCode != 200 || len(body) != 30 {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
			if o := <-rig.outcomes; o.End != forward.Completed {
				t.Errorf("outcome %+v", o)
			}
		})
	})
	t.Run("client that does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cancelled := make(chan struct{}, 1)
			events := make(chan string, 100)
			for range 100 {
				events <- "data: " + strings.Repeat("x", 1000) + "\n\n"
			}
			rig := newRig(t, stream(events, cancelled))
			response, err := rig.do(message(t.Context(), "{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			start := time.Now()
			<-cancelled
			if time.Since(start) != time.Minute {
				t.Errorf("ended after %v", time.Since(start))
			}
			if o := <-rig.outcomes; o.End != forward.ClientStalled || !o.Abort {
				t.Errorf("outcome %+v", o)
			}
		})
	})
}

// A dead HTTP/2 connection takes every request and answers none. It has to be
// found out by a ping, long before the timeout of a status.
func TestDeadHTTP2ConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t, nil, func(r *rig) { r.config.Base = "https://example.com" })
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("came by %s", r.Proto)
			}
			_, _ = io.WriteString(w, "{}")
		}))
		server.EnableHTTP2 = true
		server.Listener.Close()
		server.Listener = rig.behind
		server.StartTLS()
		defer server.Close()

		var dead *valve
		transport := rig.upstream.Transport()
		transport.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := rig.behind.dial(ctx, network, addr)
			dead = &valve{Conn: conn, shut: make(chan struct{})}
			return dead, err
		}
		if response, _ := rig.post("{}"); response.StatusCode != 200 {
			t.Fatalf("status %d", response.StatusCode)
		}
		close(dead.shut)
		start := time.Now()
		response, _ := rig.post("{}")
		if took := time.Since(start); response.StatusCode != 502 || took > time.Minute {
			t.Errorf("status %d after %v", response.StatusCode, took)
		}
		rig.upstream.Close()
	})
}

// valve is a connection that goes dead without a word: what is written vanishes.
type valve struct {
	net.Conn
	shut chan struct{}
}

func (v *valve) Write(p []byte) (int, error) {
	select {
	case <-v.shut:
		return len(p), nil
	default:
		return v.Conn.Write(p)
	}
}
