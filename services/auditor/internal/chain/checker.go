package chain

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
)

// checker follows the chain from line to line, through one segment after the
// other, and reports every corruption. After one it goes on from what it has read.
type checker struct {
	key        ed25519.PublicKey // nil if signatures do not matter
	corruption func(*Corruption)

	log    string // the log's id; empty until the first header
	linked bool   // prev and seq are known: nothing is missing before
	prev   Hash   // of the last line of the chain
	last   place  // of that line
	seq    uint64 // of the last record

	segment uint64 // that is being read
	form    form
	stage   stage
	header  line // without its bytes
	first   uint64
	stream  streamRange
	ends    []byte // the lines of header and footer
}

// stage is how far a segment has been read.
type stage int

const (
	stageStart stage = iota
	stageLines
	stageClosed
	stageRemoved // the removal of a stub
)

// newChecker returns one that begins with segment 1.
func newChecker(key ed25519.PublicKey) *checker { return &checker{key: key, linked: true} }

// begin goes to the next segment.
func (c *checker) begin(s segmentFile) {
	c.segment, c.form, c.stage, c.stream = s.number, s.form, stageStart, streamRange{}
	c.header, c.ends = line{}, nil
}

// skip says that what comes next in the chain cannot be read.
func (c *checker) skip() { c.linked = false }

// confirms reports whether l names the line that was read last.
func (c *checker) confirms(l line) bool { return c.linked && l.prev == c.prev }

// next takes the next line of the segment.
func (c *checker) next(l line) {
	switch {
	case l.frame == nil:
		c.recordLine(l)
	case l.frame.Header != nil:
		c.headerLine(l)
	case l.frame.Footer != nil:
		c.footerLine(l)
	default:
		c.removalLine(l)
	}
}

// follow checks that l is behind the line that was read last, and makes it the
// last.
func (c *checker) follow(l line) {
	if c.linked && l.prev != c.prev {
		at := c.last
		if at.file == "" {
			at = l.place
		}
		c.corruption(at.differs("the line's hash is not the one that the next line holds: one of the two has been altered, or what was between them is missing", l.prev, c.prev))
	}
	c.linked, c.prev, c.last = true, l.hash, l.place
}

func (c *checker) headerLine(l line) {
	h := l.frame.Header
	if c.stage != stageStart {
		c.corruption(l.corruption("a header is not at the beginning of the segment"))
		return
	}
	if h.Segment != c.segment {
		c.corruption(l.differs("the header is that of another segment", c.segment, h.Segment))
	}
	if h.Version != version {
		c.corruption(l.differs("the segment has another format version", version, h.Version))
	}
	if c.log != "" && h.Log != c.log {
		c.corruption(l.differs("the segment belongs to another log", c.log, h.Log))
	}
	if c.key != nil && !bytes.Equal(h.PublicKey, c.key) {
		c.corruption(l.corruption("the segment names another public key"))
	}
	if c.linked && h.FirstSeq != c.seq+1 {
		c.corruption(l.differs("the segment does not begin with the record behind the last one", c.seq+1, h.FirstSeq))
	}
	if c.log == "" {
		c.log = h.Log
	}
	l.seq = 0
	c.follow(l)
	c.header = l
	c.header.bytes = nil // they do not last
	c.ends = append(c.ends, l.bytes...)
	c.first, c.seq = h.FirstSeq, h.FirstSeq-1
	c.stage = stageLines
}

func (c *checker) recordLine(l line) {
	switch {
	case c.stage == stageStart:
		c.corruption(l.corruption("a record is where the segment's header should be"))
		c.stage = stageLines
	case c.stage != stageLines:
		c.corruption(l.corruption("a record is behind the segment's footer"))
	case c.form == stub:
		c.corruption(l.corruption("a record is in a stub"))
	case c.linked && l.seq != c.seq+1:
		c.corruption(l.differs("records are missing, doubled or exchanged", c.seq+1, l.seq))
		c.linked = false // reported once
	}
	c.follow(l)
	c.seq = max(c.seq, l.seq)
	c.stream.add(l.record.StreamSeq)
}

