package follow

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/testenv"
)

// tortureTime is how long each mode runs.
func tortureTime(t *testing.T) time.Duration { return testenv.Duration(t, 2*time.Second) }

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
			deadline := time.Now().Add(tortureTime(t))
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
	ctx, cancel := context.WithTimeout(t.Context(), tortureTime(t)+20*time.Second)
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
	stop := time.After(tortureTime(t) / time.Duration(4*len(writerModes)))
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
