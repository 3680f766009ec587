package answer

import (
	"bytes"
	"fmt"
	"hash/maphash"
)

// Bounds of a JSON text in an answer, far beyond what providers send. They keep
// parsing from taking many times the text's memory.
const (
	maxElements = 1 << 16 // objects, arrays and nulls that are elements of arrays
	maxNames    = 1 << 16 // in the objects that are open at a time
	maxDepth    = 1 << 10 // of objects and arrays
	smallText   = 16 << 10
)

// scan walks through a JSON text, whether or not it is well-formed, without parsing
// it.
type scan struct {
	seed   maphash.Seed
	frames []scanFrame
}

// scanFrame is an object or an array that is open.
type scanFrame struct {
	object bool
	path   uint64 // of its values; of an object, of the value of the last name
	own    uint64 // its own
	names  int
}

func newScan() scan { return scan{seed: maphash.MakeSeed()} }

// bounded returns ErrTooLarge if parsing data could take much more memory than data
// does.
func (s *scan) bounded(data []byte) error {
	if len(data) <= smallText {
		return nil
	}
	return s.walk(data, nil)
}

// walk calls visit, if it is not nil, with each string in data that is a value, as it
// is written between its quotes, and with a hash of the names that lead to it. The
// elements of an array have one path.
func (s *scan) walk(data []byte, visit func(path uint64, raw []byte)) error {
	s.frames = append(s.frames[:0], scanFrame{})
	elements, names := 0, 0
	for i := 0; i < len(data); i++ {
		top := &s.frames[len(s.frames)-1]
		switch c := data[i]; c {
		case '"':
			end := stringEnd(data, i+1)
			raw := data[i+1 : end]
			i = end
			switch {
			case top.object && isName(data[min(end+1, len(data)):]):
				top.path = s.join(top.own, raw)
				top.names++
				names++
			case visit != nil:
				visit(top.path, raw)
			}
		case '{', '[':
			if !top.object {
				elements++
			}
			if len(s.frames) == maxDepth {
				return fmt.Errorf("%w: more than %d levels", ErrTooLarge, maxDepth)
			}
			s.frames = append(s.frames, scanFrame{object: c == '{', path: top.path, own: top.path})
		case '}', ']':
			if len(s.frames) > 1 {
				names -= top.names
				s.frames = s.frames[:len(s.frames)-1]
			}
		case 'n':
			if !top.object {
				elements++
			}
		}
		if elements > maxElements || names > maxNames {
			return fmt.Errorf("%w: too many elements or names", ErrTooLarge)
		}
	}
	return nil
}

// join is the path to the value of a name.
func (s *scan) join(path uint64, name []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for range 8 {
		_ = h.WriteByte(byte(path)) // never fails
		path >>= 8
	}
	_, _ = h.Write(name)
	return h.Sum64()
}

// stringEnd is the offset of the quote that ends the string whose text begins at i,
// or the length of data.
func stringEnd(data []byte, i int) int {
	for {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return len(data)
		}
		i += n
		slashes := 0
		for data[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		i++
	}
}

// isName reports whether what stands behind a string makes it a member's name.
func isName(rest []byte) bool {
	for _, c := range rest {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ':'
		}
	}
	return false
}

// elsewhere marks the texts in members that no format knows, and in fields of events
// other than their data.
const elsewhere = "elsewhere"

// overlooked adds the strings of data that the format has not taken for text or for a
// call's arguments to what is searched for forbidden values. A value can be spread
// over the events of a member that only its sender and a client know.
func (r *Reader) overlooked(data []byte) {
	if !r.gate.watch.forbids() {
		return
	}
	_ = r.scan.walk(data, func(path uint64, raw []byte) {
		if bytes.IndexByte(raw, '\\') >= 0 {
			raw = unescape(raw)
		}
		if !r.gate.wasSaid(raw) {
			r.gate.watch.add(key{index: int(path), kind: elsewhere}, raw)
		}
	})
}
