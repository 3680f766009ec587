package answer

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

var byteOrderMark = []byte("\ufeff")

// event is one server-sent event. Its slices are part of the input, or valid
// until the next event.
type event struct {
	raw  []byte // as it came, with the blank line that ends it
	name []byte // the last event field
	data []byte // the data fields, joined by LF

	// fields are the others, comments and fields without a meaning among them.
	fields []field
	// ambiguous says that some clients read data, or a name, where the standard
	// says that there is none: in a field that is called almost so, or behind a
	// character that they take for the end of a line.
	ambiguous bool
	// tail says that raw is just the LF of a CRLF, the CR of which has ended the
	// event before.
	tail bool
}

// field is a line of an event that has no data.
type field struct {
	kind  fieldKind
	value []byte
}

type fieldKind int

const (
	fieldComment fieldKind = iota
	fieldEvent
	fieldOther // value is the whole line
)

// frames cuts a stream into server-sent events, as in
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream,
// except that what is left at the end of the stream is an event too: there are
// clients that take it for one.
type frames struct {
	line    int    // offset of the current line in the input
	scanned int    // offset up to which the current line has been searched
	cr      bool   // the byte before the current line is a CR
	begun   bool   // there was an event
	joined  []byte // storage for data of several lines
	fields  []field
}

// next returns the first event of in and its length; in begins where the event
// before ended. The length is 0 if the event is not complete: then in is to be
// given again with more at its end. With eof there is no more.
func (f *frames) next(in []byte, eof bool) (event, int) {
	if f.cr && f.line < len(in) {
		f.cr = false
		if in[f.line] == '\n' {
			if f.line == 0 {
				return event{raw: in[:1], tail: true}, 1
			}
			f.line++
			f.scanned = f.line
		}
	}
	for {
		i := lineEnd(in[f.scanned:])
		if i < 0 {
			f.scanned = len(in)
			if eof && len(in) > 0 {
				return f.complete(in), len(in)
			}
			return event{}, 0
		}
		i += f.scanned
		blank := i == f.line
		next := i + 1
		f.cr = in[i] == '\r'
		if f.cr && next < len(in) {
			f.cr = false
			if in[next] == '\n' {
				next++
			}
		}
		f.line, f.scanned = next, next
		if blank {
			return f.complete(in[:next]), next
		}
	}
}

// lineEnd is the offset of the first CR or LF, or -1. It looks at nothing behind
// that: a search for LF alone would, for each line that ends in CR.
func lineEnd(b []byte) int { return bytes.IndexAny(b, "\r\n") }

// complete reads the fields of an event and begins the next.
func (f *frames) complete(raw []byte) event {
	ev := event{raw: raw}
	rest := raw
	if !f.begun {
		rest = bytes.TrimPrefix(rest, byteOrderMark)
		f.begun = true
	}
	lines := 0
	f.fields = f.fields[:0]
	for len(rest) > 0 {
		line := rest
		if i := lineEnd(rest); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			if lines == 0 {
				ev.data = value
			} else {
				if lines == 1 {
					f.joined = append(emptied(f.joined), ev.data...)
				}
				f.joined = append(append(f.joined, '\n'), value...)
				ev.data = f.joined
			}
			lines++
		case "event":
			ev.name = value
			f.fields = append(f.fields, field{fieldEvent, value})
		case "": // a comment, or the LF of a CRLF
			if len(value) > 0 {
				f.fields = append(f.fields, field{fieldComment, value})
			}
		default:
			f.fields = append(f.fields, field{fieldOther, line})
			if bytes.EqualFold(bytes.TrimSpace(name), []byte("data")) {
				ev.ambiguous = true
			}
		}
	}
	f.line, f.scanned = 0, 0
	ev.fields = f.fields
	ev.ambiguous = ev.ambiguous || bytes.ContainsAny(raw, separators) && isMisread(ev)
	return ev
}

// separators are what some clients take for the end of a line, besides CR and LF:
// VT, FF, NEL and Unicode's line and paragraph separators, and as Python's
// str.splitlines does also FS, GS and RS. Models write them as text.
const (
	fewSeparators = "\v\f\u0085\u2028\u2029"
	separators    = fewSeparators + "\x1c\x1d\x1e"
)

// isMisread reports whether a client that ends lines at separators reads something
// in ev that is not there: other objects of JSON, or the name of an event that holds
// calls. What it cannot parse does no harm.
func isMisread(ev event) bool {
	for _, ends := range []string{"\r\n" + fewSeparators, "\r\n" + separators} {
		for _, folds := range []bool{false, true} {
			if misreads(ev, ends, folds) {
				return true
			}
		}
	}
	return false
}

// misreads is isMisread for clients that end lines at ends, and that fold and trim
// the names of fields or do not.
func misreads(ev event, ends string, folds bool) bool {
	var name, data []byte
	lines := 0
	same := func(a, b []byte) bool { return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b)) }
	for rest := bytes.TrimPrefix(ev.raw, byteOrderMark); ; {
		line, size := rest, 0
		if i := bytes.IndexAny(rest, ends); i >= 0 {
			if _, size = utf8.DecodeRune(rest[i:]); bytes.HasPrefix(rest[i:], []byte("\r\n")) {
				size = 2
			}
			line = rest[:i]
		}
		rest = rest[len(line)+size:]
		if len(line) == 0 { // the end of an event
			if lines > 0 && !same(data, ev.data) && bytes.IndexByte(data, '{') >= 0 && jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) ||
				lines > 0 && !bytes.Equal(name, ev.name) && bearsCalls(name) {
				return true
			}
			name, data, lines = nil, nil, 0
			if size == 0 {
				return false
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		if folds {
			field = bytes.ToLower(bytes.TrimSpace(field))
		}
		switch string(field) {
		case "event":
			name = value
		case "data":
			if lines++; lines > 1 {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
}

// bearsCalls reports whether clients look for calls in an event of that name.
func bearsCalls(name []byte) bool {
	for _, prefix := range []string{"content_block", "message_", "response."} {
		if bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(name)), []byte(prefix)) {
			return true
		}
	}
	return false
}
