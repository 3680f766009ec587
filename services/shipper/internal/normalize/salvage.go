package normalize

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
)

// maxPieces bounds how many records of one line are decoded.
const maxPieces = 256

// piece is what could be read of one record in a damaged line.
type piece struct {
	record []byte // a JSON object
	within bool   // it began within another, and may be a part of it
	whole  bool   // it has its end
	edited bool   // bytes have been replaced
}

// salvage makes *e the event of the most severe record in text, a line that is not
// one JSON object, of length bytes in all. It reports false if there is none. Of a
// record without an end its beginning counts. A whole record is preferred among
// equals, then the first. The title names the other detections.
func (n *Normalizer) salvage(e *proto.Event, text []byte, length int64, reason string, origin proto.Origin) bool {
	var best, next proto.Event
	var others []string
	chosen, records, cut, damaged := -1, 0, false, false
	floor := proto.SeverityLow // something of the line has not been understood
	unread := func(e *proto.Event) {
		cut, floor = true, max(floor, n.Sensor.Unread(e))
	}
	pieces := pieces(text)
	for i, p := range pieces {
		clean, _ := secret.JSON(p.record)
		n.begin(&next, text, origin)
		n.decodeTolerantly(&next, clean)
		named := next.Kind != "" || next.Rule != nil
		if p.within && (!named || next.Time.IsZero()) {
			continue // a part of a record: only records have a time
		}
		damaged = damaged || p.edited
		if !p.whole {
			unread(&next)
		}
		if !named {
			continue
		}
		records++
		if chosen < 0 || next.Severity > best.Severity || next.Severity == best.Severity && p.whole && !pieces[chosen].whole {
			best, next, chosen = next, best, i
		}
		if records > 1 && next.Rule != nil {
			others = append(others, next.Title)
		}
	}
	if chosen < 0 {
		return false
	}
	if int64(len(text)) < length && !cut || len(pieces) >= maxPieces {
		unread(&proto.Event{})
	}
	*e = best
	e.Severity = max(e.Severity, floor)
	for _, other := range others {
		e.Title += "; in the same line: " + other
	}
	if cut {
		addTag(e, TagCutOff)
	}
	if damaged {
		addTag(e, TagDamaged)
	}
	if records > 1 {
		addTag(e, TagJoined)
	}
	n.keep(e, text, length, reason)
	n.finish(e)
	return true
}

// pieces finds the JSON objects that stand in text side by side, whole or cut. It
// takes time linear in the text's length: a scan begins behind the one before, or
// at the last object that may have begun in what that one refused.
func pieces(text []byte) []piece {
	var found []piece
	within := false
	for at := bytes.IndexByte(text, '{'); at >= 0 && len(found) < maxPieces; {
		s := scanner{text: text, at: at}
		whole := s.object()
		if !within || len(s.out) > len("{}") {
			found = append(found, piece{record: s.out, within: within, whole: whole, edited: s.edited})
		}
		if !whole {
			if in := s.closed; in.end > 0 && len(bytes.Trim(text[in.end:s.at], jsonSpace)) == 0 {
				// It may be a record that stands where a value has been torn off.
				inner := scanner{text: text, at: in.start}
				whole = inner.object()
				found = append(found, piece{record: inner.out, within: true, whole: whole, edited: inner.edited})
			} else if i := bytes.LastIndex(text[at+1:min(s.at+2, len(text))], []byte(`{"`)); i >= 0 {
				at, within = at+1+i, true
				continue
			}
		}
		next := max(s.at, at+1)
		i := bytes.IndexByte(text[next:], '{')
		if i < 0 {
			break
		}
		at, within = next+i, !whole
	}
	return found
}

// scanner copies a JSON object from text[at:] to out, as far as it goes. It
// forgives what does not hide where a value ends: control characters and
// malformed escapes in strings, unknown words and numbers. Values nested deeper
// than maxDepth become null.
type scanner struct {
	text   []byte
	at     int
	out    []byte
	stack  []frame
	safe   int  // the length of out up to which it consists of whole values
	closed span // the object closed last
	edited bool
}

type frame struct {
	closer byte
	start  int
}

type span struct{ start, end int }

