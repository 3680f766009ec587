package spool

import (
	"bufio"
	"errors"
	"io"
)

// lineReader takes a segment apart into lines, good and bad. It needs no more
// memory than one line, whatever it reads.
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
