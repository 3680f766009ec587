package spool

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"
)

// Bounds of a record, in bytes. NATS servers take messages of 1 MiB unless set
// otherwise; a record of the largest size fits in one with its headers.
const (
	MaxRecord  = 512 << 10 // of JSON
	maxSubject = 512
	maxID      = 128
	maxLine    = MaxRecord + maxSubject + maxID + 64
)

// ErrInvalid reports a record that the bus would never take: of another host or
// source, malformed, or larger than [MaxRecord].
var ErrInvalid = errors.New("not a record for the spool")

// record is what a queue keeps.
type record struct {
	Subject string // to publish to
	ID      string
	Payload []byte // without newlines
}

func (r record) check() error {
	switch {
	case !word(r.Subject, maxSubject):
		return fmt.Errorf("%w: the subject has %d bytes, or a space or control character among them", ErrInvalid, len(r.Subject))
	case !word(r.ID, maxID):
		return fmt.Errorf("%w: the id has %d bytes, or a space or control character among them", ErrInvalid, len(r.ID))
	case len(r.Payload) > MaxRecord:
		return fmt.Errorf("%w: it has %d bytes, where %d are possible", ErrInvalid, len(r.Payload), MaxRecord)
	case bytes.IndexByte(r.Payload, '\n') >= 0:
		return fmt.Errorf("%w: there is a newline in it", ErrInvalid)
	}
	return nil
}

// word reports whether s can stand between two spaces.
func word(s string, longest int) bool {
	if s == "" || len(s) > longest {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// sumLength is that of the checksum and the space behind it.
const sumLength = 9

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendLine appends r as a line with its newline.
func appendLine(dst []byte, at time.Time, r record) []byte {
	start := len(dst)
	dst = append(dst, "00000000 "...)
	dst = strconv.AppendInt(dst, at.UnixMilli(), 10)
	dst = append(dst, ' ')
	dst = append(dst, r.Subject...)
	dst = append(dst, ' ')
	dst = append(dst, r.ID...)
	dst = append(dst, ' ')
	dst = append(dst, r.Payload...)
	sum := checksum(dst[start+sumLength:])
	hex.Encode(dst[start:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return append(dst, '\n')
}

// parseLine reads a line without its newline. It reports false for anything
// that appendLine cannot have written. The payload is part of line.
func parseLine(line []byte) (r record, at time.Time, ok bool) {
	if len(line) <= sumLength || line[sumLength-1] != ' ' {
		return record{}, time.Time{}, false
	}
	sum, err := strconv.ParseUint(string(line[:sumLength-1]), 16, 32)
	if err != nil || uint32(sum) != checksum(line[sumLength:]) {
		return record{}, time.Time{}, false
	}
	fields := bytes.SplitN(line[sumLength:], []byte{' '}, 4)
	if len(fields) != 4 {
		return record{}, time.Time{}, false
	}
	ms, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return record{}, time.Time{}, false
	}
	r = record{Subject: string(fields[1]), ID: string(fields[2]), Payload: fields[3]}
	return r, time.UnixMilli(ms), r.check() == nil
}

// lineReader takes a segment apart into lines, good and bad. It needs no more
// memory than one line.
type lineReader struct {
	buf    *bufio.Reader
	offset int64 // of the next line
}

func newLineReader() *lineReader { return &lineReader{buf: bufio.NewReaderSize(nil, maxLine)} }

// reset makes it read r, whose first byte stands at offset.
func (l *lineReader) reset(r io.Reader, offset int64) {
	l.buf.Reset(r)
	l.offset = offset
}

// next returns the next line without its newline, valid until the next call; nil
// for one that is longer than any record. At the end it returns io.EOF: offset
// has then moved if there were bytes behind the last newline.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.buf.ReadSlice('\n')
	l.offset += int64(len(line))
	if err == nil {
		return line[:len(line)-1], nil
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.buf.ReadSlice('\n')
		l.offset += int64(len(line))
	}
	return nil, err
}
