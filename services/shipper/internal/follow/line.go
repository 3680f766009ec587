package follow

import (
	"strconv"
)

// Kind says what a Line stands for.
type Kind uint8

const (
	// Complete is a line that ended with a newline.
	Complete Kind = iota
	// TooLong is a line longer than Config.MaxLine: Text holds its first
	// MaxLine bytes, End - Start tells its full length.
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
	// Generation identifies the file's content; see Position.
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
