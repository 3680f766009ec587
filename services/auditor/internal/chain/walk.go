package chain

import (
	"errors"
	"io"
	"io/fs"
)

// walker reads segments one after the other through a checker, and goes on behind
// every fault.
type walker struct {
	dir     string
	meter   meter
	checker *checker
	before  func(line) // sees a line before the checker does
	after   func(line) // and after it

	stopped bool   // set it to end the walk
	clean   bool   // the checker has found no fault in the line
	torn    *place // where the log's last line begins, if it has no end
}

// tell reports a fault that is not the checker's.
func (w *walker) tell(f *Fault) {
	w.checker.skip()
	w.checker.fault(f)
}

// run reads the segments from first to last, and of the last no more than was there
// when it was listed: an auditor may be writing. The error is the meter's, or that
// of opening a file.
func (w *walker) run(first uint64, last segmentFile) error {
	fault := w.checker.fault
	w.checker.fault = func(f *Fault) {
		w.clean = false
		fault(f)
	}
	for number := first; number <= last.number && !w.stopped; number++ {
		s, err := openSegment(w.dir, number, w.meter)
		if errors.Is(err, fs.ErrNotExist) {
			w.tell(place{file: fileName(number, plain)}.fault("the segment is missing"))
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
		var fault *Fault
		switch {
		case err == nil:
			w.before(l)
			w.clean = true
			w.checker.next(l)
			w.after(l)
		case errors.As(err, &fault):
			w.tell(fault)
		case errors.Is(err, io.EOF):
			w.checker.end(last)
			return nil
		case errors.Is(err, errTorn) && last && s.form == plain && w.checker.stage == stageLines:
			w.torn = &at
			return nil
		default:
			if told := w.meter(0); told != nil {
				return told
			}
			at.seq = w.checker.seq
			w.tell(at.fault("the rest of the segment cannot be read: " + err.Error()))
			return nil
		}
	}
	return nil
}
