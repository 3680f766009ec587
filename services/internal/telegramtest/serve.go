package telegramtest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve serves l until ctx is done, then breaks off what is still being
// answered, closes l and returns nil. It returns an error if serving fails. It
// may be called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		close(s.shutdown)
		_ = server.Close()
	})
	err := server.Serve(l)
	if stop() {
		return fmt.Errorf("serving the fake Telegram: %w", err)
	}
	<-closed
	return nil
}

// testingT is what Start needs of a [testing.TB], which is not named here so
// that a program which is no test does not link that package.
type testingT interface {
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start serves on a free port of the loopback interface until the test ends and
// returns the URL, http://127.0.0.1:port without a slash at the end.
func (s *Server) Start(t testingT) string {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		t.Fatalf("opening a port for the fake Telegram: %v", err)
		return ""
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Fatalf("%v", err)
		}
	})
	return "http://" + l.Addr().String()
}
