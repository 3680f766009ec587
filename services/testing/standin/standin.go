// Package standin serves stand-ins for servers of others over HTTP.
package standin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve serves l until ctx is done, then calls stopping if it is not nil, breaks
// off what is still being answered, closes l and returns nil. It returns an error
// if serving fails. The context of requests ends with ctx.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, stopping func()) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		if stopping != nil {
			stopping()
		}
		_ = server.Close()
	})
	err := server.Serve(l)
	if stop() {
		return fmt.Errorf("serving a stand-in: %w", err)
	}
	<-closed
	return nil
}

// T is what Start needs of a [testing.TB], which is not named here so that a
// program which is not a test does not link that package.
type T interface {
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start has serve serve a free port of the loopback interface until the test ends
// and returns the URL, http://127.0.0.1:port without a slash at the end.
func Start(t T, serve func(context.Context, net.Listener) error) string {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		t.Fatalf("opening a port for a stand-in: %v", err)
		return ""
	}
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Fatalf("%v", err)
		}
	})
	return "http://" + l.Addr().String()
}
