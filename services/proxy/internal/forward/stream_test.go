package forward_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
)

// stream sends each event that comes in events, until the channel is closed or
// the request is cancelled, which it then tells on cancelled.
func stream(events <-chan string, cancelled chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case event, ok := <-events:
				if !ok {
					return
				}
				_, _ = io.WriteString(w, event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				cancelled <- struct{}{}
				return
			}
		}
	})
}

func TestEventsPassAsTheyCome(t *testing.T) {
	events := make(chan string)
	rig := newRig(t, stream(events, make(chan struct{}, 1)))
	response, err := rig.do(message(t.Context(), "{}"))
	if err != nil {
		t.Fatal(err) // the status is here before any event
	}
	defer response.Body.Close()
	reader := bufio.NewReader(response.Body)
	for range 3 {
		events <- "data: {}\n\n"
		line, err := reader.ReadString('\n')
		if err != nil || line != "data: {}\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		if _, err := reader.Discard(1); err != nil {
			t.Fatal(err)
		}
	}
	close(events)
	if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	if o := <-rig.outcomes; o.End != forward.Completed || o.Sent != 30 || o.Abort {
		t.Errorf("outcome %+v", o)
	}
}

func TestCompressedEventsPassAsTheyCome(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate"} {
		t.Run(encoding, func(t *testing.T) {
			next := make(chan struct{})
			rig := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.Header().Set("Content-Encoding", encoding)
				z := compressor(t, w, encoding)
				for range next {
					_, _ = io.WriteString(z, "data: {}\n\n")
					_ = z.Flush()
					_ = http.NewResponseController(w).Flush()
				}
				_ = z.Close()
			}))
			end := sync.OnceFunc(func() { close(next) })
			defer end()
			go func() { next <- struct{}{} }() // the first write also sends the status
			response, err := rig.do(message(t.Context(), "{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.Header["Content-Encoding"] != nil || response.Header["Content-Length"] != nil {
				t.Errorf("header %v", response.Header)
			}
			reader := bufio.NewReader(response.Body)
			for i := range 3 {
				if i > 0 {
					next <- struct{}{}
				}
				got := make([]byte, 10)
				if _, err := io.ReadFull(reader, got); err != nil || string(got) != "data: {}\n\n" {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			end()
			if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
				t.Errorf("got %q, %v", rest, err)
			}
		})
	}
}

// A JSON array that grows is how Gemini streams without alt=sse.
func TestOtherStreamsPassAsTheyCome(t *testing.T) {
	next := make(chan struct{})
	rig := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[{}")
		_ = http.NewResponseController(w).Flush()
		<-next
		_, _ = io.WriteString(w, ",{}]")
	}))
	response, err := rig.do(message(t.Context(), "{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got := make([]byte, 3)
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != "[{}" {
		t.Fatalf("got %q, %v", got, err)
	}
	close(next)
	if rest, err := io.ReadAll(response.Body); string(rest) != ",{}]" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestClientThatGoesEndsTheExchange(t *testing.T) {
	cancelled := make(chan struct{}, 1)
	events := make(chan string, 1)
	rig := newRig(t, stream(events, cancelled))
	ctx, cancel := context.WithCancel(t.Context())
	response, err := rig.do(message(ctx, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	cancel()
	<-cancelled
	if o := <-rig.outcomes; o.End != forward.ClientGone || !o.Abort {
		t.Errorf("outcome %+v", o)
	}
}

func TestClientThatGoesBeforeTheStatus(t *testing.T) {
	arrived, cancelled := make(chan struct{}), make(chan struct{})
	rig := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
		close(cancelled)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := rig.do(message(ctx, "{}")); err == nil {
		t.Error("there was an answer")
	}
	<-cancelled
	if o := <-rig.outcomes; o.End != forward.ClientGone || o.Status != 0 || !o.Abort {
		t.Errorf("outcome %+v", o)
	}
}

func TestBrokenStreamDoesNotEndLikeACompleteOne(t *testing.T) {
	rig := newRig(t, nil)
	upstreamSaying(t, rig, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n")
	response, err := rig.do(message(t.Context(), "{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if string(content) != "data: {}\n\n" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v", content, err)
	}
	if o := <-rig.outcomes; o.End != forward.UpstreamBroken || o.Status != 200 || !o.Abort {
		t.Errorf("outcome %+v", o)
	}
}
