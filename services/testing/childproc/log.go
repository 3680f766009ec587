package childproc

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
)

// Log keeps the last lines that processes have logged, for the day a test fails.
// The zero Log is ready for use.
type Log struct {
	mu    sync.Mutex
	lines []string
}

const logLines = 600

// Add adds a line.
func (l *Log) Add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == logLines {
		l.lines = append(l.lines[:0], l.lines[logLines/2:]...)
	}
	l.lines = append(l.lines, line)
}

// String returns the lines.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// lineWriter hands complete lines on.
type lineWriter struct {
	take    func(line string)
	pending []byte
}

// Write implements [io.Writer].
func (w *lineWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	for {
		line, rest, found := bytes.Cut(w.pending, []byte{'\n'})
		if !found {
			return len(p), nil
		}
		w.take(string(line))
		w.pending = rest
	}
}

// Output collects what a command writes, in a file: to a command it is what a
// terminal is.
type Output struct{ *os.File }

// NewOutput makes a file in dir, which is closed when the test ends.
func NewOutput(t testing.TB, dir string) Output {
	t.Helper()
	f, err := os.CreateTemp(dir, "output-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return Output{f}
}

// String returns what has been written so far.
func (o Output) String() string {
	text, err := os.ReadFile(o.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}
