package answer

import "bytes"

var byteOrderMark = []byte("\ufeff")

// event is one server-sent event. Its slices are part of the input, or valid
// until the next event.
type event struct {
	raw  []byte // as it came, with the blank line that ends it
	name []byte // the last event field
	data []byte // the data fields, joined by LF

	// ambiguous says that a field is called almost like data: the standard says
	// to ignore it, clients that trim or fold do not.
	ambiguous bool
	// tail says that raw is just the LF of a CRLF, the CR of which has ended the
	// event before.
	tail bool
}

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

// lineEnd is the offset of the first CR or LF, or -1.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// complete reads the fields of an event and begins the next.
func (f *frames) complete(raw []byte) event {
	ev := event{raw: raw}
	rest := raw
	if !f.begun {
		rest = bytes.TrimPrefix(rest, byteOrderMark)
		f.begun = true
	}
	lines := 0
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
		case "": // a comment, or the LF of a CRLF
		default:
			if bytes.EqualFold(bytes.TrimSpace(name), []byte("data")) {
				ev.ambiguous = true
			}
		}
	}
	f.line, f.scanned = 0, 0
	return ev
}
