package chain

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// VerifyOptions say what a log is compared with.
type VerifyOptions struct {
	// PublicKey is the log's, from where it has been kept. Without it the key in
	// the log's directory is used, which proves less: see Report.OwnKey.
	PublicKey ed25519.PublicKey
	// Checkpoints have been kept elsewhere, such as on the bus. Only they show that
	// a log was set back to an earlier state or written anew by someone with the key.
	Checkpoints []Checkpoint
	// Progress, if set, is told how many of the bytes on disk have been read.
	Progress func(done, total int64)
}

// Verify reads all of the log in dir and checks every line, hash and signature.
// What is wrong with the log is in the report; an error says that it could not be
// checked, or that ctx was done. It takes no lock: an auditor may be writing.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	v := verifier{dir: dir, kept: o.Checkpoints}
	if err := v.run(ctx, o); err != nil {
		return v.report, fmt.Errorf("verifying the audit log: %w", err)
	}
	return v.report, nil
}

type verifier struct {
	dir     string
	kept    []Checkpoint
	checker *checker
	walker  walker
	report  Report
	signed  []statement // not yet compared, by sequence
	total   int64       // bytes of the segments
	ledger  int         // checkpoints in the log's directory
	newest  uint64      // the last record of theirs
	closed  uint64      // the last record before the newest footer
}

// statement is what a checkpoint says, with the checkpoint's own place.
type statement struct {
	place
	log  string
	head Hash
	time time.Time
}

func (v *verifier) run(ctx context.Context, o VerifyOptions) error {
	key := o.PublicKey
	if key == nil {
		var err error
		if key, err = ReadPublicKey(filepath.Join(v.dir, publicKeyName)); err != nil {
			return err
		}
		v.report.OwnKey = true
	}
	v.report.PublicKey = key
	last, err := v.snapshot(key)
	if err != nil {
		return err
	}
	v.checker = newChecker(key)
	v.checker.fault = v.report.add
	v.walker = walker{
		dir:     v.dir,
		checker: v.checker,
		before:  func(line) {},
		after:   v.line,
		meter: func(n int) error {
			v.report.Bytes += int64(n)
			if o.Progress != nil && n > 0 {
				o.Progress(v.report.Bytes, max(v.total, v.report.Bytes))
			}
			return ctx.Err()
		},
	}
	if err := v.walker.run(1, last); err != nil {
		return err
	}
	v.finish()
	if v.walker.torn != nil {
		v.report.TornBytes = last.size - v.walker.torn.offset
	}
	return nil
}

// snapshotTries bounds how often the snapshot is taken anew because an auditor has
// signed something meanwhile.
const snapshotTries = 20

var errBusy = errors.New("an auditor signs faster than its checkpoints can be read")

// snapshot takes the checkpoints and the list of segments as they were at one
// moment, and returns the last segment. All that was signed at that moment is in
// the segments, and not much else.
func (v *verifier) snapshot(key ed25519.PublicKey) (last segmentFile, err error) {
	for range snapshotTries {
		v.signed, v.ledger, v.total = nil, 0, 0
		v.report.Faults, v.report.FaultCount = nil, 0
		before, err := statLedger(v.dir)
		if err != nil {
			return last, err
		}
		files, err := listSegments(v.dir)
		if err != nil {
			return last, err
		}
		if err := v.readStatements(key); err != nil {
			return last, err
		}
		after, err := statLedger(v.dir)
		if err != nil {
			return last, err
		}
		if !sameFile(before, after) {
			continue
		}
		last = segmentFile{number: 1}
		for _, last = range current(files) {
			v.total += last.size
		}
		return last, nil
	}
	return last, errBusy
}

