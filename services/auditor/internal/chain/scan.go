package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
)

// Scan yields the records of the log in dir from the one numbered from on, in
// order, through plain and compressed segments, up to where the log ended when the
// loop began. What retention has removed is passed over. It takes no lock: an
// auditor may be writing, and records that it is just appending may be among them.
//
// A record is yielded when the line behind it has confirmed it; only the log's last
// one is unconfirmed. What does not fit is yielded as a [*Corruption], behind which
// Scan goes on if the loop does. Any other error ends it. Signatures
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
	c.corruption = func(f *Corruption) {
		s.waiting = nil
		s.give(Record{}, f)
	}
	s.walker = walker{
		dir:     dir,
		meter:   untilDone(context.Background()),
		checker: c,
		before:  func(l line) { s.confirm(c.confirms(l)) },
		after:   s.hold,
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
			break // the walk reports what is wrong
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

// hold lets a record wait, unless it is where none should be or has been yielded.
func (s *scan) hold(l line) {
	c := s.walker.checker
	if l.frame != nil || l.seq < s.from || l.seq <= s.last || c.stage != stageLines || c.form == stub {
		return
	}
	r := l.record
	r.Payload = slices.Clone(r.Payload)
	s.waiting = &r
}

// walker reads segments one after the other through a checker, and goes on behind
// every corruption.
type walker struct {
	dir     string
	meter   meter
	checker *checker
	before  func(line) // sees a line before the checker does
	after   func(line) // and after it

	stopped bool   // set it to end the walk
	clean   bool   // the checker has found no corruption in the line
	torn    *place // where the log's last line begins, if it has no end
}

// unreadable reports a corruption that is not the checker's.
func (w *walker) unreadable(f *Corruption) {
	w.checker.skip()
	w.checker.corruption(f)
}

// run reads the segments from first to last, and of the last no more than was there
// when it was listed: an auditor may be writing. The error is the meter's, or that
// of opening a file.
func (w *walker) run(first uint64, last segmentFile) error {
	corruption := w.checker.corruption
	w.checker.corruption = func(f *Corruption) {
		w.clean = false
		corruption(f)
	}
	for number := first; number <= last.number && !w.stopped; number++ {
		s, err := openSegment(w.dir, number, w.meter)
		if errors.Is(err, fs.ErrNotExist) {
			w.unreadable(place{file: fileName(number, plain)}.corruption("the segment is missing"))
			continue
		}
		if err != nil {
			return err
		}
		if number == last.number && last.form == plain {
			s.form, s.Reader = plain, io.LimitReader(s.Reader, last.size)
		}
		err = w.segment(s, number == last.number)
		s.close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) segment(s *source, last bool) error {
	w.checker.begin(s.segmentFile)
	lines := newLineReader(s)
	for !w.stopped {
		at := lines.at
		l, err := lines.next()
		var corruption *Corruption
		switch {
		case err == nil:
			w.before(l)
			w.clean = true
			w.checker.next(l)
			w.after(l)
		case errors.As(err, &corruption):
			w.unreadable(corruption)
		case errors.Is(err, io.EOF):
			w.checker.end(last)
			return nil
		case errors.Is(err, errTorn) && last && s.form == plain && w.checker.stage == stageLines:
			w.torn = &at
			return nil
		default:
			if stop := w.meter(0); stop != nil {
				return stop
			}
			at.seq = w.checker.seq
			w.unreadable(at.corruption("the rest of the segment cannot be read: " + err.Error()))
			return nil
		}
	}
	return nil
}
