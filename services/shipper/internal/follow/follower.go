package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	blockSize = 256 << 10
	// rescans is how often a scan that was overtaken by a change is made again
	// at once.
	rescans = 8
	// endedKept is how many ended generations stay in a checkpoint, in case one
	// is written again after all.
	endedKept = 3
)

// Follower follows one source. Next and Close belong to one goroutine, Stats to
// any.
type Follower struct {
	cfg      Config
	resuming bool // there was a checkpoint
	tooLong  string
	block    int
	wake     *wake
	head     []byte
	check    [tailSize]byte

	mu      sync.Mutex
	stats   Stats // the counters
	waiting string
	now     time.Time // of the current step

	// gens are the generations being read, past those that ended and of which
	// a file is left; both oldest first.
	gens, past []*generation
	settled    time.Time
	sightings  map[fileKey]*sighting
	// unsettled is the oldest modification time of files that are not accounted
	// for and not in a checkpoint.
	unsettled time.Time

	started bool      // the first scan is done
	scanned time.Time // when the last scan was
	rescan  bool      // scan before the next read
	unborn  bool      // a file waits for its first line

	max   int // of the current call of Next
	batch Batch
	win   window
	order []*generation // scratch of listed
}

// Open starts following. It touches no file: what is missing or unreadable is
// waited for by Next. Errors are faults of the configuration.
func Open(cfg Config) (*Follower, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("checking the follower's configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	f := &Follower{
		cfg:      cfg,
		resuming: !cfg.From.IsZero(),
		tooLong:  fmt.Sprintf("longer than %d bytes", cfg.MaxLine),
		block:    blockSize,
		head:     make([]byte, headSize),
		settled:  cfg.From.Settled,
	}
	for _, p := range cfg.From.Positions {
		if g := restore(p); g.ended {
			f.past = append(f.past, g)
		} else {
			f.gens = append(f.gens, g)
		}
	}
	// Room for a batch, the start of one line that is too long, and blocks.
	f.win.buf = make([]byte, cfg.MaxBatchBytes+cfg.MaxLine+2*(tailSize+f.block))
	f.batch.buf = f.win.buf
	f.wake = newWake(cfg)
	return f, nil
}

// hasPattern reports whether there may be more than one lane.
func (f *Follower) hasPattern() bool { return hasMeta(f.cfg.Path) }

// Close releases the files. Batches are invalid after it.
func (f *Follower) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, g := range f.gens {
		if g.src != nil {
			errs = append(errs, g.src.close())
			g.src = nil
		}
	}
	f.gens, f.past = nil, nil
	return errors.Join(append(errs, f.wake.close())...)
}

// Next waits until there is a line or a gap to return and returns what can be
// had without waiting any longer: at most limit lines, at most
// Config.MaxBatchBytes of text unless one line alone is longer. Lines of a
// generation come in the order of its file, and an older generation before a
// newer one. Errors are those of ctx.
func (f *Follower) Next(ctx context.Context, limit int) (*Batch, error) {
	if limit < 1 {
		return nil, fmt.Errorf("following %s: a batch of %d lines was asked for", f.cfg.Path, limit)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		again := f.step(limit)
		if len(f.batch.Lines) > 0 {
			return &f.batch, nil
		}
		if again {
			continue
		}
		hint := f.wake.wait(ctx, f.cfg.PollInterval)
		f.rescan = hint == lookAgain || hint == readAgain && f.unborn
	}
}

// step does what can be done without waiting. It reports whether a truncated
// file calls for another step at once.
func (f *Follower) step(limit int) (again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.max = limit
	f.batch.reset()
	f.now = f.cfg.Now()
	if f.rescan || !f.started || f.now.Sub(f.scanned) >= f.cfg.PollInterval {
		f.scan()
		for range rescans {
			if !f.rescan {
				break
			}
			f.scan()
		}
	}
	// Scanning comes before reading, so that when a newer generation is read its
	// elder has been read to its end after the newer one had begun.
	var held []string
	for _, g := range f.gens {
		if g.src == nil && f.rescan {
			// Its rest may be found as soon as the files stop moving.
			held = append(held, g.lane)
		}
		if slices.Contains(held, g.lane) {
			continue
		}
		switch f.advance(g) {
		case batchFull:
			f.dropEnded()
			return false
		case fileCut:
			f.dropEnded()
			return true
		}
		if f.holdsUp(g) {
			held = append(held, g.lane)
		}
	}
	f.dropEnded()
	return false
}

func (f *Follower) dropEnded() {
	f.gens = slices.DeleteFunc(f.gens, func(g *generation) bool { return g.ended })
}
