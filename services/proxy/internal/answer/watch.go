package answer

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// minHeld is how many bytes of a forbidden value have to match before text
	// waits for what follows.
	minHeld = 8
	// maxTexts bounds the texts that are told at the same time; no API has that
	// many choices or parts.
	maxTexts = 256
)

// watch looks for forbidden values in an answer, also where a value is spread
// over several pieces of a text.
type watch struct {
	values  [][]byte
	longest int
	tails   map[key]tail
	pending int  // tails that could become a value
	found   bool // a value was in a text
}

// tail is the end of a text: as much as could be the beginning of a value.
type tail struct {
	text    []byte
	pending bool
}

func newWatch(values [][]byte) watch {
	var w watch
	for _, v := range values {
		if len(v) > 0 {
			w.values = append(w.values, v)
			w.longest = max(w.longest, len(v))
		}
	}
	return w
}

func (w *watch) active() bool  { return len(w.values) > 0 }
func (w *watch) waiting() bool { return w.pending > 0 }

// add looks at a further piece of the text k.
func (w *watch) add(k key, text []byte) {
	if !w.active() {
		return
	}
	before := w.tails[k]
	text = append(before.text, text...)
	if w.contains(text) {
		w.found = true
	}
	after := tail{pending: w.begins(text)}
	after.text = append(text[:0], text[max(0, len(text)-w.longest+1):]...)
	if cap(after.text) > 4*w.longest+firstBuffer {
		after.text = bytes.Clone(after.text)
	}
	if w.tails == nil || len(w.tails) > maxTexts {
		w.tails, w.pending, before.pending = make(map[key]tail), 0, false
	}
	w.tails[k] = after
	w.count(before.pending, after.pending)
}

// end is the end of the text k: nothing can follow.
func (w *watch) end(k key) {
	if t, ok := w.tails[k]; ok {
		w.count(t.pending, false)
		delete(w.tails, k)
	}
}

func (w *watch) count(before, after bool) {
	if before {
		w.pending--
	}
	if after {
		w.pending++
	}
}

// reset is the end of every text.
func (w *watch) reset() { w.tails, w.pending = nil, 0 }

// begins reports whether text ends with minHeld bytes or more that a value
// begins with.
func (w *watch) begins(text []byte) bool {
	if len(text) < minHeld {
		return false
	}
	last := text[len(text)-1]
	for _, v := range w.values {
		for n := min(len(v)-1, len(text)); n >= minHeld; n-- {
			if v[n-1] == last && bytes.HasSuffix(text, v[:n]) {
				return true
			}
		}
	}
	return false
}

func (w *watch) contains(text []byte) bool {
	for _, v := range w.values {
		if bytes.Contains(text, v) {
			return true
		}
	}
	return false
}

// in reports whether a value is in text, as it is or after JSON's escapes have
// been resolved.
func (w *watch) in(text []byte) bool {
	if !w.active() {
		return false
	}
	return w.contains(text) || bytes.IndexByte(text, '\\') >= 0 && w.contains(unescape(text))
}

// unescape resolves every escape of a JSON text, without regard for where in the
// text it is and whether the text is well-formed.
func unescape(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 == len(text) {
			return append(plain, text...)
		}
		plain = append(plain, text[:i]...)
		c := text[i+1]
		text = text[i+2:]
		switch c {
		case 'b':
			plain = append(plain, '\b')
		case 'f':
			plain = append(plain, '\f')
		case 'n':
			plain = append(plain, '\n')
		case 'r':
			plain = append(plain, '\r')
		case 't':
			plain = append(plain, '\t')
		case 'u':
			var char rune
			char, text = unescapeRune(text)
			plain = utf8.AppendRune(plain, char)
		default:
			plain = append(plain, c)
		}
	}
}

// unescapeRune reads what follows \u, including the second half of a surrogate
// pair.
func unescapeRune(text []byte) (rune, []byte) {
	char, ok := hex4(text)
	if !ok {
		return utf8.RuneError, text
	}
	text = text[4:]
	if utf16.IsSurrogate(char) && len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
		if low, ok := hex4(text[2:]); ok {
			if pair := utf16.DecodeRune(char, low); pair != utf8.RuneError {
				return pair, text[6:]
			}
		}
	}
	return char, text
}

func hex4(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var char rune
	for _, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		char = char<<4 | rune(c)
	}
	return char, true
}
