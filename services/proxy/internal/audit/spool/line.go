package spool

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
)

// Bounds of a record, in bytes. NATS servers take messages of 1 MiB unless told
// otherwise; a record of the largest size fits in one with its headers.
const (
	MaxPayload = 512 << 10
	maxSubject = 512
	maxID      = 128
	maxLine    = MaxPayload + maxSubject + maxID + 64
)

// ErrInvalid reports a record that is no line: too large, or with a space or a
// newline where none can be. Appending it again cannot help.
var ErrInvalid = errors.New("not a record for the spool")

// Record is what the spool keeps.
type Record struct {
	Subject string // to publish to
	ID      string
	Payload []byte // without newlines
}

func (r Record) check() error {
	switch {
	case !word(r.Subject, maxSubject):
		return fmt.Errorf("%w: the subject has %d bytes, or a space or control character among them", ErrInvalid, len(r.Subject))
	case !word(r.ID, maxID):
		return fmt.Errorf("%w: the id has %d bytes, or a space or control character among them", ErrInvalid, len(r.ID))
	case len(r.Payload) > MaxPayload:
		return fmt.Errorf("%w: it has %d bytes, where %d are possible", ErrInvalid, len(r.Payload), MaxPayload)
	case bytes.IndexByte(r.Payload, '\n') >= 0:
		return fmt.Errorf("%w: there is a newline in it", ErrInvalid)
	}
	return nil
}

// word reports whether s can stand between two spaces.
func word(s string, most int) bool {
	if s == "" || len(s) > most {
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
func appendLine(dst []byte, at time.Time, r Record) []byte {
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
func parseLine(line []byte) (r Record, at time.Time, ok bool) {
	if len(line) <= sumLength || line[sumLength-1] != ' ' {
		return Record{}, time.Time{}, false
	}
	sum, err := strconv.ParseUint(string(line[:sumLength-1]), 16, 32)
	if err != nil || uint32(sum) != checksum(line[sumLength:]) {
		return Record{}, time.Time{}, false
	}
	fields := bytes.SplitN(line[sumLength:], []byte{' '}, 4)
	if len(fields) != 4 {
		return Record{}, time.Time{}, false
	}
	ms, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return Record{}, time.Time{}, false
	}
	r = Record{Subject: string(fields[1]), ID: string(fields[2]), Payload: fields[3]}
	return r, time.UnixMilli(ms), r.check() == nil
}
