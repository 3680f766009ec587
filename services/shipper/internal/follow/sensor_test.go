package follow

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writerMode is how a sensor and its log rotation treat their file.
type writerMode struct {
	name     string
	pattern  string
	noAppend bool // the writer opens the file without O_APPEND
	cut      bool // rotation copies and truncates instead of renaming
	dated    bool // rotated names carry a date
	stamped  bool // the writer itself opens a new name each time
	threads  int  // writers of one file each; 0 means one
}

var writerModes = []writerMode{
	{name: "rename", pattern: "eve.json"},
	{name: "rename to dates", pattern: "eve.json", dated: true},
	{name: "copytruncate", pattern: "eve.json", cut: true},
	{name: "copytruncate leaving holes", pattern: "eve.json", cut: true, noAppend: true},
	{name: "rotate-interval", pattern: "eve-*.json", stamped: true},
	{name: "threads", pattern: "eve.*.json", threads: 3},
	{name: "threads and copytruncate", pattern: "eve.*.json", threads: 2, cut: true},
}

// tortured is a sensor that writes numbered lines in pieces, and its rotation.
type tortured struct {
	writerMode
	t    *testing.T
	dir  string
	base string // the name it writes
	rng  *rand.Rand
	file *os.File

	lines     int // begun
	pending   []byte
	rotations int
	moved     bool     // the open file was renamed
	names     []string // rotated, newest last
}

// newTortured returns the sensor's writers, one for each thread.
func newTortured(t *testing.T, mode writerMode, dir string, rng *rand.Rand) []*tortured {
	var all []*tortured
	for thread := range max(1, mode.threads) {
		w := &tortured{writerMode: mode, t: t, dir: dir, base: "eve.json", rng: rng}
		if mode.threads > 0 {
			w.base = fmt.Sprintf("eve.%d.json", thread)
		}
		w.reopen()
		t.Cleanup(func() { w.file.Close() })
		all = append(all, w)
	}
	return all
}

func (w *tortured) check(err error) {
	if err != nil {
		w.t.Error(err)
	}
}

func (w *tortured) path(name string) string { return filepath.Join(w.dir, name) }

func (w *tortured) current() string {
	if w.stamped {
		return fmt.Sprintf("eve-%d.json", 1_700_000_000+w.rotations)
	}
	return w.base
}

func (w *tortured) reopen() {
	if w.file != nil {
		w.check(w.file.Close())
	}
	flags := os.O_CREATE | os.O_WRONLY
	if !w.noAppend {
		flags |= os.O_APPEND
	}
	var err error
	w.file, err = os.OpenFile(w.path(w.current()), flags, 0o600)
	w.check(err)
	w.moved = false
}

// write writes a piece of a line, or up to a few lines.
func (w *tortured) write() {
	for range 1 + w.rng.IntN(4) {
		w.lines++
		w.pending = append(w.pending, tortureLine(w.lines)...)
		w.pending = append(w.pending, '\n')
	}
	n := 1 + w.rng.IntN(len(w.pending))
	if w.rng.IntN(3) > 0 {
		n = len(w.pending)
	}
	_, err := w.file.Write(w.pending[:n])
	w.check(err)
	w.pending = w.pending[:copy(w.pending, w.pending[n:])]
}

func (w *tortured) flush() {
	_, err := w.file.Write(w.pending)
	w.check(err)
	w.pending = w.pending[:0]
}

// tortureLine is the line with a number; its length depends on that, too.
func tortureLine(n int) string {
	return fmt.Sprintf("%d %s", n, strings.Repeat("x", n*7919%400))
}

// rotate does a step of a rotation.
func (w *tortured) rotate() {
	switch {
	case w.moved, w.stamped:
		w.flush()
		w.rotations++
		w.reopen()
	case w.cut:
		w.flush()
		b, err := os.ReadFile(w.path(w.base))
		w.check(err)
		if len(bytes.Trim(b, "\x00")) == 0 {
			return
		}
		w.rotations++
		w.check(os.WriteFile(w.path(w.freeName()), b, 0o600))
		w.check(os.Truncate(w.path(w.base), 0))
	default:
		w.rotations++
		w.check(os.Rename(w.path(w.base), w.path(w.freeName())))
		w.moved = true
	}
}

// freeName makes room for a rotated file.
func (w *tortured) freeName() string {
	if w.dated {
		name := fmt.Sprintf("%s-%d", w.base, 20240101+w.rotations)
		w.names = append(w.names, name)
		return name
	}
	for i, old := range w.names {
		name := fmt.Sprintf("%s.%d", w.base, len(w.names)-i+1)
		if strings.HasSuffix(old, ".gz") {
			name += ".gz"
		}
		w.check(os.Rename(w.path(old), w.path(name)))
		w.names[i] = name
	}
	w.names = append(w.names, w.base+".1")
	return w.base + ".1"
}

// compress compresses a rotated file that is not written any more.
func (w *tortured) compress() {
	newest := len(w.names)
	if w.moved {
		newest--
	}
	for i, name := range w.names[:newest] {
		if strings.HasSuffix(name, ".gz") || w.rng.IntN(2) == 0 {
			continue
		}
		(&rig{t: w.t, dir: w.dir}).gzip(name)
		w.names[i] = name + ".gz"
		return
	}
}
