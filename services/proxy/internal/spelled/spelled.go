// Package spelled finds values that are written in another way than the usual one: with
// separators between their characters or groups of them (spaces, dashes, line ends, zero
// width characters), backwards, by ROT13, or in hex with any separators.
//
// Only ASCII letters and digits of a text are looked at, in one case. So a match needs
// all of a value's letters and digits in their order with none in between, which no
// ordinary text has by chance.
package spelled

import (
	"bytes"
	"encoding/hex"
	"slices"

	"github.com/openclaw-security/bus/services/internal/keyword"
)

const (
	// minLetters is the minimum length of a value without its separators. One needs a
	// digit, too: words that stand in for a key ("not-needed-at-all") are found in
	// ordinary prose once the spaces are gone.
	minLetters = 12
	// minHeld is how much of a value the end of a text has to match before the text
	// waits for what follows.
	minHeld = 8
	maxPart = 16 << 10 // bytes of a long text that are looked at together
	// anchor bounds what the automaton looks for: the end of each form.
	anchor = 16
)

// Values are those that are looked for; nil has none. They are read-only and safe for concurrent use.
type Values struct {
	forms   []form
	ends    *keyword.Matcher
	longest int
}

type form struct {
	text  []byte
	value int
}

// New returns what finds these values. Those that are too short without their
// separators, or have no digit, are left out.
func New(values [][]byte) *Values {
	v := new(Values)
	var ends []keyword.Keyword
	for i, value := range values {
		plain := letters(nil, value)
		if len(plain) < minLetters || !bytes.ContainsAny(plain, "0123456789") {
			continue
		}
		turned, back := rot13(plain), reversed(plain)
		for _, text := range [][]byte{plain, back, turned, reversed(turned), []byte(hex.EncodeToString(value))} {
			v.longest = max(v.longest, len(text))
			ends = append(ends, keyword.Keyword{Text: string(text[max(len(text)-anchor, 0):]), ID: len(v.forms)})
			v.forms = append(v.forms, form{text, i})
		}
	}
	v.ends = keyword.New(ends, nil)
	return v
}

// Text is what has come of one text. Its zero value is for one that begins.
type Text struct {
	tail []byte // the last letters and digits: as many as can be the beginning of a value
}

// Add looks at a further piece of t together with what came before. It returns the index
// of a value that it found, or -1, and whether the text now ends with what could become
// one.
func (v *Values) Add(t *Text, piece []byte) (value int, pending bool) {
	if v == nil || len(v.forms) == 0 {
		return -1, false
	}
	text := letters(t.tail, piece)
	value = v.find(text)
	pending = v.begins(text)
	end := text[max(len(text)-v.longest+1, 0):]
	if len(text) <= 4*v.longest {
		t.tail = append(text[:0], end...)
	} else { // what a long piece takes is not kept
		t.tail = slices.Clone(end)
	}
	return value, pending
}

// In returns the index of a value that text has, or -1.
func (v *Values) In(text []byte) int {
	var all Text
	for part := range slices.Chunk(text, maxPart) {
		if value, _ := v.Add(&all, part); value >= 0 {
			return value
		}
	}
	return -1
}

func (v *Values) find(text []byte) int {
	value := -1
	v.ends.Any(text, func(id, end int) bool {
		if bytes.HasSuffix(text[:end], v.forms[id].text) {
			value = v.forms[id].value
		}
		return value >= 0
	})
	return value
}

// begins reports whether text ends with minHeld bytes or more that a form begins with.
func (v *Values) begins(text []byte) bool {
	if len(text) < minHeld {
		return false
	}
	last := text[len(text)-minHeld:]
	for _, f := range v.forms {
		// The last bytes of what matches are somewhere in the form.
		for at := 0; ; at++ {
			next := bytes.Index(f.text[at:len(f.text)-1], last)
			if next < 0 {
				break
			}
			if at += next; bytes.HasSuffix(text, f.text[:at+minHeld]) {
				return true
			}
		}
	}
	return false
}

// kept has the letters and digits in lower case, and 0 for all other bytes.
var kept = func() (table [256]byte) {
	for c := range len(table) {
		if l := byte(c) | 0x20; 'a' <= l && l <= 'z' && c < 0x80 {
			table[c] = l
		} else if '0' <= c && c <= '9' {
			table[c] = byte(c)
		}
	}
	return table
}()

// letters appends the letters and digits of text to dst.
func letters(dst, text []byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, len(text))[:n+len(text)]
	for _, c := range text {
		dst[n] = kept[c]
		if dst[n] != 0 {
			n++
		}
	}
	return dst[:n]
}

func reversed(text []byte) []byte {
	text = slices.Clone(text)
	slices.Reverse(text)
	return text
}

func rot13(text []byte) []byte {
	text = slices.Clone(text)
	for i, c := range text {
		if 'a' <= c && c <= 'z' {
			text[i] = 'a' + (c-'a'+13)%26
		}
	}
	return text
}
