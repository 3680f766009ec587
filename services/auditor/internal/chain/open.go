package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// resume continues where an earlier process has stopped.
func (l *Log) resume(keyFile string) error {
	if err := l.removeLeftovers(); err != nil {
		return err
	}
	files, err := listSegments(l.dir)
	if err != nil {
		return err
	}
	if l.key, err = loadKey(keyFile, l.dir, len(files) == 0); err != nil {
		return fmt.Errorf("loading the key: %w", err)
	}
	signed, end, err := newest(l.dir, l.publicKey())
	if err != nil {
		return err
	}
	switch {
	case len(files) > 0:
		if err := l.readHeaders(current(files)); err != nil {
			return err
		}
		if err := l.readEnd(signed); err != nil {
			return err
		}
	case signed != nil:
		return place{file: ledgerName}.corruption("there are checkpoints, and the log that they are of is gone")
	default:
		if err := l.begin(); err != nil {
			return err
		}
	}
	return l.openLedger(signed, end)
}

func (l *Log) openLedger(signed *Checkpoint, end int64) error {
	if signed == nil {
		f, err := l.open(filepath.Join(l.dir, ledgerName), os.O_WRONLY|os.O_CREATE)
		if err != nil {
			return err
		}
		l.ledger = tail{file: f, unclean: true}
		return errors.Join(l.sign(), syncDir(l.dir))
	}
	l.signed = *signed
	var err error
	l.ledger, err = l.reopen(ledgerName, end)
	return err
}

// removeLeftovers removes what a crash has left half done: files under temporary names,
// and forms of a segment of which the form before is still there.
func (l *Log) removeLeftovers() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	var last uint64
	for _, e := range entries { // by name: the forms of a segment in their order
		name, tmp := strings.CutSuffix(e.Name(), tmpSuffix)
		number, _, ok := parseFileName(name)
		switch {
		case tmp && (ok || name == ledgerName || name == keyName || name == publicKeyName):
		case !tmp && ok && number == last:
		default:
			if ok && !tmp {
				last = number
			}
			continue
		}
		if err := os.Remove(filepath.Join(l.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// readHeaders finds out what segments there are.
func (l *Log) readHeaders(files []segmentFile) error {
	for i, file := range files {
		number := uint64(i) + 1
		if file.number != number {
			return place{file: fileName(number, plain)}.corruption("the segment is missing")
		}
		h, err := readHeader(l.dir, file.number)
		if err != nil {
			return err
		}
		f := h.frame.Header
		if i > 0 {
			l.newest().stream = f.Before
			if f.FirstSeq < l.newest().firstSeq {
				return h.differs("the segment begins before the one before it", l.newest().firstSeq, f.FirstSeq)
			}
		}
		l.segments = append(l.segments, segment{number: number, firstSeq: f.FirstSeq, created: f.Created, header: h.hash})
	}
	return nil
}

func readHeader(dir string, number uint64) (line, error) {
	s, err := openSegment(dir, number, untilDone(context.Background()))
	if err != nil {
		return line{}, err
	}
	defer s.close()
	h, err := newLineReader(s).next()
	var corruption *Corruption
	switch {
	case errors.As(err, &corruption):
		return line{}, corruption
	case err != nil:
		return line{}, h.corruption("the header cannot be read: " + err.Error())
	}
	if h.frame == nil || h.frame.Header == nil {
		return line{}, h.corruption("the segment has no header")
	}
	return h, nil
}

// readSegment reads a segment through c, up to the first corruption, which it returns,
// and calls visit with every record. It returns the offset of the line where it has
// stopped, or else of the end.
func readSegment(ctx context.Context, dir string, number uint64, c *checker, visit func(line)) (end int64, err error) {
	s, err := openSegment(dir, number, untilDone(ctx))
	if err != nil {
		return 0, err
	}
	defer s.close()
	var first *Corruption
	c.corruption = func(f *Corruption) {
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
			return at.offset, at.corruption(errTorn.Error())
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

// readEnd reads the newest segments, enough for what dedup keeps, and takes up the
// state at their end. What a crash has left of a last write it cuts off.
func (l *Log) readEnd(signed *Checkpoint) error {
	from := len(l.segments) - 1
	// Min one closed segment, because the last one's header follows its footer.
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
func (l *Log) readFrom(from int, signed *Checkpoint) (cut *Corruption, err error) {
	c := newChecker(l.publicKey())
	if from > 0 {
		c.skip()
	}
	l.dedup = dedup{}
	l.head = Head{}
	var forged *Corruption
	var end int64
	for i := from; i < len(l.segments); i++ {
		s := &l.segments[i]
		l.dedup.begin(s.number, l.limits.recent)
		end, err = readSegment(context.Background(), l.dir, s.number, c, func(r line) {
			l.dedup.add(r.record.ID)
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
		var unfinished *Corruption
		c.corruption = func(f *Corruption) { unfinished = f }
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

// torn decides whether a corruption at the line that begins at end can be what a crash
// has left of a write, and where to cut then: all that was signed was on the disk
// before, so it has to be good. Otherwise it returns the corruption as an error.
//
// What of a write has reached the disk need not be its beginning. So a line that
// looks whole goes too when the line behind it does not name it.
func (l *Log) torn(err error, end int64, mayCut bool, signed *Checkpoint) (cut *Corruption, _ error) {
	var corruption *Corruption
	if !mayCut || !errors.As(err, &corruption) {
		return nil, err
	}
	var signedSeq uint64
	if signed != nil {
		signedSeq = signed.Seq
	}
	at := *corruption
	good := l.head.Seq
	if corruption.Offset < end && good > signedSeq && good >= l.newest().firstSeq {
		good--
	} else {
		at.Offset = end
	}
	if at.Offset == 0 || good < signedSeq {
		return nil, corruption
	}
	return &at, nil
}

func (l *Log) cut(at *Corruption) error {
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
			return at.corruption("the checkpoints are gone")
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
