package forward_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
)

// arrival is a request as it came upstream: on which connection, and its body.
type arrival struct {
	conn int
	body string
}

// upstreamPlan is an HTTP/1 upstream that answers the nth request by plan: "ok" answers,
// "close" closes the connection without a byte, "late" does so after a minute, "part" does
// so behind half a status line.
func upstreamPlan(r *rig, plan ...string) <-chan arrival {
	arrived := make(chan arrival, 10)
	ended := make(chan struct{})
	serve := func(n int, conn net.Conn) {
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(request.Body)
			arrived <- arrival{n, string(body)}
			step := "ok"
			if len(plan) > 0 {
				step, plan = plan[0], plan[1:]
			}
			switch step {
			case "ok":
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				continue
			case "late":
				time.Sleep(time.Minute)
			case "part":
				_, _ = io.WriteString(conn, "HTTP/1.1 2")
			}
			return
		}
	}
	go func() {
		defer close(ended)
		for n := 1; ; n++ {
			conn, err := r.behind.Accept()
			if err != nil {
				return
			}
			serve(n, conn)
		}
	}()
	r.t.Cleanup(func() {
		r.upstream.Close()
		r.behind.Close()
		<-ended
	})
	return arrived
}

// A kept connection that is closed under a request, before there is a byte of an answer,
// costs no more than a second attempt. Anything else is not sent twice.
func TestAClosedConnectionIsTriedOnceMore(t *testing.T) {
	get := func(ctx context.Context) *http.Request {
		r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost/v1/models", nil)
		r.RequestURI = ""
		return r
	}
	post := func(ctx context.Context) *http.Request { return message(ctx, `{"a":1}`) }
	named := func(ctx context.Context) *http.Request {
		r := post(ctx)
		r.Header.Set("Idempotency-Key", "1")
		return r
	}
	tests := []struct {
		name    string
		request func(context.Context) *http.Request
		plan    []string
		status  int   // of the last request
		conns   []int // of each arrival
	}{
		{"kept", post, []string{"ok", "close"}, 200, []int{1, 1, 2}},
		{"kept, GET", get, []string{"ok", "close"}, 200, []int{1, 1, 2}},
		{"kept, idempotency key", named, []string{"ok", "close"}, 200, []int{1, 1, 2}},
		{"kept, and the next closes as well", post, []string{"ok", "close", "close"}, 502, []int{1, 1, 2}},
		{"kept, idempotency key, and the next closes as well", named, []string{"ok", "close", "close"}, 502, []int{1, 1, 2}},
		{"kept, in the middle of the status", post, []string{"ok", "part"}, 502, []int{1, 1}},
		{"kept, but it has worked for long", post, []string{"ok", "late"}, 502, []int{1, 1}},
		{"kept, but it has worked for long, idempotency key", named, []string{"ok", "late"}, 502, []int{1, 1}},
		{"new", post, []string{"close"}, 502, []int{1}},
		{"new, idempotency key", named, []string{"close"}, 502, []int{1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := newRig(t, nil)
				arrived := upstreamPlan(rig, test.plan...)
				requests := 1
				if test.plan[0] == "ok" {
					requests = 2
				}
				for i := range requests {
					response, err := rig.do(test.request(t.Context()))
					if err != nil {
						t.Fatal(err)
					}
					response.Body.Close()
					want := 200
					if i == requests-1 {
						want = test.status
					}
					if response.StatusCode != want {
						t.Errorf("status %d of request %d, want %d", response.StatusCode, i+1, want)
					}
				}
				var conns []int
				for len(arrived) > 0 {
					a := <-arrived
					if conns = append(conns, a.conn); a.body != "" && a.body != `{"a":1}` {
						t.Errorf("arrived with %q", a.body)
					}
				}
				if !slices.Equal(conns, test.conns) {
					t.Errorf("came on the connections %v, want %v", conns, test.conns)
				}
			})
		})
	}
}

// HTTP/2, as much of it as an upstream needs that says which streams it has not processed
// (RFC 9113).
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7

	flagEnd, flagEndHeaders = 1, 4
	refusedStream           = 7
)

