package spool

import (
	"errors"
	"io"
	"os"
)

// takeOver takes stock of what an earlier process has left.
func (s *Spool) takeOver() error {
	segments, err := s.listSegments()
	if err != nil {
		return err
	}
	lines := newLineReader()
	for _, g := range segments {
		s.last = max(s.last, g.number)
		if err := s.take(g, lines); err != nil {
			return err
		}
		if g.size == 0 {
			s.remove([]*segment{g})
			continue
		}
		s.segments = append(s.segments, g)
		s.size += g.size
	}
	return nil
}

// take reads a segment through and cuts off what is behind its last newline: a
// line whose Append has never returned.
func (s *Spool) take(g *segment, lines *lineReader) error {
	f, err := os.OpenFile(s.path(g), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	lines.reset(f, 0)
	for {
		line, err := lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil {
			return s.cut(g, f, lines.offset-g.size)
		}
		_, at, ok := parseLine(line)
		if !ok {
			s.harm(g, g.size, lines.offset)
		} else {
			g.records++
			if s.oldest.IsZero() {
				s.oldest = at
			}
		}
		g.size = lines.offset
	}
}

// cut removes the bytes that stand behind the last line, if there are any.
func (s *Spool) cut(g *segment, f *os.File, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	s.torn++
	s.log.Warn("the spool ends in a line that was not written to its end; it is cut off",
		"segment", g.name(), "offset", g.size, "bytes", bytes)
	return f.Truncate(g.size)
}

// harm notes a damaged line, once. Of lines in a row only the first is logged: a
// file full of newlines has millions. s.mu is held, or nobody else has s yet.
func (s *Spool) harm(g *segment, from, to int64) {
	if from < g.checked {
		return
	}
	inRow := from > 0 && from == g.checked
	g.checked = to
	s.damaged++
	if !inRow {
		s.log.Error("a line of the spool, or several in a row, is damaged; it is skipped, and what it said is lost",
			"segment", g.name(), "offset", from, "bytes", to-from)
	}
}