func (c *checker) footerLine(l line) {
	f := l.frame.Footer
	l.seq = c.seq
	switch {
	case c.stage != stageLines:
		c.corruption(l.corruption("a footer is where none should be"))
		return
	case f.Segment != c.segment:
		c.corruption(l.differs("the footer is that of another segment", c.segment, f.Segment))
	case f.Header != c.header.hash:
		c.corruption(l.differs("the header is not the one that the footer was signed for", f.Header, c.header.hash))
	case f.FirstSeq != c.first:
		c.corruption(l.differs("the footer names another first record", c.first, f.FirstSeq))
	case f.LastSeq < f.FirstSeq, c.form != stub && f.LastSeq != c.seq:
		c.corruption(l.differs("the footer names another last record", c.seq, f.LastSeq))
	}
	if c.form == stub {
		c.linked = false // the lines that were between are meant to be missing
		c.seq, l.seq = f.LastSeq, f.LastSeq
	}
	c.follow(l)
	c.checkSignature(l)
	c.ends = append(c.ends, l.bytes...)
	c.stage = stageClosed
}

// removalLine checks the end of a stub. The chain goes on from the footer.
func (c *checker) removalLine(l line) {
	r := l.frame.Removed
	l.seq = c.seq
	switch {
	case c.form != stub || c.stage != stageClosed:
		c.corruption(l.corruption("a removal is where none should be"))
		return
	case l.prev != c.prev:
		c.corruption(l.differs("the removal is not that of the footer before it", c.prev, l.prev))
	case r.Segment != c.segment:
		c.corruption(l.differs("the removal is that of another segment", c.segment, r.Segment))
	}
	c.checkSignature(l)
	c.stage = stageRemoved
}

func (c *checker) checkSignature(l line) {
	if c.key == nil {
		return
	}
	if err := l.frame.verify(c.key); err != nil {
		c.corruption(l.corruption(err.Error()))
	}
}

// end finishes the segment; final says that none follows.
func (c *checker) end(final bool) {
	whole := place{file: segmentFile{number: c.segment, form: c.form}.name()}
	switch {
	case c.stage == stageStart:
		c.corruption(whole.corruption("the segment has no header"))
		c.skip()
	case c.form == stub && c.stage != stageRemoved:
		c.corruption(whole.corruption("records were removed without a signed statement that retention did it"))
	case c.form == compressed && c.stage != stageClosed, c.stage == stageLines && !final:
		c.corruption(c.last.corruption("the segment ends behind this line without a footer"))
		c.skip()
	}
}

// Corruption is something in a log that cannot be what was written there, and where.
type Corruption struct {
	File   string // name in the log's directory
	Line   int    // from 1; 0 if the file as a whole is concerned
	Offset int64  // of the line's first byte in the uncompressed file
	Seq    uint64 // of the record concerned, or of the last good one before; 0 for none
	Reason string // what is wrong, in a sentence
	Want   string // what ought to be there, if that can be said
	Got    string // what is there instead
}

// Error returns all of it in one line.
func (f *Corruption) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, " line %d (byte %d", f.Line, f.Offset)
		if f.Seq > 0 {
			fmt.Fprintf(&b, ", record %d", f.Seq)
		}
		b.WriteString(")")
	}
	fmt.Fprintf(&b, ": %s", f.Reason)
	if f.Want != "" || f.Got != "" {
		fmt.Fprintf(&b, ": want %s, got %s", f.Want, f.Got)
	}
	return b.String()
}

// place is where a line is.
type place struct {
	file   string
	line   int
	offset int64
	seq    uint64
}

func (p place) corruption(reason string) *Corruption {
	return &Corruption{File: p.file, Line: p.line, Offset: p.offset, Seq: p.seq, Reason: reason}
}

func (p place) differs(reason string, want, got any) *Corruption {
	f := p.corruption(reason)
	f.Want, f.Got = fmt.Sprint(want), fmt.Sprint(got)
	return f
}
