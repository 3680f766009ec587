package spool

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

// Entry is a record in its place.
type Entry struct {
	Record
	Time time.Time // when it was appended
	End  Position  // behind it
}

// Reader reads a spool from a position on. It is not safe for concurrent use.
type Reader struct {
	spool   *Spool
	segment *segment // being read; nil before the first
	file    *os.File
	at      mark
	lines   *lineReader
}

// ReadFrom returns a reader for what stands behind position, a [Position] as a
// string, and counts all before it as done. If the spool has no such position it
// goes on behind what is done, and found is false.
func (s *Spool) ReadFrom(position string) (r *Reader, found bool, err error) {
	r = &Reader{spool: s, lines: newLineReader()}
	offset, found, err := r.start(position)
	if err != nil {
		return nil, false, err
	}
	if r.segment == nil {
		return r, false, nil
	}
	if err := r.skip(offset); err != nil {
		return nil, false, errors.Join(err, r.Close())
	}
	s.Done(Position{r.segment, r.at})
	return r, found, nil
}

// start enters the segment of a position, or else the oldest there is, and
// returns the offset to go on from.
func (r *Reader) start(position string) (offset int64, found bool, err error) {
	name, offset, ok := parsePosition(position)
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock() // held until the file is open, so that Tidy cannot remove it
	i := slices.IndexFunc(s.segments, func(g *segment) bool { return ok && g.name() == name })
	switch {
	case i >= 0:
		return offset, true, r.enter(s.segments[i])
	case len(s.segments) > 0:
		return s.segments[0].done.offset, false, r.enter(s.segments[0])
	default:
		return 0, false, nil
	}
}

// Next waits until there is a record and returns what there is, at most records
// and, beyond the first, bytes of them. Once ctx is done it waits no longer, and
// an empty result means that nothing is left.
func (r *Reader) Next(ctx context.Context, records int, bytes int64) ([]Entry, error) {
	for {
		entries, err := r.read(records, bytes)
		if err != nil || len(entries) > 0 {
			return entries, err
		}
		select {
		case <-r.spool.appended:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// Close frees what the reader holds.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// read returns what there is without waiting.
func (r *Reader) read(records int, bytes int64) ([]Entry, error) {
	var entries []Entry
	for {
		size, next := r.look()
		if r.segment != nil && r.at.offset < size {
			r.lines.reset(io.NewSectionReader(r.file, r.at.offset, size-r.at.offset), r.at.offset)
			for r.at.offset < size {
				if len(entries) == records || bytes <= 0 {
					return entries, nil
				}
				record, at, ok, err := r.line(size)
				if err != nil {
					return entries, err
				}
				if !ok {
					continue
				}
				if len(entries) == 0 {
					r.spool.first(at)
				}
				record.Payload = slices.Clone(record.Payload)
				bytes -= int64(len(record.Payload))
				entries = append(entries, Entry{record, at, Position{r.segment, r.at}})
			}
		}
		if next == nil {
			return entries, nil
		}
		if err := r.enter(next); err != nil {
			return entries, err
		}
	}
}

// look returns how much of the segment there is to read by now, and the segment
// that follows it, if that is all there will ever be.
func (r *Reader) look() (size int64, next *segment) {
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		// One without a line may be removed at any time.
		if g.size > 0 && (r.segment == nil || r.segment.before(g)) {
			next = g
			break
		}
	}
	if r.segment != nil {
		size = r.segment.size
	}
	return size, next
}

// line reads the next line, of those before size, and says whether it is good.
func (r *Reader) line(size int64) (record Record, at time.Time, ok bool, err error) {
	line, err := r.lines.next()
	end := r.lines.offset
	switch {
	case err == nil:
		record, at, ok = parseLine(line)
	case !errors.Is(err, io.EOF):
		return Record{}, time.Time{}, false, err
	default:
		end = size // what there is has no newline, or the file has become shorter
	}
	if ok {
		r.at.records++
	} else {
		r.spool.mu.Lock()
		r.spool.harm(r.segment, r.at.offset, end)
		r.spool.mu.Unlock()
	}
	r.at.offset = end
	return record, at, ok, nil
}

// enter goes to the beginning of a segment.
func (r *Reader) enter(g *segment) error {
	f, err := os.Open(r.spool.path(g))
	if err != nil {
		return err
	}
	if r.file != nil {
		r.file.Close() // it was only read from
	}
	r.segment, r.file, r.at = g, f, mark{}
	return nil
}

// skip passes over the lines that end at offset or before.
func (r *Reader) skip(offset int64) error {
	size, _ := r.look()
	r.lines.reset(io.NewSectionReader(r.file, 0, size), 0)
	for offset = min(offset, size); r.at.offset < offset; {
		before := r.at
		if _, _, _, err := r.line(size); err != nil {
			return err
		}
		if r.at.offset > offset {
			r.at = before
			break
		}
	}
	return nil
}

// Done says that everything before p, a position of an entry of the reader's, has
// been dealt with. Segments that are wholly done with are removed.
func (s *Spool) Done(p Position) {
	s.mu.Lock()
	keep := slices.IndexFunc(s.segments, func(g *segment) bool { return !g.before(p.segment) })
	if keep < 0 {
		keep = len(s.segments)
	}
	if keep < len(s.segments) && s.segments[keep] == p.segment {
		p.segment.done = p.mark
		if p.mark.offset >= p.segment.size && !s.appendsTo(p.segment) {
			keep++
		}
	}
	gone := s.drop(keep)
	s.mu.Unlock()
	s.remove(gone)
}

// appendsTo reports whether g can still grow. s.mu is held.
func (s *Spool) appendsTo(g *segment) bool { return s.active != nil && s.newest() == g }

// drop takes the n oldest segments out of the list. s.mu is held.
func (s *Spool) drop(n int) []*segment {
	gone := slices.Clone(s.segments[:n])
	for _, g := range gone {
		s.size -= g.size
	}
	s.segments = slices.Delete(s.segments, 0, n)
	return gone
}

// first notes when the oldest record that waits was appended.
func (s *Spool) first(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest = at
}
