package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// readSegment reads a segment through c, up to the first fault, which it returns,
// and shows every record to visit. It returns the offset where the line begins
// that it has stopped at, or else the end.
func readSegment(ctx context.Context, dir string, number uint64, c *checker, visit func(line)) (end int64, err error) {
	s, err := openSegment(dir, number, untilDone(ctx))
	if err != nil {
		return 0, err
	}
	defer s.close()
	var first *Fault
	c.fault = func(f *Fault) {
		if first == nil {
			first = f
		}
	}
	c.begin(s.segmentFile)
	lines := newLineReader(s)
	for {
		at := lines.at
		l, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return at.offset, nil
		case errors.Is(err, errTorn):
			return at.offset, at.fault(errTorn.Error())
		case err != nil:
			return at.offset, err
		}
		c.next(l)
		if first != nil {
			return at.offset, first
		}
		if l.frame == nil {
			visit(l)
		}
	}
}

// readEnd reads the newest segments, enough for what seen keeps, and takes up the
// state at their end. What a crash has left of a last write it cuts off.
func (l *Log) readEnd(signed *Checkpoint) error {
	from := len(l.segments) - 1
	// One closed segment at least, because the last one's header follows its footer.
	for from > 0 && (from == len(l.segments)-1 || l.newest().firstSeq-l.segments[from].firstSeq < uint64(l.limits.recent)) {
		from--
	}
	for {
		cut, err := l.readFrom(from, signed)
		if err != nil {
			return err
		}
		if cut == nil {
			return l.checkSigned(signed)
		}
		if err := l.cut(cut); err != nil {
			return fmt.Errorf("cutting off a torn end: %w", err)
		}
	}
}

// readFrom reads the segments from an index on. If the last one's end has to be cut
// off first, it returns where and why.
func (l *Log) readFrom(from int, signed *Checkpoint) (cut *Fault, err error) {
	c := newChecker(l.publicKey())
	if from > 0 {
		c.skip()
	}
	l.seen = seen{}
	l.head = Head{}
	var forged *Fault
	var end int64
	for i := from; i < len(l.segments); i++ {
		s := &l.segments[i]
		l.seen.begin(s.number, l.limits.recent)
		end, err = readSegment(context.Background(), l.dir, s.number, c, func(r line) {
			l.seen.add(r.record.ID)
			l.head = Head{Seq: r.seq, Hash: r.hash, ID: r.record.ID, StreamSeq: r.record.StreamSeq, Stored: r.record.Stored}
			if signed != nil && r.seq == signed.Seq && r.hash != signed.Head {
				forged = r.differs("the record is not the one that the last checkpoint was signed for", signed.Head, r.hash)
			}
		})
		if forged != nil {
			return nil, forged
		}
		last := i == len(l.segments)-1
		if err != nil {
			return l.torn(err, end, last && c.form == plain, signed)
		}
		var unfinished *Fault
		c.fault = func(f *Fault) { unfinished = f }
		if c.end(last); unfinished != nil {
			return nil, unfinished
		}
		s.stream = c.stream
	}
	l.line = c.prev
	l.head.Log, l.head.Seq = c.log, c.seq
	if c.seq == 0 {
		l.head.Hash = l.newest().header
	}
	if c.stage != stageLines {
		return nil, nil // closed; the next Append begins another
	}
	t, err := l.reopen(fileName(l.newest().number, plain), end)
	if err != nil {
		return nil, err
	}
	l.active = &t
	return nil, nil
}

// torn decides whether a fault at the line that begins at end can be what a crash
// has left of a write, and where to cut then: all that was signed was on the disk
// before, so it has to be good. Otherwise it returns the fault as an error.
//
// What of a write has reached the disk need not be its beginning. So a line that
// looks whole goes too when the line behind it does not name it.
func (l *Log) torn(err error, end int64, mayCut bool, signed *Checkpoint) (cut *Fault, _ error) {
	var fault *Fault
	if !mayCut || !errors.As(err, &fault) {
		return nil, err
	}
	var signedSeq uint64
	if signed != nil {
		signedSeq = signed.Seq
	}
	at := *fault
	good := l.head.Seq
	if fault.Offset < end && good > signedSeq && good >= l.newest().firstSeq {
		good--
	} else {
		at.Offset = end
	}
	if at.Offset == 0 || good < signedSeq {
		return nil, fault
	}
	return &at, nil
}

func (l *Log) cut(at *Fault) error {
	info, err := os.Stat(filepath.Join(l.dir, at.File))
	if err != nil {
		return err
	}
	t, err := l.reopen(at.File, at.Offset)
	if err != nil {
		return err
	}
	size := info.Size() - at.Offset
	l.tornBytes += size
	l.log.Warn("cut off the end of the audit log, which was torn",
		"file", at.File, "offset", at.Offset, "bytes", size, "reason", at.Reason)
	return t.Close()
}

// checkSigned compares the log with its last checkpoint.
func (l *Log) checkSigned(signed *Checkpoint) error {
	at := place{file: ledgerName}
	if signed == nil {
		if l.head.Seq > 0 || len(l.segments) > 1 {
			return at.fault("the checkpoints are gone")
		}
		return nil
	}
	switch {
	case signed.Log != l.head.Log:
		return at.differs("the last checkpoint is that of another log", l.head.Log, signed.Log)
	case signed.Seq > l.head.Seq:
		return at.differs("the log ends before its last checkpoint", signed.Seq, l.head.Seq)
	case signed.Seq+1 < l.newest().firstSeq:
		return at.differs("the last checkpoint is older than a footer", l.newest().firstSeq-1, signed.Seq)
	case signed.Seq == 0 && signed.Head != l.segments[0].header:
		return at.differs("the header is not the one that the checkpoint was signed for", signed.Head, l.segments[0].header)
	case l.head.Seq-signed.Seq > MaxUnsigned:
		return at.differs("more records are without a signature than can be", MaxUnsigned, l.head.Seq-signed.Seq)
	}
	return nil
}
