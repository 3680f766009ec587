package chain

import (
	"fmt"
	"strings"
)

// Fault is something in a log that cannot be what was written there, and where.
type Fault struct {
	File   string // name in the log's directory
	Line   int    // from 1; 0 if the file as a whole is concerned
	Offset int64  // of the line's first byte in the uncompressed file
	Seq    uint64 // of the record concerned, or of the last good one before; 0 for none
	Reason string // what is wrong, in a sentence
	Want   string // what ought to be there, if that can be said
	Got    string // what is there instead
}

// Error says it all in one line.
func (f *Fault) Error() string {
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

// place is where a line stands.
type place struct {
	file   string
	line   int
	offset int64
	seq    uint64
}

func (p place) fault(reason string) *Fault {
	return &Fault{File: p.file, Line: p.line, Offset: p.offset, Seq: p.seq, Reason: reason}
}

func (p place) differs(reason string, want, got any) *Fault {
	f := p.fault(reason)
	f.Want, f.Got = fmt.Sprint(want), fmt.Sprint(got)
	return f
}
