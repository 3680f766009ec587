package bustest

import (
	"io"
	"log/slog"
	"sync"
	"testing"
)

// Log returns a logger that writes into the test's output for as long as the
// test runs: what a connection reports while it closes can come after that.
func Log(t testing.TB) *slog.Logger {
	w := &output{w: t.Output()}
	t.Cleanup(w.stop)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type output struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = io.Discard
}
