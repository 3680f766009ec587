package chain

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// Scan yields the records of the log in dir from the one numbered from on, in
// order, through plain and compressed segments, up to where the log ended when the
// loop began. What retention has removed is passed over. It takes no lock: an
// auditor may be writing, and records that it is just appending may be among them.
//
// A record is yielded when the line behind it has confirmed it; only the log's last
// one is taken at its word. In the place of what does not fit comes a [*Fault],
// behind which Scan goes on if the loop does. Any other error ends it. Signatures
// are not looked at: that is for [Verify].
//
// A record's payload is the caller's to keep. To reach a record, Scan reads its
// segment from the beginning.
func Scan(dir string, from uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s := scan{from: from, yield: yield}
		if err := s.run(dir); err != nil {
			s.give(Record{}, fmt.Errorf("reading the audit log: %w", err))
		}
	}
}

type scan struct {
	walker  walker
	from    uint64
	yield   func(Record, error) bool
	waiting *Record // for the next line to confirm it
	last    uint64  // that was yielded
}

func (s *scan) run(dir string) error {
	files, err := listSegments(dir)
	if err != nil || len(files) == 0 {
		return err
	}
	c := newChecker(nil)
	c.fault = func(f *Fault) {
		s.waiting = nil
		s.give(Record{}, f)
	}
	s.walker = walker{
		dir:     dir,
		meter:   untilDone(context.Background()),
		checker: c,
		before:  func(l line) { s.confirm(c.confirms(l)) },
		after:   s.keep,
	}
	files = current(files)
	first := s.first(dir, files)
	if first > 1 {
		c.skip()
	}
	if err := s.walker.run(first, files[len(files)-1]); err != nil {
		return err
	}
	s.confirm(true)
	return nil
}

// first returns the number of the segment to begin with.
func (s *scan) first(dir string, files []segmentFile) uint64 {
	if s.from <= 1 {
		return 1
	}
	for _, f := range slices.Backward(files[1:]) {
		h, err := readHeader(dir, f.number)
		if err != nil {
			break // whatever is wrong will show
		}
		if h.frame.Header.FirstSeq <= s.from {
			return f.number
		}
	}
	return 1
}

func (s *scan) give(r Record, err error) {
	if !s.walker.stopped {
		s.walker.stopped = !s.yield(r, err)
	}
}

// confirm yields the record that waits, if it is the one it should be.
func (s *scan) confirm(is bool) {
	if s.waiting != nil && is {
		s.last = s.waiting.Seq
		s.give(*s.waiting, nil)
	}
	s.waiting = nil
}

// keep lets a record wait, unless it stands where none belongs or has been yielded.
func (s *scan) keep(l line) {
	c := s.walker.checker
	if l.frame != nil || l.seq < s.from || l.seq <= s.last || c.stage != stageLines || c.form == stub {
		return
	}
	r := l.record
	r.Payload = slices.Clone(r.Payload)
	s.waiting = &r
}
