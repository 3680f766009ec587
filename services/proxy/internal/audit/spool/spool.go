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

// ErrFull reports that the spool has reached its size or that the disk is full.
// The record is not in the spool.
var ErrFull = errors.New("the spool is full")

// ErrClosed reports an Append after Close.
var ErrClosed = errors.New("the spool is closed")

// segmentsInSpool is into how many segments a full spool is divided: it bounds
// what stays on disk though it has been read.
const segmentsInSpool = 16

// maxSegment bounds a segment, in bytes: a restart may read that much to find
// its place.
const maxSegment = 8 << 20

// idle is for how long a segment that has been read to its end is kept for more.
// A spool that nobody writes to is so without files, and whoever opens it then
// needs no position to know that nothing waits.
const idle = time.Minute

// Options say where and how large a spool is.
type Options struct {
	// Dir holds the spool's files. It must exist, and no other process may use a
	// spool of the same name in it.
	Dir string
	// Name begins the names of the spool's files, so that several can share Dir.
	Name string
	// MaxBytes bounds the files together.
	MaxBytes int64
	// Log takes what was found damaged, with its place.
	Log *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Spool is a queue on disk. Append and Stats are safe for concurrent use; there
// may be one Reader at a time.
type Spool struct {
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

// Open opens the spool and reads through what an earlier process left there: it
// cuts off a line that was not written to its end, and counts what is damaged.
func Open(o Options) (*Spool, error) {
	s := &Spool{
		dir:      o.Dir,
		name:     o.Name,
		maxBytes: o.MaxBytes,
		perFile:  min(o.MaxBytes/segmentsInSpool, maxSegment),
		log:      o.Log.With("spool", o.Name),
		now:      o.Now,
		create:   createFile,
		lines:    sync.Pool{New: func() any { return new([]byte) }},
		appended: make(chan struct{}, 1),
	}
	if err := s.takeOver(); err != nil {
		return nil, fmt.Errorf("reading the spool in %s: %w", o.Dir, err)
	}
	return s, nil
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// Append puts r at the end. It waits for nothing but other calls of Append and
// the operating system's memory. The error wraps [ErrFull] if there is no room,
// [ErrInvalid] or [ErrClosed]; otherwise the file system has failed. In no case
// of error is there anything in the spool.
func (s *Spool) Append(r Record) error {
	if err := r.check(); err != nil {
		return err
	}
	at := s.now()
	buf := s.lines.Get().(*[]byte)
	defer s.lines.Put(buf)
	*buf = appendLine((*buf)[:0], at, r)
	if err := s.write(*buf, at); err != nil {
		return fmt.Errorf("appending to the spool: %w", err)
	}
	select {
	case s.appended <- struct{}{}:
	default: // the reader has been told and has not looked yet
	}
	return nil
}

func (s *Spool) write(line []byte, at time.Time) error {
	size := int64(len(line))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.size+size > s.maxBytes:
		return fmt.Errorf("%w: %d of %d bytes are taken", ErrFull, s.size, s.maxBytes)
	}
	if s.active != nil {
		if g := s.newest(); g.size > 0 && g.size+size > s.perFile {
			s.seal()
		}
	}
	if s.active == nil {
		if err := s.begin(); err != nil {
			return full(err)
		}
	}
	g := s.newest()
	// What a failed write has left in the file is behind its last whole line, and
	// the next write goes over it.
	if _, err := s.active.WriteAt(line, g.size); err != nil {
		err = full(err)
		if !errors.Is(err, ErrFull) && g.size > 0 {
			s.seal() // another file may stand in a better place
		}
		return err
	}
	if s.waiting() == 0 {
		s.oldest = at
	}
	s.latest = at
	g.size += size
	g.records++
	s.size += size
	s.unsynced = true
	return nil
}

// full marks the errors of a full disk.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// begin creates a segment to append to. s.mu is held.
func (s *Spool) begin() error {
	g := newSegment(s.last + 1)
	f, err := s.create(s.path(g))
	if err != nil {
		return err
	}
	s.last = g.number
	s.segments = append(s.segments, g)
	s.active, s.newNames = f, true
	return nil
}

// seal ends the segment that is being appended to. s.mu is held.
func (s *Spool) seal() {
	s.sealed = append(s.sealed, s.active)
	s.active = nil
}

func (s *Spool) newest() *segment { return s.segments[len(s.segments)-1] }

// waiting is how many records the reader is not done with. s.mu is held.
func (s *Spool) waiting() int64 {
	var n int64
	for _, g := range s.segments {
		// By the offset, because what was good when it was counted may have been
		// damaged when it was read.
		if g.done.offset < g.size {
			n += g.records - g.done.records
		}
	}
	return n
}

// Stats is what a spool holds, and what has happened to it since Open.
type Stats struct {
	Bytes        int64         // on disk
	Waiting      int64         // records that the reader is not done with
	Oldest       time.Duration // age of the first of them
	Damaged      int64         // lines found damaged, each a record or more that is lost
	Torn         int64         // lines that a process was writing when it ended
	SyncFailures int64
}

// Stats returns the present figures.
func (s *Spool) Stats() Stats {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Bytes:        s.size,
		Waiting:      s.waiting(),
		Damaged:      s.damaged,
		Torn:         s.torn,
		SyncFailures: s.failures,
	}
	if st.Waiting > 0 {
		st.Oldest = max(now.Sub(s.oldest), 0)
	}
	return st
}
