//go:build unix

package answer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// The end of a line, and of an event, is found without a look at what follows:
// to search the rest for another kind of end would take the square of the time.
// What follows is memory that may not be read.
func TestFramesLookNoFurther(t *testing.T) {
	page := os.Getpagesize()
	memory, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(memory)
	if err := syscall.Mprotect(memory[page:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for _, in := range []string{"data: 1\n", "data: 1\r", "\r", "\n"} {
		start := page - copy(memory[page-len(in):page], in)
		if got := lineEnd(memory[start:]); got != len(in)-1 {
			t.Errorf("%q ends at %d", in, got)
		}
	}
	for _, in := range []string{"data: 1\n\n", "data: 1\r\rd", "a\rb\rc\r\rd", "data: 1\r\n\r\n"} {
		start := page - copy(memory[page-len(in):page], in)
		var f frames
		if ev, n := f.next(memory[start:], false); n != len(strings.TrimSuffix(in, "d")) || len(ev.raw) != n {
			t.Errorf("%q: an event of %d bytes", in, n)
		}
	}
}

// An answer whose client has gone ends between two events.
func TestReadEndsWithTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	events := 0
	r := NewReader(strings.NewReader(strings.Repeat("data: {}\r\r", 1000)), Options{
		API: llmapi.ChatCompletions, Stream: true, Judge: func(llmapi.ToolCall) error { return nil },
		Canceled: func() error {
			if events++; events == 10 {
				cancel()
			}
			return ctx.Err()
		},
	})
	out, err := io.ReadAll(r)
	if !errors.Is(err, context.Canceled) || bytes.Count(out, []byte("data")) > 10 || events != 10 {
		t.Errorf("read %q and %v in %d steps", out, err, events)
	}
}
