package httpserve_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/internal/httpserve"
)

func TestServe(t *testing.T) {
	for _, tt := range []struct {
		name  string
		grace time.Duration
		ends  bool // the open request ends within grace
	}{
		{"an open request ends", time.Minute, true},
		{"an open request is cut off", time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			open, finish := make(chan struct{}), make(chan struct{})
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(open)
				select {
				case <-finish:
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "done") // fails where the connection was closed
			})}
			ctx, cancel := context.WithCancel(t.Context())
			served, answered := make(chan error, 1), make(chan error, 1)
			go func() { served <- httpserve.Serve(ctx, l, server, nil, tt.grace) }()
			go func() {
				response, err := http.Get("http://" + l.Addr().String())
				if err == nil {
					err = response.Body.Close()
				}
				answered <- err
			}()
			<-open
			cancel()
			if tt.ends {
				close(finish)
			}
			if err := <-answered; (err == nil) != tt.ends {
				t.Errorf("the open request: %v", err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestServeFails(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := httpserve.Serve(t.Context(), l, new(http.Server), nil, time.Second); err == nil {
		t.Error("a closed listener is served")
	}
}
