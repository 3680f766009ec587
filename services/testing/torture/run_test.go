package torture

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"
)

// target is what is tortured: something that reads files and stores their lines.
type target interface {
	// do carries out a step of a schedule. An error is a fault of the target.
	do(act) error
	// stored returns how many records are stored. An error says that it cannot
	// be known just now. Unlike the others it may be called at any time.
	stored(context.Context) (int, error)
	// records yields all that is stored, in order.
	records(context.Context) iter.Seq2[record, error]
	// patience is how long it may store nothing although there is something to
	// store.
	patience() time.Duration
	// story returns what its processes have logged last.
	story() string
}

// work is how much is written in a run, and how much happens meanwhile.
type work struct {
	time  time.Duration // that writing takes
	rate  int           // lines per second, of all writers together
	seed  uint64
	kills int // of the reader
	// rotations of each writer, about; no more than keep files are kept.
	rotations, keep int
}

// lines is how many lines all writers write together.
func (w work) lines(m mode) int {
	return int(w.time.Seconds()*float64(w.rate)) / m.writers * m.writers
}

func (w work) task(m mode, dir string) task {
	lines := w.lines(m) / m.writers
	return task{
		Mode: m.name, Dir: dir, Lines: lines, Script: script{Seed: w.seed, Pad: usualPad},
		Rate: w.rate / m.writers, Segment: max(2, lines/(w.rotations+1)), Keep: w.keep,
	}
}

const (
	pollInterval = 50 * time.Millisecond
	// quiet is for how long nothing must be stored before the result counts, if
	// there is as much as there should be, and longQuiet if there is less. They
	// only bound how late something superfluous is still noticed.
	quiet     = 600 * time.Millisecond
	longQuiet = 2 * time.Second
	// runTimeout bounds a run, besides some times the time of its writing.
	runTimeout = 2 * time.Minute
)

// torture runs a writer and a schedule against the target that start starts for
// a path, and returns how what is stored then compares with what was written.
func torture(t *testing.T, m mode, plan schedule, w work, start func(path string) target) verdict {
	t.Helper()
	dir := t.TempDir()
	job := w.task(m, dir)
	x := start(filepath.Join(dir, m.path))

	timeout, stop := context.WithTimeoutCause(t.Context(), runTimeout+3*w.time, errors.New("the run takes too long"))
	defer stop()
	ctx, cancel := context.WithCancelCause(timeout)
	writer, err := startWriter(ctx, cancel, job, x)
	defer func() {
		cancel(nil)
		writer.end()
	}()
	if err != nil {
		t.Fatal(err)
	}
	fail := func(err error) {
		t.Helper()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		t.Fatalf("%v\n%s", err, x.story())
	}
	for _, s := range plan.writing {
		if err := writer.written.await(ctx, s.at); err != nil {
			fail(err)
		}
		if err := x.do(s.act); err != nil {
			fail(err)
		}
	}
	if err := writer.wait(ctx); err != nil {
		fail(err)
	}
	for i, s := range plan.draining {
		// What is due at the same moment is not waited for: nobody can say how
		// much is stored while the server is killed.
		if i == 0 || s.at > plan.draining[i-1].at {
			if _, err := awaitStored(ctx, x, s.at); err != nil {
				fail(err)
			}
		}
		if err := x.do(s.act); err != nil {
			fail(err)
		}
	}
	v, err := settle(ctx, x, job, m.writers, writer.lossy())
	if err != nil {
		fail(err)
	}
	// It must still be there to be killed.
	if err := x.do(stopReader); err != nil {
		fail(err)
	}
	v.rotations = writer.rotated.value()
	return v
}

// settle waits until the last line of each writer is stored and nothing comes
// any more, or nothing has come for so long that nothing will.
func settle(ctx context.Context, x target, job task, writers int, windows []window) (verdict, error) {
	for {
		stored, err := watch(ctx, x, func(stored int, still time.Duration) bool {
			return still >= quiet && stored >= writers*job.Lines || still >= longQuiet
		})
		if err != nil {
			return verdict{}, err
		}
		j := newJudge(job.Script, writers, job.Lines)
		for r, err := range x.records(ctx) {
			if err != nil {
				return verdict{}, fmt.Errorf("reading what is stored: %w", err)
			}
			j.take(r)
		}
		v := j.verdict(windows)
		if v.unfinished == 0 {
			return v, nil
		}
		now, err := watch(ctx, x, func(now int, still time.Duration) bool {
			return now != stored || still >= x.patience()
		})
		if err != nil || now == stored {
			return v, err
		}
	}
}

// watch polls how many records are stored until done says that it is enough. It
// tells done for how long the number has been the same.
func watch(ctx context.Context, x target, done func(stored int, still time.Duration) bool) (int, error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	last, since, answered := -1, time.Now(), time.Now()
	for {
		n, err := x.stored(ctx)
		now := time.Now()
		switch {
		case err != nil && now.Sub(answered) > startTimeout:
			return last, fmt.Errorf("asking how much is stored, for %s: %w", startTimeout, err)
		case err != nil:
			since = now // nobody knows
		case n != last:
			last, since, answered = n, now, now
		default:
			answered = now
		}
		if err == nil && done(n, now.Sub(since)) {
			return n, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
	}
}

// awaitStored waits until n records are stored, or as many as come: what is
// missing then is the verdict's affair.
func awaitStored(ctx context.Context, x target, n int) (stored int, err error) {
	return watch(ctx, x, func(stored int, still time.Duration) bool {
		return stored >= n || still >= x.patience()
	})
}

// awaitLines waits until n lines are stored, not counting gaps, or as many as
// come.
func awaitLines(ctx context.Context, x target, n int) error {
	for gaps := 0; ; {
		stored, err := awaitStored(ctx, x, n+gaps)
		if err != nil || stored < n+gaps {
			return err
		}
		found, err := countGaps(ctx, x)
		if err != nil {
			continue // the server was killed just now; waiting for it has its bounds
		}
		if found == gaps {
			return nil
		}
		gaps = found
	}
}

func countGaps(ctx context.Context, x target) (gaps int, err error) {
	for r, err := range x.records(ctx) {
		if err != nil {
			return 0, err
		}
		if r.gap != nil {
			gaps++
		}
	}
	return gaps, nil
}
