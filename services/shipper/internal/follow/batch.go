package follow

import (
	"slices"
	"strconv"
)

// Kind says what a Line stands for.
type Kind uint8

const (
	// Complete is a line that ended with a newline.
	Complete Kind = iota
	// TooLong is a line longer than Config.MaxLine: Text holds its first
	// MaxLine bytes, End - Start is its full length.
	TooLong
	// Unterminated is what stood after the last newline of a generation that
	// has ended.
	Unterminated
	// Gap stands for bytes that no reader can recover. Text is nil; Start and
	// End are the range as far as it is known, equal if its length is not.
	Gap
)

// String returns the kind in lower case, as used in logs and reasons.
func (k Kind) String() string {
	switch k {
	case Complete:
		return "complete"
	case TooLong:
		return "too_long"
	case Unterminated:
		return "unterminated"
	case Gap:
		return "gap"
	default:
		return "kind_" + strconv.Itoa(int(k))
	}
}

// Line is one line of the source, or a gap in it.
type Line struct {
	// Text is the line without its "\n" or "\r\n". It aliases a buffer of the
	// Follower and is valid until the next call of Next.
	Text []byte
	// File is the path under which the line was read.
	File string
	// Generation identifies the file's content: Position.Generation, with a dot and
	// Position.Nth if that is not 0.
	Generation string
	// Start and End are the byte range of the line in its generation,
	// terminator included.
	Start, End int64
	Kind       Kind
	// Reason says in words why a line is not Complete.
	Reason string
}

// Batch is what one call of Next returns. It is valid until the next call.
type Batch struct {
	Lines []Line

	size     int // bytes of text
	buf      []byte
	segments []segment
	// rendered holds the parts of checkpoints that are the same for all lines
	// of a segment.
	rendered []byte
}

// segment is a run of lines during which only one generation moves.
type segment struct {
	line       int // index of its first line
	g          *generation
	base       int64 // file offset of buf[0]
	floor      int   // lowest index of buf that belongs to g
	start, end int   // the segment's part of rendered
	split      int   // where in it the moving position goes
}

func (b *Batch) reset() {
	b.Lines = b.Lines[:0]
	b.segments = b.segments[:0]
	b.rendered = b.rendered[:0]
	b.size = 0
}

// add appends a line of g, which the follower's window has just passed. A line
// of no generation, which is a gap, moves none.
func (b *Batch) add(f *Follower, g *generation, l Line) {
	if n := len(b.segments) - 1; g == nil || n < 0 || b.segments[n].g != g || b.segments[n].base != f.win.base {
		f.beginSegment(g)
	}
	b.Lines = append(b.Lines, l)
	b.size += len(l.Text)
	f.stats.count(&l)
}

// AppendCheckpoint appends to dst the checkpoint after line i: a Follower
// opened with it returns exactly the lines that follow.
func (b *Batch) AppendCheckpoint(dst []byte, i int) []byte {
	s := len(b.segments) - 1
	for b.segments[s].line > i {
		s--
	}
	seg := &b.segments[s]
	dst = append(dst, b.rendered[seg.start:seg.split]...)
	if seg.g != nil {
		end := b.Lines[i].End
		index := int(end - seg.base)
		dst = strconv.AppendInt(dst, end, 10)
		dst = append(dst, ':')
		dst = appendTail(dst, tailSum(b.buf[max(seg.floor, index-tailSize):index]))
	}
	return append(dst, b.rendered[seg.split:seg.end]...)
}

// beginSegment writes the parts of the checkpoint that stay the same while
// lines of g are returned. It lists, oldest first, the generations that ended
// last and those that were begun.
func (f *Follower) beginSegment(g *generation) {
	f.win.save()
	b := &f.batch
	s := segment{line: len(b.Lines), g: g, base: f.win.base, floor: f.win.first, start: len(b.rendered)}
	b.rendered = appendSettled(b.rendered, f.settled)
	s.split = len(b.rendered)
	comma := func() {
		if b.rendered[len(b.rendered)-1] != ';' {
			b.rendered = append(b.rendered, ',')
		}
	}
	kept := f.listed(g)
	for _, other := range kept {
		comma()
		if other != g {
			b.rendered = other.appendPosition(b.rendered)
			continue
		}
		b.rendered = appendGeneration(b.rendered, g.series, g.name)
		s.split = len(b.rendered)
	}
	s.end = len(b.rendered)
	b.segments = append(b.segments, s)
}

// listed returns the generations that a checkpoint after a line of g lists. Those
// that ended are listed as long as the settled time does not cover them.
func (f *Follower) listed(g *generation) []*generation {
	kept := f.order[:0]
	for _, ended := range slices.Backward(f.past) {
		if !ended.unsized && (len(kept) < endedKept || !f.covered(ended)) {
			kept = append(kept, ended)
		}
	}
	slices.Reverse(kept)
	for _, other := range f.gens {
		if other == g || !other.ended && (other.offset > 0 || other.lost) {
			kept = append(kept, other)
		}
	}
	// What ended can be too much only after more rotations in a moment than there
	// is room for, and then a file may be read twice after a restart.
	for _, drop := range []func(*generation) bool{
		func(g *generation) bool { return g.passed },
		func(g *generation) bool { return g.ended },
	} {
		excess := len(kept) - maxPositions
		kept = slices.DeleteFunc(kept, func(other *generation) bool {
			dropped := excess > 0 && other != g && drop(other)
			if dropped {
				excess--
			}
			return dropped
		})
	}
	f.order = kept
	return kept
}

// full reports whether a checkpoint has no room for another generation.
func (f *Follower) full() bool {
	n := 0
	for _, g := range f.past {
		if !g.passed && !g.unsized && !f.covered(g) {
			n++
		}
	}
	for _, g := range f.gens {
		if !g.ended && (g.offset > 0 || g.lost) {
			n++
		}
	}
	return max(n, endedKept) >= maxPositions-endedKept
}
