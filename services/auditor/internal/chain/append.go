package chain

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// signEvery is how many records may be without a signature before the next
	// Append makes a checkpoint.
	signEvery = 4096
	// MaxUnsigned is how many records at the end of a log can be without a
	// signature. A log with more has not been written by an auditor.
	MaxUnsigned = signEvery + MaxBatch
	// maxSegmentRecords bounds a segment, and so the memory that its ids take.
	maxSegmentRecords = 1 << 18
	// keepBuffer is how much memory is kept from one Append to the next, in bytes.
	keepBuffer = 8 << 20
)

// Append puts records, at most [MaxBatch] and [MaxBatchBytes], at the end of the
// log, sets their Seq, and returns when they are on the disk. It does not retain
// them. The error wraps [ErrNoSpace], [ErrInvalid] or [ErrClosed]; otherwise there
// were too many or the file system has failed. After an error none of the records is
// in the log, and a later Append may succeed.
//
// It does not check whether a record is in the log already: see [Log.Missing].
func (l *Log) Append(records []Record) error {
	if len(records) == 0 {
		return nil
	}
	size := 0
	for i := range records {
		if err := records[i].check(); err != nil {
			return fmt.Errorf("appending to the audit log: %w", err)
		}
		size += len(records[i].Payload)
	}
	if len(records) > MaxBatch || size > MaxBatchBytes {
		return fmt.Errorf("appending to the audit log: %d records of %d bytes at once, of at most %d and %d", len(records), size, MaxBatch, MaxBatchBytes)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if err := l.append(records); err != nil {
		return fmt.Errorf("appending to the audit log: %w", noSpace(err))
	}
	return nil
}

// append is Append with l.mu held.
func (l *Log) append(records []Record) error {
	if err := l.makeReady(); err != nil {
		return err
	}
	head, line := l.head, l.line
	buf := l.batch[:0]
	for i := range records {
		r := records[i]
		head.Seq++
		r.Seq = head.Seq
		start := len(buf)
		buf = appendRecord(buf, line, &r)
		line = hashLine(buf[start:])
	}
	if cap(buf) <= keepBuffer {
		l.batch = buf
	}
	if err := l.active.add(buf); err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		r.Seq = l.head.Seq + uint64(i) + 1
		l.newest().stream.add(r.StreamSeq)
		l.dedup.add(r.ID)
	}
	last := &records[len(records)-1]
	head.Hash, head.ID, head.StreamSeq, head.Stored = line, last.ID, last.StreamSeq, last.Stored.UTC()
	l.head, l.line = head, line
	return nil
}

// makeReady signs and begins a segment where that is due before more records.
func (l *Log) makeReady() error {
	if l.head.Seq-l.signed.Seq >= signEvery {
		if err := l.sign(); err != nil {
			return err
		}
	}
	if l.active != nil && l.full() {
		if err := l.closeSegment(); err != nil {
			return err
		}
	}
	if l.active == nil {
		return l.begin()
	}
	return nil
}

func (l *Log) full() bool {
	s := l.newest()
	records := l.head.Seq + 1 - s.firstSeq
	if records == 0 {
		return false
	}
	anotherDay := l.daily && !day(l.now()).Equal(day(s.created))
	return l.active.size >= l.segmentBytes || records+MaxBatch > l.limits.records || anotherDay
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// closeSegment closes the newest segment. The checkpoint comes first, so that the ledger never
// ends before a footer.
func (l *Log) closeSegment() error {
	if err := l.sign(); err != nil {
		return err
	}
	s := l.newest()
	fr, err := signFooter(l.key, l.head.Hash, &footer{
		Segment:   s.number,
		FirstSeq:  s.firstSeq,
		LastSeq:   l.head.Seq,
		Header:    s.header,
		Closed:    l.now().UTC(),
		PublicKey: l.publicKey(),
	})
	if err != nil {
		return err
	}
	text, err := fr.encode()
	if err != nil {
		return err
	}
	if err := l.active.add(text); err != nil {
		return err
	}
	err = l.active.Close()
	l.active = nil
	l.line = hashLine(text)
	if err != nil {
		return err
	}
	return l.condense()
}

// begin makes the next segment, or the first. The file appears with its header in it.
func (l *Log) begin() error {
	h := &header{
		Version:   version,
		Log:       l.head.Log,
		Segment:   uint64(len(l.segments)) + 1,
		FirstSeq:  l.head.Seq + 1,
		Created:   l.now().UTC(),
		PublicKey: l.publicKey(),
	}
	if len(l.segments) == 0 {
		var id [16]byte
		rand.Read(id[:]) //nolint:errcheck // never fails, says crypto/rand
		h.Log = hex.EncodeToString(id[:])
	} else {
		h.Before = l.newest().stream
	}
	fr := &frame{Prev: l.line, Header: h}
	text, err := fr.encode()
	if err != nil {
		return err
	}
	t, err := l.create(fileName(h.Segment, plain), text)
	if err != nil {
		if t.file != nil {
			t.Close() //nolint:errcheck // the next attempt makes it anew
		}
		return err
	}
	l.active = &t
	l.segments = append(l.segments, segment{number: h.Segment, firstSeq: h.FirstSeq, created: h.Created, header: hashLine(text)})
	l.dedup.begin(h.Segment, l.limits.recent)
	l.line = hashLine(text)
	if h.Segment == 1 {
		l.head.Log, l.head.Hash = h.Log, l.line
	}
	return nil
}

// reopen opens a file of the log to write behind size.
func (l *Log) reopen(name string, size int64) (tail, error) {
	path := filepath.Join(l.dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return tail{}, err
	}
	f, err := l.open(path, os.O_WRONLY)
	if err != nil {
		return tail{}, err
	}
	t := tail{file: f, size: size, unclean: info.Size() != size}
	if err := t.clean(); err != nil {
		f.Close() //nolint:errcheck // the error that counts is there
		return tail{}, err
	}
	return t, nil
}
