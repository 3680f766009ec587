package follow

import (
	"bytes"
	"errors"
	"io/fs"
	"strconv"
	"time"
)

// generation is the content of a file from its first line to the moment it is
// truncated or given up by its writer. Renaming, copying and compressing a file
// do not change its generation.
type generation struct {
	lane string
	id   string

	// src is nil while no file is known to hold the unread rest.
	src  *source
	path string
	live bool // at the name its writer opens, as of the last scan
	// wasLive says that it was live while being read.
	wasLive bool
	found   time.Time // when a scan last found it or a copy of it
	key     fileKey   // of the file it was last read from

	// offset is just after the last line that was returned.
	offset  int64
	tail    [tailSize]byte // the bytes before offset, right aligned
	tailSum uint32
	// searched is up to where it is known that no newline follows offset.
	searched int64
	size     int64 // the most bytes it is known to have had
	guess    int64 // size of a compressed one, as far as its file tells
	hole     int64 // NULs it begins with
	grown    growth

	seen    fs.FileInfo // of src as of the last read; nil: never read
	eof     bool        // src was read to its end, which is at end
	end     int64
	mtime   time.Time // of its file
	changed time.Time // when it last grew or moved
	// superseded is when a newer generation of its lane was found; zero if none.
	superseded time.Time

	restored bool // it is from the checkpoint and was not found yet
	// wasCut says that it was truncated away, unread rest and all, in cutKey if
	// that was noticed while reading.
	wasCut bool
	cutKey fileKey
	// missing says that a thorough scan has found no file with the rest.
	missing bool

	// ended says that it was read to its end and is closed.
	ended bool
	// unsized says that it ended without being read, at an unknown size.
	unsized bool
	// lost says that what followed offset, up to lostTo, was reported as a gap.
	lost   bool
	lostTo int64
}

func newGeneration(lane, id string) *generation {
	return &generation{lane: lane, id: id}
}

// restore makes of a position the generation that it is about. A tail is hex
// digits: Config.Validate has seen to it.
func restore(p Position) *generation {
	g := newGeneration(p.Lane, p.Generation)
	sum, _ := strconv.ParseUint(p.Tail, 16, 32)
	g.tailSum = uint32(sum)
	g.offset, g.size = p.Offset, p.Offset
	g.ended, g.lost, g.restored = p.Ended, p.Lost, !p.Ended
	return g
}

// observe notes the state of src before it is read.
func (g *generation) observe(info fs.FileInfo, now time.Time) {
	if g.seen != nil && g.changedSince(info) {
		g.changed = now
	}
	g.seen, g.mtime, g.eof = info, info.ModTime(), false
}

// measure notes that the file of g had size bytes at a moment.
func (g *generation) measure(size int64, at time.Time) {
	if size > g.size && !g.src.zipped {
		g.size = size
		g.grown.note(size, at)
	}
}

// skipTo moves on to offset without reading.
func (g *generation) skipTo(offset int64) error {
	tail, err := g.src.before(offset)
	if err != nil {
		return err
	}
	g.offset = offset
	g.setTail(tail)
	return nil
}

// close gives up the file.
func (g *generation) close() {
	if g.src != nil {
		g.src.close()
	}
	g.src, g.seen, g.eof, g.searched, g.live = nil, nil, false, 0, false
}

// lastTail returns the up to 256 bytes before offset.
func (g *generation) lastTail() []byte {
	return g.tail[tailSize-min(int64(tailSize), g.offset):]
}

// setTail remembers the bytes before offset, which tail ends with.
func (g *generation) setTail(tail []byte) {
	copy(g.lastTail(), tail[len(tail)-len(g.lastTail()):])
	g.tailSum = tailSum(g.lastTail())
}

// partial reports whether an incomplete line is all that remains in src.
func (g *generation) partial() bool { return g.eof && g.offset < g.end }

// unread returns how many bytes remain to be read, as far as is known.
func (g *generation) unread() int64 { return max(0, g.size-max(g.offset, g.lostTo)) }

// changedSince reports whether src looks different from when it was last read.
func (g *generation) changedSince(info fs.FileInfo) bool {
	return g.seen == nil || g.seen.Size() != info.Size() || !g.seen.ModTime().Equal(info.ModTime())
}

// appendPosition appends g as an element of a checkpoint.
func (g *generation) appendPosition(b []byte) []byte {
	b = appendGeneration(b, g.lane, g.id)
	b = strconv.AppendInt(b, g.offset, 10)
	b = append(b, ':')
	b = appendTail(b, g.tailSum)
	return appendMark(b, g.ended, g.lost)
}

// match is what comparing a file with a generation says.
type match uint8

const (
	differs match = iota
	// continues: the file holds what was read of the generation and maybe more.
	continues
	// shorter: the file ends before what was read, and nothing speaks against
	// its being a copy made earlier.
	shorter
)

// compare compares src, found as e, with what was read of g. Both have the same
// first line.
func (g *generation) compare(e *entry, src *source) (match, error) {
	if g.unsized {
		return shorter, nil
	}
	if e.zipped && g.ended && src.trailer() == g.offset {
		return shorter, nil
	}
	tail, err := src.before(g.offset)
	switch {
	case err == nil && tailSum(tail) == g.tailSum:
		return g.confirm(continues, src)
	case err == nil:
		return differs, nil
	case !errors.Is(err, errShort):
		return differs, err
	case e.live:
		// A writer's own file that is shorter than what was read began anew.
		return differs, nil
	default:
		return g.confirm(shorter, src)
	}
}

// confirm returns m unless src goes on differently from the open file of g.
func (g *generation) confirm(m match, src *source) (match, error) {
	if g.src == nil {
		return m, nil
	}
	if same, err := sameUntilShorterEnds(g.src, src); err != nil || !same {
		return differs, err
	}
	return m, nil
}

// sameUntilShorterEnds reports whether the end of the shorter file is also in
// the longer one at its place. Nothing is said against a compressed file, of
// which the length is unknown.
func sameUntilShorterEnds(a, b *source) (bool, error) {
	if a.zipped || b.zipped {
		return true, nil
	}
	ai, err := a.stat()
	if err != nil {
		return false, err
	}
	bi, err := b.stat()
	if err != nil {
		return false, err
	}
	at := min(ai.Size(), bi.Size())
	atail, err := a.before(at)
	if err != nil {
		return false, err
	}
	btail, err := b.before(at)
	return bytes.Equal(atail, btail), err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
