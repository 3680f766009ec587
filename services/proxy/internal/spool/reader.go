package spool

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

// entry is a record in its place.
type entry struct {
	record
	Time time.Time // when it was appended
	End  position  // behind it
}

// reader reads a queue from a position on. It is not safe for concurrent use.
type reader struct {
	queue   *queue
	segment *segment // being read; nil before the first
	file    *os.File
	at      mark
	lines   *lineReader
}

// ReadFrom returns a reader for what stands behind checkpoint, a [position] as a
// string, and counts all before it as done. If the queue has no such position it
// goes on behind what is done, and found is false.
func (q *queue) ReadFrom(checkpoint string) (r *reader, found bool, err error) {
	r = &reader{queue: q, lines: newLineReader()}
	offset, found, err := r.start(checkpoint)
	if err != nil {
		return nil, false, err
	}
	if r.segment == nil {
		return r, false, nil
	}
	if err := r.skip(offset); err != nil {
		return nil, false, errors.Join(err, r.Close())
	}
	q.Done(position{r.segment, r.at})
	return r, found, nil
}

// start enters the segment of a position, or else the oldest there is, and
// returns the offset to go on from.
func (r *reader) start(checkpoint string) (offset int64, found bool, err error) {
	name, offset, ok := parsePosition(checkpoint)
	q := r.queue
	q.mu.Lock()
	defer q.mu.Unlock() // held until the file is open, so that Tidy cannot remove it
	i := slices.IndexFunc(q.segments, func(g *segment) bool { return ok && g.name() == name })
	switch {
	case i >= 0:
		return offset, true, r.enter(q.segments[i])
	case len(q.segments) > 0:
		return q.segments[0].done.offset, false, r.enter(q.segments[0])
	default:
		return 0, false, nil
	}
}

// Next waits until there is a record and returns what there is, at most records
// and, beyond the first, bytes of them. Once ctx is done it waits no longer, and
// an empty result means that nothing is left.
func (r *reader) Next(ctx context.Context, records int, bytes int64) ([]entry, error) {
	for {
		entries, err := r.read(records, bytes)
		if err != nil || len(entries) > 0 {
			return entries, err
		}
		select {
		case <-r.queue.appended:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// Close frees what the reader holds.
func (r *reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// read returns what there is without waiting.
func (r *reader) read(records int, bytes int64) ([]entry, error) {
	var entries []entry
	for {
		size, next := r.look()
		if r.segment != nil && r.at.offset < size {
			r.lines.reset(io.NewSectionReader(r.file, r.at.offset, size-r.at.offset), r.at.offset)
			for r.at.offset < size {
				if len(entries) == records || bytes <= 0 {
					return entries, nil
				}
				rec, at, ok, err := r.line(size)
				if err != nil {
					return entries, err
				}
				if !ok {
					continue
				}
				if len(entries) == 0 {
					r.queue.first(at)
				}
				rec.Payload = slices.Clone(rec.Payload)
				bytes -= int64(len(rec.Payload))
				entries = append(entries, entry{rec, at, position{r.segment, r.at}})
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
func (r *reader) look() (size int64, next *segment) {
	q := r.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, g := range q.segments {
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
func (r *reader) line(size int64) (rec record, at time.Time, ok bool, err error) {
	line, err := r.lines.next()
	end := r.lines.offset
	switch {
	case err == nil:
		rec, at, ok = parseLine(line)
	case !errors.Is(err, io.EOF):
		return record{}, time.Time{}, false, err
	default:
		end = size // what there is has no newline, or the file has become shorter
	}
	if ok {
		r.at.records++
	} else {
		r.queue.mu.Lock()
		r.queue.harm(r.segment, r.at.offset, end)
		r.queue.mu.Unlock()
	}
	r.at.offset = end
	return rec, at, ok, nil
}

// enter goes to the beginning of a segment.
func (r *reader) enter(g *segment) error {
	f, err := os.Open(r.queue.path(g))
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
func (r *reader) skip(offset int64) error {
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
func (q *queue) Done(p position) {
	q.mu.Lock()
	keep := slices.IndexFunc(q.segments, func(g *segment) bool { return !g.before(p.segment) })
	if keep < 0 {
		keep = len(q.segments)
	}
	if keep < len(q.segments) && q.segments[keep] == p.segment {
		p.segment.done = p.mark
		if p.mark.offset >= p.segment.size && !q.appendsTo(p.segment) {
			keep++
		}
	}
	gone := q.drop(keep)
	q.mu.Unlock()
	q.remove(gone)
}

// appendsTo reports whether g can still grow. q.mu is held.
func (q *queue) appendsTo(g *segment) bool { return q.active != nil && q.newest() == g }

// drop takes the n oldest segments out of the list. q.mu is held.
func (q *queue) drop(n int) []*segment {
	gone := slices.Clone(q.segments[:n])
	for _, g := range gone {
		q.size -= g.size
	}
	q.segments = slices.Delete(q.segments, 0, n)
	return gone
}

// first notes when the oldest record that waits was appended.
func (q *queue) first(at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.oldest = at
}
