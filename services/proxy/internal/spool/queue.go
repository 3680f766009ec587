package spool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// ErrFull reports that there is no room for a record, for now: its queue has
// reached its size, or the disk is full. The record is lost.
var ErrFull = errors.New("the spool is full")

// errClosed reports an Append after Close.
var errClosed = errors.New("the spool is closed")

// segmentsInQueue is into how many segments a full queue is divided: it bounds
// what stays on disk though it has been read.
const segmentsInQueue = 16

// maxSegment bounds a segment, in bytes: a restart may read that much to find
// its place.
const maxSegment = 8 << 20

// idle is for how long a segment that has been read to its end is kept for more.
// So a queue that nobody writes to has no files, and can be opened without a
// position.
const idle = time.Minute

// queueOptions say where and how large a queue is.
type queueOptions struct {
	// Dir holds the queue's files. It must exist, and no other process may use a
	// queue of the same name in it.
	Dir string
	// Name begins the names of the queue's files, so that several can share Dir.
	Name string
	// MaxBytes bounds the files together.
	MaxBytes int64
	// Log takes what was found damaged, with its place.
	Log *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// queue is a queue on disk. Append and Stats are safe for concurrent use; there
// may be one reader at a time.
type queue struct {
	dir, name string
	maxBytes  int64
	perFile   int64
	log       *slog.Logger
	now       func() time.Time
	create    func(path string) (file, error)
	lines     sync.Pool // of *[]byte, to build lines in
	appended  chan struct{}

	mu       sync.Mutex
	closed   bool
	segments []*segment // oldest first
	active   file       // the newest segment's, if this process may write to it
	sealed   []file     // earlier ones that are yet to be synced and closed
	unsynced bool       // active has lines that are
	newNames bool       // the directory is
	last     uint64     // number of the newest segment there was
	size     int64      // of all segments
	oldest   time.Time  // when the first waiting record was appended, if known
	latest   time.Time  // the newest append
	damaged  int64
	torn     int64
	failures int64
}

// file is a segment's while it is being written.
type file interface {
	io.WriterAt
	Sync() error
	Close() error
}

// openQueue opens a queue and reads through what an earlier process left there: it
// cuts off a line that was not written to its end, and counts what is damaged.
func openQueue(o queueOptions) (*queue, error) {
	q := &queue{
		dir:      o.Dir,
		name:     o.Name,
		maxBytes: o.MaxBytes,
		perFile:  min(o.MaxBytes/segmentsInQueue, maxSegment),
		log:      o.Log.With("spool", o.Name),
		now:      o.Now,
		create:   createFile,
		lines:    sync.Pool{New: func() any { return new([]byte) }},
		appended: make(chan struct{}, 1),
	}
	if err := q.takeOver(); err != nil {
		return nil, fmt.Errorf("reading the spool in %s: %w", o.Dir, err)
	}
	return q, nil
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// Append puts r at the end. It waits for nothing but other calls of Append and
// the operating system's memory. The error wraps [ErrFull] if there is no room,
// [ErrInvalid] or [errClosed]; otherwise the file system has failed. In no case
// of error is there anything in the spool.
func (q *queue) Append(r record) error {
	if err := r.check(); err != nil {
		return err
	}
	at := q.now()
	buf := q.lines.Get().(*[]byte)
	defer q.lines.Put(buf)
	*buf = appendLine((*buf)[:0], at, r)
	if err := q.write(*buf, at); err != nil {
		return fmt.Errorf("appending to the spool: %w", err)
	}
	select {
	case q.appended <- struct{}{}:
	default: // the reader has been woken already
	}
	return nil
}

func (q *queue) write(line []byte, at time.Time) error {
	size := int64(len(line))
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errClosed
	case q.size+size > q.maxBytes:
		return fmt.Errorf("%w: %d of %d bytes are taken", ErrFull, q.size, q.maxBytes)
	}
	if q.active != nil {
		if g := q.newest(); g.size > 0 && g.size+size > q.perFile {
			q.seal()
		}
	}
	if q.active == nil {
		if err := q.begin(); err != nil {
			return full(err)
		}
	}
	g := q.newest()
	// What a failed write has left in the file is behind its last whole line, and
	// the next write goes over it.
	if _, err := q.active.WriteAt(line, g.size); err != nil {
		err = full(err)
		if !errors.Is(err, ErrFull) && g.size > 0 {
			q.seal() // another file may stand in a better place
		}
		return err
	}
	if q.waiting() == 0 {
		q.oldest = at
	}
	q.latest = at
	g.size += size
	g.records++
	q.size += size
	q.unsynced = true
	return nil
}

// full marks the errors of a full disk.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// begin creates a segment to append to. q.mu is held.
func (q *queue) begin() error {
	g := newSegment(q.last + 1)
	f, err := q.create(q.path(g))
	if err != nil {
		return err
	}
	q.last = g.number
	q.segments = append(q.segments, g)
	q.active, q.newNames = f, true
	return nil
}

// seal ends the segment that is being appended to. q.mu is held.
func (q *queue) seal() {
	q.sealed = append(q.sealed, q.active)
	q.active = nil
}

func (q *queue) newest() *segment { return q.segments[len(q.segments)-1] }

// waiting is how many records the reader is not done with. q.mu is held.
func (q *queue) waiting() int64 {
	var n int64
	for _, g := range q.segments {
		// By the offset, because what was good when it was counted may have been
		// damaged when it was read.
		if g.done.offset < g.size {
			n += g.records - g.done.records
		}
	}
	return n
}

// Stats is what a queue holds, and what has happened to it since Open.
type stats struct {
	Bytes        int64         // on disk
	Waiting      int64         // records that the reader is not done with
	Oldest       time.Duration // age of the first of them
	Damaged      int64         // lines found damaged, each a record or more that is lost
	Torn         int64         // lines that a process was writing when it ended
	SyncFailures int64
}

// Stats returns the present figures.
func (q *queue) Stats() stats {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	st := stats{
		Bytes:        q.size,
		Waiting:      q.waiting(),
		Damaged:      q.damaged,
		Torn:         q.torn,
		SyncFailures: q.failures,
	}
	if st.Waiting > 0 {
		st.Oldest = max(now.Sub(q.oldest), 0)
	}
	return st
}

// Sync makes durable what has been appended so far, against the end of the
// machine too. It does not hold up Append, and is not to be called concurrently. After an
// error it has to be called again.
func (q *queue) Sync() error {
	q.mu.Lock()
	sealed, active, newNames := q.sealed, q.active, q.newNames
	if !q.unsynced {
		active = nil
	}
	q.sealed, q.unsynced, q.newNames = nil, false, false
	q.mu.Unlock()

	var errs []error
	for _, f := range sealed {
		// Closed in any case: the kernel reports a failed sync once, and a
		// second try would find nothing wrong.
		errs = append(errs, f.Sync(), f.Close())
	}
	activeErr := error(nil)
	if active != nil {
		activeErr = active.Sync()
	}
	namesErr := error(nil)
	if newNames {
		namesErr = syncDir(q.dir)
	}
	err := errors.Join(append(errs, activeErr, namesErr)...)
	if err == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures++
	q.unsynced = q.unsynced || activeErr != nil
	q.newNames = q.newNames || namesErr != nil
	return fmt.Errorf("syncing the spool: %w", err)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Tidy removes the newest segment if all of it is done with and nothing has been
// appended for a minute.
func (q *queue) Tidy() {
	q.mu.Lock()
	var gone []*segment
	if q.now().Sub(q.latest) >= idle {
		gone = q.retire()
	}
	q.mu.Unlock()
	q.remove(gone)
}

// retire takes the newest segment out if all of it is done with. q.mu is held.
func (q *queue) retire() []*segment {
	if q.active == nil || len(q.segments) != 1 || q.segments[0].done.offset < q.segments[0].size {
		return nil
	}
	q.seal()
	return q.drop(1)
}

// Close makes durable what waits and ends the queue; later calls of Append fail.
// The reader must have ended.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	gone := q.retire()
	if q.active != nil {
		q.seal()
	}
	q.mu.Unlock()
	q.remove(gone)
	return q.Sync()
}

// takeOver takes stock of what an earlier process has left.
func (q *queue) takeOver() error {
	segments, err := q.listSegments()
	if err != nil {
		return err
	}
	lines := newLineReader()
	for _, g := range segments {
		q.last = max(q.last, g.number)
		if err := q.take(g, lines); err != nil {
			return err
		}
		if g.size == 0 {
			q.remove([]*segment{g})
			continue
		}
		q.segments = append(q.segments, g)
		q.size += g.size
	}
	return nil
}

// take reads a segment through and cuts off what is behind its last newline: a
// line whose Append has never returned.
func (q *queue) take(g *segment, lines *lineReader) error {
	f, err := os.OpenFile(q.path(g), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	lines.reset(f, 0)
	for {
		line, err := lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil {
			return q.cut(g, f, lines.offset-g.size)
		}
		_, at, ok := parseLine(line)
		if !ok {
			q.harm(g, g.size, lines.offset)
		} else {
			g.records++
			if q.oldest.IsZero() {
				q.oldest = at
			}
		}
		g.size = lines.offset
	}
}

// cut removes the bytes that stand behind the last line, if there are any.
func (q *queue) cut(g *segment, f *os.File, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	q.torn++
	q.log.Warn("the spool ends in a line that was not written to its end; it is cut off",
		"segment", g.name(), "offset", g.size, "bytes", bytes)
	return f.Truncate(g.size)
}

// harm notes a damaged line, once. Of lines in a row only the first is logged: a
// file full of newlines has millions. q.mu is held, or nobody else has q yet.
func (q *queue) harm(g *segment, from, to int64) {
	if from < g.checked {
		return
	}
	inRow := from > 0 && from == g.checked
	g.checked = to
	q.damaged++
	if !inRow {
		q.log.Error("a line of the spool, or several in a row, is damaged; it is skipped, and what it said is lost",
			"segment", g.name(), "offset", from, "bytes", to-from)
	}
}