// serve2 serves HTTP/2 on conn. It answers each stream but the one for which refuse writes
// something else.
func serve2(conn net.Conn, streams chan<- string, name string, refuse func(stream uint32) []byte) error {
	if _, err := io.ReadFull(conn, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return err
	}
	frame := func(kind, flags byte, stream uint32, payload []byte) []byte {
		b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
		return append(binary.BigEndian.AppendUint32(b, stream), payload...)
	}
	if _, err := conn.Write(frame(frameSettings, 0, 0, nil)); err != nil {
		return err
	}
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			return err
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		var answer []byte
		switch {
		case kind == frameSettings && flags == 0:
			answer = frame(frameSettings, 1, 0, nil)
		case (kind == frameHeaders || kind == frameData) && flags&flagEnd != 0:
			streams <- fmt.Sprintf("%s %d", name, stream)
			if answer = refuse(stream); answer == nil {
				answer = append(frame(frameHeaders, flagEndHeaders, stream, []byte{0x88}), // :status 200
					frame(frameData, flagEnd, stream, []byte("{}"))...)
			} else {
				answer = frame(answer[0], 0, binary.BigEndian.Uint32(answer[1:]), answer[5:])
			}
		}
		if _, err := conn.Write(answer); err != nil {
			return err
		}
	}
}

// What an HTTP/2 server says it has not processed is sent once more, and no more than that.
func TestAnUnprocessedStreamIsTriedOnceMore(t *testing.T) {
	word := func(v ...uint32) (b []byte) {
		for _, v := range v {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		return b
	}
	goAway := append([]byte{frameGoAway}, word(0, 1, 0)...) // stream 1 is the last that was processed, no error
	refused := func(stream uint32) []byte { return append([]byte{frameReset}, word(stream, refusedStream)...) }
	tests := []struct {
		name    string
		refuse  func(conn int, stream uint32) []byte
		status  int
		streams []string
	}{
		{"GOAWAY", func(conn int, stream uint32) []byte {
			if conn == 1 && stream == 3 {
				return goAway
			}
			return nil
		}, 200, []string{"1 1", "1 3", "2 1"}},
		{"REFUSED_STREAM", func(_ int, stream uint32) []byte {
			if stream == 3 {
				return refused(stream)
			}
			return nil
		}, 200, []string{"1 1", "1 3", "1 5"}},
		{"REFUSED_STREAM again", func(_ int, stream uint32) []byte {
			if stream >= 3 {
				return refused(stream)
			}
			return nil
		}, 502, []string{"1 1", "1 3", "1 5"}},
		{"another error", func(_ int, stream uint32) []byte {
			if stream == 3 {
				return append([]byte{frameReset}, word(stream, 2)...) // INTERNAL_ERROR
			}
			return nil
		}, 502, []string{"1 1", "1 3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			certified := httptest.NewTLSServer(nil)
			defer certified.Close()
			rig := newRig(t, nil, func(r *rig) { r.config.Base = "https://example.com" })
			rig.upstream.Transport().TLSClientConfig = &tls.Config{RootCAs: certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
			// Not in memory: both sides write at once, and somebody has to hold that.
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			rig.upstream.Transport().DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
			}
			streams := make(chan string, 10)
			var served sync.WaitGroup
			served.Go(func() {
				for n := 1; ; n++ {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					secure := tls.Server(conn, &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
					served.Go(func() {
						defer secure.Close()
						_ = serve2(secure, streams, fmt.Sprint(n), func(stream uint32) []byte { return test.refuse(n, stream) }) // ends with the connection
					})
				}
			})
			t.Cleanup(func() {
				rig.upstream.Close()
				listener.Close()
				served.Wait()
			})
			if response, body := rig.post("{}"); response.StatusCode != 200 {
				t.Fatalf("status %d: %s", response.StatusCode, body)
			}
			<-rig.outcomes
			response, body := rig.post("{}")
			o := <-rig.outcomes
			if response.StatusCode != test.status || test.status == 502 && o.End != forward.UpstreamUnreachable {
				t.Errorf("status %d: %s; %+v", response.StatusCode, body, o)
			}
			var came []string
			for len(streams) > 0 {
				came = append(came, <-streams)
			}
			if !slices.Equal(came, test.streams) {
				t.Errorf("streams %s, want %s", strings.Join(came, ", "), strings.Join(test.streams, ", "))
			}
		})
	}
}
