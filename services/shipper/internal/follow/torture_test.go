package follow

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var tortureFor = flag.Duration("torture", 2*time.Second, "how long each mode of the torture tests runs")

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

// failureLog returns a logger whose output is shown if the test fails.
func failureLog(t *testing.T) *slog.Logger {
	var log bytes.Buffer
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// judge checks that the lines of each writer come one after another, once each.
type judge struct {
	t       *testing.T
	writers []*tortured
	last    []int // number of the line before the next, for each writer
}

func newJudge(t *testing.T, writers []*tortured) *judge {
	return &judge{t: t, writers: writers, last: make([]int, len(writers))}
}

func (j *judge) see(l *Line) bool {
	j.t.Helper()
	i := 0
	if len(j.writers) > 1 {
		i = slices.IndexFunc(j.writers, func(w *tortured) bool { return strings.HasPrefix(l.File, w.path(w.base)) })
	}
	if i < 0 {
		j.t.Errorf("%s in %s", show(l), l.File)
		return false
	}
	if got, want := show(l), tortureLine(j.last[i]+1); got != want {
		j.t.Errorf("after line %d in %s %s at %d: got %.60q, want %.60q", j.last[i], l.File, l.Generation, l.Start, got, want)
		return false
	}
	j.last[i]++
	return true
}

// seenAll reports whether all that was written was seen.
func (j *judge) seenAll() bool {
	for i, w := range j.writers {
		if j.last[i] != w.lines {
			return false
		}
	}
	return true
}

// TestTortureSteps mixes writing, rotation, reading and restarts in one
// goroutine, so that a failure can be repeated from its seed.
func TestTortureSteps(t *testing.T) {
	for _, mode := range writerModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			deadline := time.Now().Add(*tortureFor)
			for seed := uint64(0); !t.Failed() && (seed < 10 || time.Now().Before(deadline)); seed++ {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					tortureSteps(t, mode, rand.New(rand.NewPCG(seed, 1)))
				})
			}
		})
	}
}

func tortureSteps(t *testing.T, mode writerMode, rng *rand.Rand) {
	r := newRig(t, Config{Path: mode.pattern, Logger: failureLog(t)})
	r.f.block = 1 << (6 + rng.IntN(8))
	writers := newTortured(t, mode, r.dir, rng)
	r.f.step(1) // without a checkpoint, what is rotated before is not read
	j := newJudge(t, writers)
	readOnce := func() (more, ok bool) {
		again := r.f.step(1 + rng.IntN(20))
		b := &r.f.batch
		crash := -1
		if len(b.Lines) > 0 && rng.IntN(6) == 0 {
			crash = rng.IntN(len(b.Lines))
		}
		for i := range b.Lines {
			if !j.see(&b.Lines[i]) {
				return false, false
			}
			if i == crash {
				mark := string(b.AppendCheckpoint(nil, i))
				block := r.f.block
				r.cfg.Logger.Info("restart", "from", mark)
				r.stop()
				r.start(mark)
				r.f.block = block
				return true, true
			}
		}
		return again || len(b.Lines) > 0, true
	}
	for range 300 {
		w := writers[rng.IntN(len(writers))]
		switch rng.IntN(12) {
		case 0:
			w.rotate()
		case 1:
			w.compress()
		case 2:
			r.now = r.now.Add(r.f.cfg.PollInterval)
		case 3:
			if rng.IntN(5) == 0 {
				r.pass()
			}
		case 4, 5, 6, 7:
			w.write()
		default:
			if _, ok := readOnce(); !ok {
				return
			}
		}
	}
	for _, w := range writers {
		w.flush()
	}
	for idle := 0; idle < 3; {
		more, ok := readOnce()
		if !ok {
			return
		}
		if !more {
			r.pass()
			idle++
		}
	}
	if !j.seenAll() {
		t.Errorf("only %d lines were returned", j.last)
	}
	if s := r.f.Stats(); s.Gaps != 0 || s.LagBytes != 0 || s.OpenFiles > len(writers) {
		t.Errorf("stats: %+v", s)
	}
}

// TestTorture has writer and reader race, with notifications and without, and a
// reader that is faster or slower than the writer.
func TestTorture(t *testing.T) {
	for _, mode := range writerModes {
		for _, slow := range []bool{false, true} {
			for _, pollOnly := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/slow=%t/poll only=%t", mode.name, slow, pollOnly), func(t *testing.T) {
					torture(t, mode, slow, pollOnly)
				})
			}
		}
	}
}

func torture(t *testing.T, mode writerMode, slow, pollOnly bool) {
	dir := t.TempDir()
	cfg := Config{
		Path: filepath.Join(dir, mode.pattern), PollOnly: pollOnly,
		PollInterval: time.Millisecond, Grace: 100 * time.Millisecond,
	}
	cfg.Logger = failureLog(t)
	rng := rand.New(rand.NewPCG(2, 2))
	writerRand := rand.New(rand.NewPCG(3, 3))
	writers := newTortured(t, mode, dir, writerRand)
	ctx, cancel := context.WithTimeout(t.Context(), *tortureFor+20*time.Second)
	var writer sync.WaitGroup
	defer func() {
		cancel()
		writer.Wait()
	}()

	f, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { f.Close() }()
	f.step(1) // without a checkpoint, what is rotated before is not read

	// A slow reader lets the writer get ahead by thousands of lines, a fast one
	// by a few.
	ahead := make(chan struct{}, 8)
	if slow {
		ahead = make(chan struct{}, 4096)
	}
	written := make(chan struct{})
	stop := time.After(*tortureFor / time.Duration(4*len(writerModes)))
	writer.Go(func() {
		defer close(written)
		for {
			select {
			case <-stop:
				for _, w := range writers {
					w.flush()
				}
				return
			case <-ctx.Done():
				return
			case ahead <- struct{}{}:
			}
			w := writers[writerRand.IntN(len(writers))]
			switch writerRand.IntN(60) {
			case 0:
				w.rotate()
			case 1:
				w.compress()
			default:
				w.write()
			}
		}
	})

	j := newJudge(t, writers)
	for finished := false; !finished || !j.seenAll(); {
		wait, stopWaiting := context.WithTimeout(ctx, 100*time.Millisecond)
		b, err := f.Next(wait, 1+rng.IntN(1000))
		stopWaiting()
		if ctx.Err() != nil {
			t.Fatalf("after line %d: %v, %+v", j.last, err, f.Stats())
		}
		select {
		case <-written:
			finished = true
		default:
		}
		drained := false
		for !drained {
			select {
			case <-ahead:
				drained = slow && rng.IntN(8) > 0
			default:
				drained = true
			}
		}
		if err != nil {
			continue
		}
		crash := len(b.Lines)
		if rng.IntN(10) == 0 {
			crash = rng.IntN(len(b.Lines))
		}
		for i := range b.Lines {
			if !j.see(&b.Lines[i]) {
				return
			}
			if i == crash {
				cfg.From, err = ParseCheckpoint(string(b.AppendCheckpoint(nil, i)))
				if err != nil {
					t.Fatal(err)
				}
				cfg.Logger.Info("restart", "from", cfg.From)
				f.Close()
				if f, err = Open(cfg); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
	}
	if s := f.Stats(); s.Gaps != 0 || s.UnterminatedLines != 0 {
		t.Errorf("stats: %+v", s)
	}
	t.Logf("%d lines, %d rotations", j.last, writers[0].rotations)
}
