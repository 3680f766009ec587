// Package follow reads a growing file, or a set of them, through every way in
// which files are rotated, and returns each line once, in order, with a
// checkpoint from which another process goes on exactly there.
//
//	directories            generations, oldest first         one buffer
//	┌──────────────┐ scan  ┌─────────────────────────┐ drain ┌────────┐ Next
//	│ eve.json     │──────▶│ ended  ended  a   b   c │──────▶│ window │─────▶ Batch
//	│ eve.json.1   │       └─────────────────────────┘       └────────┘       Lines
//	│ eve.json.2.gz│        ▲ adopt: the rest of one            │              │
//	└──────────────┘        │ whose file was cut or moved       │ verify       ▼
//	   ▲                    └─ start: those that are new        ▼        AppendCheckpoint
//	   └ wake (a hint)                                    the 256 bytes
//	                                                      before the offset
//
// A generation is the content of a file from its first line until it is
// truncated or given up. It is known by the hash of its first line, never by a
// name or an inode: names are given away and inodes are reused. What was read
// of it is vouched for by the bytes before the offset, which are looked at again
// after each block and before any line of it is returned. If they have changed,
// the file was truncated, and a scan looks for a copy.
//
// A scan accounts for every file of the directory whose name, or else the times of
// whose lines, make it one of the log's. It is a file being read, or a copy of one,
// or was read before, or is new; new ones are read from oldest to newest, each to
// its end. An old file is kept open as long as nothing newer has
// come to its place, for its writer may go on in it, and for a grace period
// after that.
//
// A checkpoint lists the position in each generation that is being read, so that
// the last stored message alone says where to go on: one for each file being
// written, one for each rotated file in its grace period, and the three that
// ended last. Everything else that was read is covered by the settled time, a
// modification time up to which rotated files are done with; until a scan has moved
// it, what has ended is listed, too. The order of files comes before their times: what
// is newer than all that was read was not read. At most 256 positions are listed.
//
// What no reader can recover is returned as a Gap: bytes that were truncated
// before they were read when there is no copy, and a generation of the
// checkpoint that is not there any more, and files that cannot be decompressed. How
// much was written between a copy and
// its truncation is known only if the writer leaves a hole; see generation.hole.
//
// Files are found by polling. Notifications of the operating system only make
// the next poll come early.
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
	// sightings are of the last scan, looked of the current one so far.
	sightings, looked map[fileKey]*sighting
	// named are the files that have a known name of the source.
	named map[fileKey]bool
	// foreign are files that were there before and of which names say nothing.
	foreign map[fileKey]bool
	// held are files that are to be read and hold no line yet.
	held map[fileKey]*heldFile
	dir  fileKey // of the directory of Path
	// deferred counts files that were not opened for want of descriptors.
	deferred int
	refused  error // why nothing can be followed
	// unsettled is the oldest modification time of files that are not accounted
	// for and not in a checkpoint.
	unsettled time.Time

	started bool      // the first scan is done
	scanned time.Time // when the last scan was
	rescan  bool      // scan before the next read
	unborn  bool      // a file waits for its first line

	begun    string // the checkpoint before the first line that was returned
	returned bool   // one was

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
		held:     make(map[fileKey]*heldFile),
		foreign:  make(map[fileKey]bool),
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

// hasPattern reports whether there may be more than one series.
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
	for _, h := range f.held {
		errs = append(errs, h.file.Close())
	}
	f.held = nil
	return errors.Join(append(errs, f.wake.close())...)
}

// Next waits until there is a line or a gap to return and returns what can be
// had without waiting any longer: at most limit lines, at most
// Config.MaxBatchBytes of text unless one line alone is longer. Lines of a
// generation come in the order of its file, and an older generation before a
// newer one. Errors are those of ctx, and of more than MaxFiles files at the start.
func (f *Follower) Next(ctx context.Context, limit int) (*Batch, error) {
	if limit < 1 {
		return nil, fmt.Errorf("following %s: a batch of %d lines was asked for", f.cfg.Path, limit)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		again := f.step(limit)
		if f.refused != nil {
			return nil, f.refused
		}
		if len(f.batch.Lines) > 0 {
			return &f.batch, nil
		}
		if again {
			continue
		}
		hint := f.wake.wait(ctx, f.cfg.PollInterval)
		f.rescan = hint == scanAgain || hint == readAgain && f.unborn
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
	if !f.returned {
		f.begun = f.position()
	}
	defer func() { f.returned = f.returned || len(f.batch.Lines) > 0 }()
	// Scanning comes before reading, so that when a newer generation is read its
	// elder has been read to its end after the newer one had begun.
	var held []string
	for _, g := range f.gens {
		if g.src == nil && f.rescan {
			// Its rest may be found as soon as the files stop moving.
			held = append(held, g.series)
		}
		if slices.Contains(held, g.series) {
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
			held = append(held, g.series)
		}
	}
	f.dropEnded()
	return false
}

// Begun returns the checkpoint before the first line that Next has returned, from
// which another Follower returns that line again, wherever Config.Start says to begin
// without a checkpoint. It belongs to the goroutine of Next.
func (f *Follower) Begun() string { return f.begun }

// position is the checkpoint before what is read next.
func (f *Follower) position() string {
	b := appendSettled(nil, f.settled)
	for i, g := range f.listed(nil) {
		if i > 0 {
			b = append(b, ',')
		}
		b = g.appendPosition(b)
	}
	return string(b)
}

func (f *Follower) dropEnded() {
	f.gens = slices.DeleteFunc(f.gens, func(g *generation) bool { return g.ended })
}
