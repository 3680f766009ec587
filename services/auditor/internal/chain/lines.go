package chain

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line, in bytes: a payload in base64 and what stands around it.
const maxLine = MaxPayload/3*4 + 4096

// maxSegment bounds a segment, in bytes of lines, whatever it was compressed to.
const maxSegment = 4 << 30

const readAhead = 256 << 10 // bytes

// errTorn reports that a file ends within a line.
var errTorn = errors.New("the file ends within a line")

var (
	errLineTooLong    = errors.New("the line is longer than any that the log writes")
	errSegmentTooLong = errors.New("the segment is longer than any that the log writes")
)

// line is a line of a segment, newline included. Its bytes, and those of its
// record's payload, last until the next one is read.
type line struct {
	place
	bytes  []byte
	hash   Hash
	prev   Hash
	record Record
	frame  *frame // nil for a record
}

// lineReader reads the lines of a segment.
type lineReader struct {
	in   *bufio.Reader
	long []byte // a line that in's buffer cannot hold
	at   place  // of the next line
}

func newLineReader(s *source) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(s, readAhead), at: place{file: s.name(), line: 1}}
}

// next returns the next line. The error is io.EOF at the end of the last line,
// [errTorn] if there is something behind it, a [*Fault] for a line that the log
// would not write, behind which reading can go on, or the file cannot be read.
func (r *lineReader) next() (line, error) {
	at := r.at
	raw, err := r.raw()
	if err != nil {
		return line{place: at}, err
	}
	r.at.line++
	r.at.offset += int64(len(raw))
	l := line{place: at, bytes: raw, hash: hashLine(raw)}
	if len(raw) > recordMark && bytes.HasPrefix(raw[recordMark:], []byte(partSeq)) {
		l.prev, l.record, err = parseRecord(raw)
		l.seq = l.record.Seq
	} else if l.frame, err = parseFrame(raw); err == nil {
		l.prev = l.frame.Prev
	}
	if err != nil {
		return l, at.fault(err.Error())
	}
	return l, nil
}

// recordMark is where a line says what it is.
const recordMark = len(partPrev) + hexHash

func (r *lineReader) raw() ([]byte, error) {
	r.long = r.long[:0]
	for {
		piece, err := r.in.ReadSlice('\n')
		size := len(r.long) + len(piece)
		switch {
		case err == nil && len(r.long) == 0:
			return piece, nil
		case size > maxLine:
			return nil, fmt.Errorf("%s: %w", r.at.file, errLineTooLong)
		case r.at.offset+int64(size) > maxSegment:
			return nil, fmt.Errorf("%s: %w", r.at.file, errSegmentTooLong)
		case err == nil:
			r.long = append(r.long, piece...)
			return r.long, nil
		case errors.Is(err, bufio.ErrBufferFull):
			r.long = append(r.long, piece...)
		case errors.Is(err, io.EOF) && size > 0:
			return nil, errTorn
		default:
			return nil, err
		}
	}
}
