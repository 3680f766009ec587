package chain

import (
	"bufio"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
)

// ledgerName is the file of the checkpoints that lie behind the last footer, and
// of the last one before it: what they say of earlier records, footers say too.
const ledgerName = "checkpoints.jsonl"

const (
	maxStatement = 1024      // bytes of a checkpoint's line
	maxLedger    = 256 << 20 // bytes of the file; a checkpoint for every record of a segment
)

// readLedger gives each the checkpoints in dir with their places, or what is wrong
// with a line, and returns the offset behind the last whole one. A line without an
// end is what a crash has left, or is being written.
func readLedger(dir string, each func(place, Checkpoint, *Corruption)) (end int64, err error) {
	f, err := os.Open(filepath.Join(dir, ledgerName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read from
	in := bufio.NewReaderSize(io.LimitReader(f, maxLedger), maxStatement)
	at := place{file: ledgerName, line: 1}
	for {
		text, err := in.ReadSlice('\n')
		switch {
		case err == nil:
			c, err := parseCheckpoint(text)
			var corruption *Corruption
			if err != nil {
				corruption = at.corruption(err.Error())
			}
			each(at, c, corruption)
			at.line++
			at.offset += int64(len(text))
		case errors.Is(err, io.EOF):
			return at.offset, nil
		case errors.Is(err, bufio.ErrBufferFull):
			return 0, at.corruption(errLineTooLong.Error())
		default:
			return 0, err
		}
	}
}

// statLedger returns nil if there is none.
func statLedger(dir string) (fs.FileInfo, error) {
	info, err := os.Stat(filepath.Join(dir, ledgerName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// sameFile reports whether a file has been neither replaced nor appended to.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size()
}

// newest returns the last checkpoint of the ledger, whose signature has to hold,
// and where the file's last whole line ends. There may be none.
func newest(dir string, key ed25519.PublicKey) (last *Checkpoint, end int64, err error) {
	var corruption *Corruption
	var at place
	end, err = readLedger(dir, func(p place, c Checkpoint, f *Corruption) {
		at, last = p, &c
		if corruption == nil {
			corruption = f
		}
	})
	switch {
	case err != nil:
		return nil, 0, err
	case corruption != nil:
		return nil, 0, corruption
	case last == nil:
		return nil, end, nil
	}
	if err := last.Verify(key); err != nil {
		return nil, 0, at.corruption(err.Error())
	}
	return last, end, nil
}

// Checkpoint signs the log as it is, keeps the statement in the log's directory
// and returns it, to be kept elsewhere too. If nothing has been appended since
// the last one, it returns that. [Log.Append] does the same by itself often
// enough for never more than [MaxUnsigned] records to be without a signature.
func (l *Log) Checkpoint() (Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Checkpoint{}, ErrClosed
	}
	if err := l.sign(); err != nil {
		return Checkpoint{}, fmt.Errorf("signing a checkpoint: %w", noSpace(err))
	}
	return l.signed, nil
}

// sign makes a checkpoint if there is something new. l.mu is held.
func (l *Log) sign() error {
	if l.signed.Signature != nil && l.signed.Seq == l.head.Seq {
		return nil
	}
	c := Checkpoint{
		Log:       l.head.Log,
		Seq:       l.head.Seq,
		Head:      l.head.Hash,
		Time:      l.now().UTC(),
		PublicKey: l.publicKey(),
	}
	if err := sign(l.key, &c, &c.Signature); err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := l.ledger.add(append(text, '\n')); err != nil {
		return err
	}
	l.signed = c
	return nil
}

// condense leaves the last checkpoint alone in the ledger. l.mu is held.
func (l *Log) condense() error {
	text, err := json.Marshal(l.signed)
	if err != nil {
		return err
	}
	next, err := l.create(ledgerName, append(text, '\n'))
	if next.file == nil {
		return err
	}
	old := l.ledger
	l.ledger = next
	return errors.Join(err, old.Close())
}