// object reports whether the object has an end. Otherwise out holds its whole
// members, and at is the byte that does not belong to it.
func (s *scanner) object() bool {
	s.push('}')
	for first := true; len(s.stack) > 0; {
		s.space()
		if s.at >= len(s.text) {
			return s.cut()
		}
		top := s.stack[len(s.stack)-1].closer
		c := s.text[s.at]
		if c == top {
			s.pop()
			first = false
			continue
		}
		if !first {
			if c != ',' {
				return s.cut()
			}
			s.at++
			s.emit(',')
			s.space()
		}
		if top == '}' {
			if !s.string() {
				return s.cut()
			}
			s.space()
			if s.at >= len(s.text) || s.text[s.at] != ':' {
				return s.cut()
			}
			s.at++
			s.emit(':')
			s.space()
		}
		if s.at >= len(s.text) {
			return s.cut()
		}
		first = false
		switch c := s.text[s.at]; c {
		case '{':
			s.push('}')
			first = true
		case '[':
			s.push(']')
			first = true
		case '"':
			if !s.string() {
				return s.cut()
			}
			s.settle()
		default:
			if !s.word() {
				return s.cut()
			}
			s.settle()
		}
	}
	return true
}

func (s *scanner) push(closer byte) {
	s.stack = append(s.stack, frame{closer, s.at})
	if len(s.stack) == maxDepth+1 {
		s.edited = true
		s.out = append(s.out, "null"...)
	}
	s.emit(s.text[s.at])
	s.at++
	s.settle()
}

func (s *scanner) pop() {
	f := s.stack[len(s.stack)-1]
	s.emit(f.closer)
	s.at++
	s.stack = s.stack[:len(s.stack)-1]
	if f.closer == '}' {
		s.closed = span{f.start, s.at}
	}
	s.settle()
}

// settle notes that out ends with a whole value or the beginning of a container.
func (s *scanner) settle() { s.safe = len(s.out) }

func (s *scanner) cut() bool {
	s.out = s.out[:s.safe]
	for i := min(len(s.stack), maxDepth) - 1; i >= 0; i-- {
		s.out = append(s.out, s.stack[i].closer)
	}
	return false
}

// emit appends to out, unless it belongs to a value that is nested too deeply.
func (s *scanner) emit(b ...byte) {
	if len(s.stack) <= maxDepth {
		s.out = append(s.out, b...)
	}
}

func (s *scanner) space() {
	for s.at < len(s.text) && bytes.IndexByte([]byte(jsonSpace), s.text[s.at]) >= 0 {
		s.at++
	}
}

// string copies a string; it reports false, without moving on, if there is none,
// and if it has no end.
func (s *scanner) string() bool {
	if s.at >= len(s.text) || s.text[s.at] != '"' {
		return false
	}
	s.emit('"')
	for i := s.at + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.emit('"')
			s.at = i + 1
			return true
		case c < ' ':
			s.edited = true
			s.emit(' ')
		case c != '\\':
			s.emit(c)
		case i+1 < len(s.text) && bytes.IndexByte([]byte(`"\/bfnrt`), s.text[i+1]) >= 0:
			s.emit('\\', s.text[i+1])
			i++
		case i+5 < len(s.text) && s.text[i+1] == 'u' && isHex(s.text[i+2:i+6]):
			s.emit(s.text[i : i+6]...)
			i += 5
		default:
			s.edited = true
			s.emit('\\', '\\')
		}
	}
	s.at = len(s.text)
	return false
}

func isHex(digits []byte) bool {
	for _, c := range digits {
		if c |= 0x20; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// word copies a number or a literal. What is neither becomes null. One that is not
// followed by what may follow a value may have been cut and is refused.
func (s *scanner) word() bool {
	end := s.at
	for end < len(s.text) && (s.text[end]|0x20 >= 'a' && s.text[end]|0x20 <= 'z' || s.text[end] >= '0' && s.text[end] <= '9' || bytes.IndexByte([]byte("+-._"), s.text[end]) >= 0) {
		end++
	}
	if end == s.at {
		return false
	}
	word := s.text[s.at:end]
	s.at = end
	if end == len(s.text) || bytes.IndexByte([]byte(",]}"+jsonSpace), s.text[end]) < 0 {
		return false
	}
	if !jsontext.Value(word).IsValid() {
		s.edited = true
		word = []byte("null")
	}
	s.emit(word...)
	return true
}
