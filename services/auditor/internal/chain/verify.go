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
	// the log's directory is used, which proves less: see Result.OwnKey.
	PublicKey ed25519.PublicKey
	// Checkpoints have been kept elsewhere, such as on the bus. Only they show that
	// a log was set back to an earlier state or written anew by someone with the key.
	Checkpoints []Checkpoint
	// Progress, if set, is called with how many of the bytes on disk have been read.
	Progress func(done, total int64)
}

// Verify reads all of the log in dir and checks every line, hash and signature.
// What is wrong with the log is in the result; an error says that it could not be
// checked, or that ctx was done. It takes no lock: an auditor may be writing.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Result, error) {
	v := verifier{dir: dir, kept: o.Checkpoints}
	if err := v.run(ctx, o); err != nil {
		return v.result, fmt.Errorf("verifying the audit log: %w", err)
	}
	return v.result, nil
}

type verifier struct {
	dir     string
	kept    []Checkpoint
	checker *checker
	walker  walker
	result  Result
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
		v.result.OwnKey = true
	}
	v.result.PublicKey = key
	last, err := v.snapshot(key)
	if err != nil {
		return err
	}
	v.checker = newChecker(key)
	v.checker.corruption = v.result.add
	v.walker = walker{
		dir:     v.dir,
		checker: v.checker,
		before:  func(line) {},
		after:   v.line,
		meter: func(n int) error {
			v.result.Bytes += int64(n)
			if o.Progress != nil && n > 0 {
				o.Progress(v.result.Bytes, max(v.total, v.result.Bytes))
			}
			return ctx.Err()
		},
	}
	if err := v.walker.run(1, last); err != nil {
		return err
	}
	v.finish()
	if v.walker.torn != nil {
		v.result.TornBytes = last.size - v.walker.torn.offset
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
		v.result.Corruptions, v.result.CorruptionCount = nil, 0
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
			v.result.add(at.corruption(err.Error()))
			return
		}
		at.seq = c.Seq
		v.signed = append(v.signed, statement{at, c.Log, c.Head, c.Time})
	}
	_, err := readLedger(v.dir, func(at place, c Checkpoint, f *Corruption) {
		if f != nil {
			v.result.add(f)
			return
		}
		v.ledger++
		v.newest = max(v.newest, c.Seq)
		take(at, c)
	})
	var corruption *Corruption
	if errors.As(err, &corruption) {
		v.result.add(corruption)
	} else if err != nil {
		return err
	}
	for i, c := range v.kept {
		take(place{file: fmt.Sprintf("kept checkpoint %d", i+1)}, c)
	}
	slices.SortStableFunc(v.signed, func(a, b statement) int { return cmp.Compare(a.seq, b.seq) })
	return nil
}

// line counts and compares a line that the checker has read.
func (v *verifier) line(l line) {
	c := v.checker
	switch {
	case l.frame == nil:
		v.result.Records++
		v.compare(l.place, l.seq, l.hash)
	case l.frame.Header != nil:
		if c.form != stub {
			v.result.Segments++
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
			v.result.sign(c.seq, l.frame.Footer.Closed)
		}
	case v.walker.clean:
		r := l.frame.Removed
		v.result.Removed = append(v.result.Removed, Removal{r.Segment, c.first, c.seq, r.Time, r.Reason})
	}
}

// pass drops the statements about records before seq, which retention has removed.
func (v *verifier) pass(seq uint64) {
	for len(v.signed) > 0 && v.signed[0].seq < seq {
		v.signed = v.signed[1:]
		v.result.Unchecked++
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
			v.result.add(at.corruption(fmt.Sprintf("record %d, which was signed in %s, is missing before this line", s.seq, source)))
		case s.log != v.checker.log:
			v.result.add(s.differs("the checkpoint is that of another log", v.checker.log, s.log))
		case s.head != hash:
			at.seq = seq
			v.result.add(at.differs(fmt.Sprintf(
				"the line is not the one that was signed in %s: it or what was before it, behind record %d, was written anew", source, v.result.Signed),
				s.head, hash))
		default:
			v.result.Checkpoints++
			v.result.sign(seq, s.time)
		}
	}
}

// finish checks the end of the log.
func (v *verifier) finish() {
	c := v.checker
	v.result.Log, v.result.Last = c.log, c.seq
	end := c.last
	if end.file == "" {
		end.file = fileName(1, plain)
	}
	end.seq = c.seq
	for _, s := range v.signed {
		f := end.differs(fmt.Sprintf("the log ends here, and record %d was signed in %s: records have been cut off", s.seq, s.file), s.seq, c.seq)
		v.result.add(f)
	}
	switch {
	case v.ledger == 0:
		v.result.add(place{file: ledgerName}.corruption("the checkpoints are gone"))
	case v.newest < v.closed:
		v.result.add(place{file: ledgerName}.differs("the last checkpoint is older than a footer", v.closed, v.newest))
	}
	if c.seq > v.result.Signed {
		v.result.Unsigned = c.seq - v.result.Signed
	}
	if v.result.Unsigned > MaxUnsigned {
		v.result.add(end.differs("more records at the end are without a signature than can be", MaxUnsigned, v.result.Unsigned))
	}
}

// maxCorruptions is how many corruptions a result keeps. One forged line can make many.
const maxCorruptions = 100

// Result is what [Verify] has found.
type Result struct {
	Log       string // the log's id
	PublicKey ed25519.PublicKey
	// OwnKey says that the key was taken from the log's own directory. Who can write
	// there can have put another key and another log in place.
	OwnKey bool

	Segments int    // that hold records
	Records  uint64 // that are there
	Last     uint64 // number of the last record
	Bytes    int64  // read from the disk
	Removed  []Removal

	Checkpoints int       // that agree with the log, kept elsewhere or beside it
	Unchecked   int       // that speak of records which retention has removed
	Signed      uint64    // the last record that is covered by a signature
	SignedAt    time.Time // when it was signed
	// Unsigned is how many records are behind Signed. Whether any of them was altered
	// cannot be known; more than [MaxUnsigned] are a corruption.
	Unsigned uint64
	// TornBytes are those of a last line that has no end: the auditor is writing
	// it, or a crash has left it, and the next Open cuts it off.
	TornBytes int64

	// The names in JSON are those that scripts read.
	Corruptions     []*Corruption `json:"Faults"`     // the first ones, at most 100
	CorruptionCount int           `json:"FaultCount"` // all
}

// Removal is a segment that retention has removed, with a signed statement that it
// did.
type Removal struct {
	Segment     uint64
	First, Last uint64 // records
	Time        time.Time
	Reason      string // "age" or "size"
}

// OK reports whether the log is as it was written.
func (r *Result) OK() bool { return r.CorruptionCount == 0 }

func (r *Result) add(f *Corruption) {
	r.CorruptionCount++
	if len(r.Corruptions) < maxCorruptions {
		r.Corruptions = append(r.Corruptions, f)
	}
}

func (r *Result) sign(seq uint64, at time.Time) {
	if seq >= r.Signed {
		r.Signed, r.SignedAt = seq, at
	}
}
