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
	series string
	id     string // of the first line
	// nth distinguishes generations with the same first line; the first is 1.
	nth  int
	name string // id, and nth unless that is 1
	// began is the first time that its lines state; zero if none does. timed is the
	// size at which that was looked for.
	began time.Time
	timed int64
	form  string // as of its fingerprint
	// lastAt is the time that the last line that was read states, once it has ended.
	lastAt time.Time

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
	guess    int64 // size of a compressed one, as far as its file says
	hole     int64 // NULs it begins with
	grown    growth

	seen    fs.FileInfo // of src as of the last read; nil: never read
	eof     bool        // src was read to its end, which is at end
	end     int64
	mtime   time.Time // of its file
	changed time.Time // when it last grew or moved
	// superseded is when a newer generation of its series was found; zero if none.
	superseded time.Time

	// drained is when it was last read to the end of its file.
	drained time.Time

	recalled bool // it is from the checkpoint
	restored bool // it is, and was not found yet
	// wasDrained says that it is from a checkpoint by which nothing was left of it.
	wasDrained bool
	// wasCut says that it was truncated away, unread rest and all, in cutKey if
	// that was noticed while reading.
	wasCut bool
	cutKey fileKey
	// missing says that a thorough scan has found no file with the rest.
	missing bool
	// unreadable says why the only file that may hold it cannot be read.
	unreadable string
	// deleted says that its file had no name any more when it ended.
	deleted bool
	// passed says that it was not read but passed over.
	passed bool

	// ended says that it was read to its end and is closed.
	ended bool
	// unsized says that it ended without being read, at an unknown size.
	unsized bool
	// lost says that what followed offset, up to lostTo, was reported as a gap.
	lost   bool
	lostTo int64
}

func newGeneration(series, id string) *generation {
	return &generation{series: series, id: id, nth: 1, name: id}
}

// setNth names one of several generations with the same first line.
func (g *generation) setNth(n int) {
	g.nth, g.name = n, generationName(g.id, n)
}

// doneWith reports whether g was read to its end after something newer had come
// to its place, so that its absence would be no loss.
func (g *generation) doneWith() bool {
	return g.wasDrained && g.src == nil || !g.superseded.IsZero() && !g.drained.Before(g.superseded) && g.unread() == 0
}

// restore makes of a position the generation that it is about. A tail is hex
// digits: Config.Validate has seen to it.
func restore(p Position) *generation {
	g := newGeneration(p.Series, p.Generation)
	g.setNth(max(1, p.Nth))
	sum, _ := strconv.ParseUint(p.Tail, 16, 32)
	g.tailSum = uint32(sum)
	g.offset, g.size = p.Offset, p.Offset
	g.recalled = true
	g.ended, g.lost, g.restored, g.wasDrained = p.Ended, p.Lost, !p.Ended, p.Drained
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
	if size > g.size && g.src.format == plainText {
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
	b = appendGeneration(b, g.series, g.name)
	b = strconv.AppendInt(b, g.offset, 10)
	b = append(b, ':')
	b = appendTail(b, g.tailSum)
	return appendMark(b, g.ended, g.lost, g.doneWith())
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

// compare compares src, opened for c, with what was read of g. Both have the same
// first line.
func (g *generation) compare(c *candidate, src *source) (match, error) {
	if g.unsized {
		return shorter, nil
	}
	if src.format != plainText && g.ended && !c.header && src.trailer() == g.offset {
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
	case c.live:
		// A writer's own file that is shorter than what was read began anew.
		return differs, nil
	case g.begunLike(c, src):
		return g.confirm(shorter, src)
	default:
		return differs, nil
	}
}

// begunLike reports whether c may be a copy of g that was made earlier, as far as
// their beginnings tell where their ends cannot be compared.
func (g *generation) begunLike(c *candidate, src *source) bool {
	switch {
	case g.src != nil && g.src.format == plainText && src.format == plainText:
		return true // It can be compared.
	case !g.began.IsZero() && !c.began.IsZero():
		return true
	default:
		return !c.header
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
	if a.format != plainText || b.format != plainText {
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

// growth remembers when a file had which size, coarsely, to estimate how old its
// unread bytes are.
type growth struct {
	marks [16]mark
	n     int
}

type mark struct {
	size int64
	at   time.Time
}

// note adds that the file had grown to size at a moment. When there is no space
// left, every second mark is given up.
func (h *growth) note(size int64, at time.Time) {
	if h.n == len(h.marks) {
		h.n = 0
		for i := 0; i < len(h.marks); i += 2 {
			h.marks[h.n] = h.marks[i]
			h.n++
		}
	}
	h.marks[h.n] = mark{size, at}
	h.n++
}

// since returns a moment by which the byte at offset had been written, and
// drops what is older. It is the zero time if no such byte is known.
func (h *growth) since(offset int64) time.Time {
	i := 0
	for i < h.n && h.marks[i].size <= offset {
		i++
	}
	h.n = copy(h.marks[:], h.marks[i:h.n])
	if h.n == 0 {
		return time.Time{}
	}
	return h.marks[0].at
}
