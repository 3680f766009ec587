package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// takeOver goes on where an earlier process has left off.
func (l *Log) takeOver(keyFile string) error {
	if err := l.tidyUp(); err != nil {
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
		return place{file: ledgerName}.fault("there are checkpoints, and the log that they are of is gone")
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

// tidyUp removes what a crash has left half done: files under temporary names,
// and forms of a segment of which the form before is still there.
func (l *Log) tidyUp() error {
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

// readHeaders learns what segments there are.
func (l *Log) readHeaders(files []segmentFile) error {
	for i, file := range files {
		number := uint64(i) + 1
		if file.number != number {
			return place{file: fileName(number, plain)}.fault("the segment is missing")
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
	var fault *Fault
	switch {
	case errors.As(err, &fault):
		return line{}, fault
	case err != nil:
		return line{}, h.fault("the header cannot be read: " + err.Error())
	}
	if h.frame == nil || h.frame.Header == nil {
		return line{}, h.fault("the segment has no header")
	}
	return h, nil
}