// readStatements collects the checkpoints whose signatures hold.
func (v *verifier) readStatements(key ed25519.PublicKey) error {
	take := func(at place, c Checkpoint) {
		if err := c.Verify(key); err != nil {
			v.report.add(at.fault(err.Error()))
			return
		}
		at.seq = c.Seq
		v.signed = append(v.signed, statement{at, c.Log, c.Head, c.Time})
	}
	_, err := readLedger(v.dir, func(at place, c Checkpoint, f *Fault) {
		if f != nil {
			v.report.add(f)
			return
		}
		v.ledger++
		v.newest = max(v.newest, c.Seq)
		take(at, c)
	})
	var fault *Fault
	if errors.As(err, &fault) {
		v.report.add(fault)
	} else if err != nil {
		return err
	}
	for i, c := range v.kept {
		take(place{file: fmt.Sprintf("kept checkpoint %d", i+1)}, c)
	}
	slices.SortStableFunc(v.signed, func(a, b statement) int { return cmp.Compare(a.seq, b.seq) })
	return nil
}

// line takes a line that the checker has taken.
func (v *verifier) line(l line) {
	c := v.checker
	switch {
	case l.frame == nil:
		v.report.Records++
		v.compare(l.place, l.seq, l.hash)
	case l.frame.Header != nil:
		if c.form != stub {
			v.report.Segments++
		}
		if l.frame.Header.Segment == 1 {
			v.compare(l.place, 0, l.hash)
		}
	case l.frame.Footer != nil:
		if c.form == stub {
			v.pass(c.seq)
			v.compare(l.place, c.seq, l.prev)
		}
		if v.walker.clean {
			v.closed = c.seq
			v.report.sign(c.seq, l.frame.Footer.Closed)
		}
	case v.walker.clean:
		r := l.frame.Removed
		v.report.Removed = append(v.report.Removed, Removal{r.Segment, c.first, c.seq, r.Time, r.Reason})
	}
}

// pass drops the statements about records before seq, which retention has removed.
func (v *verifier) pass(seq uint64) {
	for len(v.signed) > 0 && v.signed[0].seq < seq {
		v.signed = v.signed[1:]
		v.report.Unchecked++
	}
}

// compare holds what was signed of a record against its hash.
func (v *verifier) compare(at place, seq uint64, hash Hash) {
	for ; len(v.signed) > 0 && v.signed[0].seq <= seq; v.signed = v.signed[1:] {
		s := v.signed[0]
		source := s.file
		if s.line > 0 {
			source = fmt.Sprintf("%s line %d", s.file, s.line)
		}
		switch {
		case s.seq < seq:
			at.seq = s.seq
			v.report.add(at.fault(fmt.Sprintf("record %d, which was signed in %s, is missing before this line", s.seq, source)))
		case s.log != v.checker.log:
			v.report.add(s.differs("the checkpoint is that of another log", v.checker.log, s.log))
		case s.head != hash:
			at.seq = seq
			v.report.add(at.differs(fmt.Sprintf(
				"the line is not the one that was signed in %s: it or what was before it, behind record %d, was written anew", source, v.report.Signed),
				s.head, hash))
		default:
			v.report.Checkpoints++
			v.report.sign(seq, s.time)
		}
	}
}

// finish judges the end of the log.
func (v *verifier) finish() {
	c := v.checker
	v.report.Log, v.report.Last = c.log, c.seq
	end := c.last
	if end.file == "" {
		end.file = fileName(1, plain)
	}
	end.seq = c.seq
	for _, s := range v.signed {
		f := end.differs(fmt.Sprintf("the log ends here, and record %d was signed in %s: records have been cut off", s.seq, s.file), s.seq, c.seq)
		v.report.add(f)
	}
	switch {
	case v.ledger == 0:
		v.report.add(place{file: ledgerName}.fault("the checkpoints are gone"))
	case v.newest < v.closed:
		v.report.add(place{file: ledgerName}.differs("the last checkpoint is older than a footer", v.closed, v.newest))
	}
	if c.seq > v.report.Signed {
		v.report.Unsigned = c.seq - v.report.Signed
	}
	if v.report.Unsigned > MaxUnsigned {
		v.report.add(end.differs("more records at the end are without a signature than can be", MaxUnsigned, v.report.Unsigned))
	}
}
