package chain

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of one [Log.Append].
const (
	MaxPayload    = 8 << 20  // bytes of a record's payload
	MaxID         = 128      // characters of a record's id
	MaxBatch      = 4096     // records
	MaxBatchBytes = 64 << 20 // bytes of their payloads together
)

// ErrInvalid reports a record that the log cannot hold.
var ErrInvalid = errors.New("not a record that the log can hold")

// Record is an entry of the log.
type Record struct {
	Seq       uint64    // place in the log, from 1, without gaps
	ID        string    // event id: 1 to MaxID letters, digits, and "-._:"
	StreamSeq uint64    // sequence in the stream it came from
	Stored    time.Time // when the stream stored it; UTC, in years 0 to 9999
	Payload   []byte    // the stored message, byte for byte; at most MaxPayload
}

func (r *Record) check() error {
	if !validID(r.ID) {
		return fmt.Errorf("%w: its id is %.140q", ErrInvalid, r.ID)
	}
	if y := r.Stored.UTC().Year(); y < 0 || y > 9999 {
		return fmt.Errorf("%w: it was stored in year %d", ErrInvalid, y)
	}
	if len(r.Payload) > MaxPayload {
		return fmt.Errorf("%w: its payload has %d bytes of at most %d", ErrInvalid, len(r.Payload), MaxPayload)
	}
	return nil
}

// validID leaves out what JSON would have to escape, so that an id looks the same
// in the file, in a query and in a shell.
func validID(id string) bool {
	for _, c := range []byte(id) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c == '-', c == '.', c == '_', c == ':':
		default:
			return false
		}
	}
	return len(id) > 0 && len(id) <= MaxID
}

// The constant parts of a record's line.
const (
	partPrev      = `{"prev":"`
	partSeq       = `","seq":`
	partID        = `,"id":"`
	partStreamSeq = `","stream_seq":`
	partStored    = `,"stored":"`
	partPayload   = `","payload":`
	partBase64    = `","payload_base64":"`
)

// appendRecord appends the line of r behind a line whose hash is prev.
func appendRecord(b []byte, prev Hash, r *Record) []byte {
	b = append(b, partPrev...)
	b = hex.AppendEncode(b, prev[:])
	b = append(b, partSeq...)
	b = strconv.AppendUint(b, r.Seq, 10)
	b = append(b, partID...)
	b = append(b, r.ID...)
	b = append(b, partStreamSeq...)
	b = strconv.AppendUint(b, r.StreamSeq, 10)
	b = append(b, partStored...)
	b = r.Stored.UTC().AppendFormat(b, time.RFC3339Nano)
	if oneLineJSON(r.Payload) {
		b = append(b, partPayload...)
		b = append(b, r.Payload...)
	} else {
		b = append(b, partBase64...)
		b = base64.StdEncoding.AppendEncode(b, r.Payload)
		b = append(b, '"')
	}
	return append(b, '}', '\n')
}

// oneLineJSON reports whether a payload can be in a line as it is.
func oneLineJSON(payload []byte) bool {
	for _, c := range payload {
		if c == '\n' {
			return false
		}
	}
	return jsontext.Value(payload).IsValid(jsontext.AllowDuplicateNames(true))
}

var (
	errNotRecord = errors.New("the line is not a record")
	errNotTime   = errors.New("the time is not in UTC and RFC 3339 as the log writes it")
)

// parseRecord accepts exactly the lines that appendRecord writes, but for the
// payload's JSON, which only the chain vouches for. The record's payload is a
// part of line.
func parseRecord(line []byte) (prev Hash, r Record, err error) {
	p := fields{rest: line}
	p.literal(partPrev)
	if err := prev.UnmarshalText(p.take(hexHash)); err != nil {
		return prev, r, err
	}
	p.literal(partSeq)
	r.Seq = p.number()
	p.literal(partID)
	r.ID = string(p.quoted())
	p.literal(partStreamSeq)
	r.StreamSeq = p.number()
	p.literal(partStored)
	stored := string(p.quoted())
	if p.failed || !validID(r.ID) {
		return prev, r, errNotRecord
	}
	if r.Stored, err = time.Parse(time.RFC3339Nano, stored); err != nil || r.Stored.UTC().Format(time.RFC3339Nano) != stored {
		return prev, r, errNotTime
	}
	r.Payload, err = p.payload()
	return prev, r, err
}

// fields takes a line apart from the left.
type fields struct {
	rest   []byte
	failed bool
}

func (p *fields) take(n int) []byte {
	if n > len(p.rest) {
		p.failed = true
		return nil
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *fields) literal(s string) {
	if string(p.take(len(s))) != s {
		p.failed = true
	}
}

// quoted takes what is before the next quote, and leaves the quote.
func (p *fields) quoted() []byte {
	for i := 0; i < len(p.rest) && i <= MaxID; i++ {
		if p.rest[i] == '"' {
			return p.take(i)
		}
	}
	p.failed = true
	return nil
}

func (p *fields) number() uint64 {
	const digits = 20 // of the max
	i := 0
	for i < len(p.rest) && i <= digits && p.rest[i] >= '0' && p.rest[i] <= '9' {
		i++
	}
	text := string(p.take(i))
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || (text[0] == '0' && text != "0") {
		p.failed = true
	}
	return n
}

// payload takes the end of the line.
func (p *fields) payload() ([]byte, error) {
	plain := *p
	plain.literal(partPayload)
	if !plain.failed {
		rest := plain.rest
		if len(rest) < 3 || string(rest[len(rest)-2:]) != "}\n" {
			return nil, errNotRecord
		}
		return rest[:len(rest)-2], nil
	}
	p.literal(partBase64)
	if n := len(p.rest) - 3; p.failed || n < 0 || string(p.rest[n:]) != "\"}\n" {
		return nil, errNotRecord
	}
	payload, err := base64.StdEncoding.Strict().AppendDecode(nil, p.rest[:len(p.rest)-3])
	if err != nil {
		return nil, fmt.Errorf("reading a payload in base64: %w", err)
	}
	return payload, nil
}
