package detect

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Bounds below which invisible characters are ordinary: a family emoji joins
// with one at a time, Persian and Hindi words hold single ones, web pages hint
// at line breaks with them.
const (
	maxInvisibleRun   = 3 // one behind the other
	maxInsideWords    = 7 // between ASCII letters, in a text
	maxSelectorRun    = 1 // variation selectors on one character
	maxStrayVariation = 3 // variation selectors on ASCII letters, in a text
)

// veil counts the characters of a text that a person does not see.
type veil struct {
	tags      int // U+E0000 to U+E007F outside a flag
	overrides int // right-to-left overrides
	open      int // bidirectional controls that the line has not closed
	unclosed  int // lines that end with open ones
	invisible int // characters in runs that are too long
	run       int
	inside    int
	selectors int
	stray     int
}

// hidden describes the characters in text that a person does not see, or is
// empty if there are none beyond what languages and emoji need.
func hidden(text []byte) string {
	var v veil
	var previous, base rune // the character before, and the visible one
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			if i+8 <= len(text) && previous < utf8.RuneSelf && v.open == 0 && v.run == 0 &&
				binary.LittleEndian.Uint64(text[i:])&0x8080808080808080 == 0 {
				i += 8
				previous, base = rune(text[i-1]), rune(text[i-1])
				continue
			}
		}
		c, size := utf8.DecodeRune(text[i:])
		i += size
		switch {
		case c == 0x1f3f4: // black flag: tags behind it may name a region
			i += flag(text[i:])
			v.endRun()
		case c == '\n':
			v.endLine()
			v.endRun()
		case 0xe0000 <= c && c <= 0xe007f:
			v.tags++
		case selector(c):
			v.selector(base, previous)
		case invisible(c):
			next := byte(0)
			if i < len(text) {
				next = text[i]
			}
			v.unseen(previous, next)
		default:
			v.control(c)
			v.endRun()
		}
		if !selector(c) && !invisible(c) {
			base = c
		}
		previous = c
	}
	v.endRun()
	v.endLine()
	return v.verdict()
}

func (v *veil) verdict() string {
	switch {
	case v.tags > 0:
		return fmt.Sprintf("%d tag characters", v.tags)
	case v.overrides > 0:
		return fmt.Sprintf("%d right-to-left overrides", v.overrides)
	case v.unclosed > 0:
		return fmt.Sprintf("%d lines with an open bidirectional control", v.unclosed)
	case v.invisible > 0:
		return fmt.Sprintf("%d invisible characters in a row", v.invisible)
	case v.inside > maxInsideWords:
		return fmt.Sprintf("%d invisible characters inside words", v.inside)
	case v.selectors > 0:
		return fmt.Sprintf("%d surplus variation selectors", v.selectors)
	case v.stray > maxStrayVariation:
		return fmt.Sprintf("%d variation selectors on letters", v.stray)
	default:
		return ""
	}
}

// control counts the controls of text direction. An override from right to left
// has no honest use in plain text; the others have, if the line closes what it
// opens (Boucher and Anderson, Trojan Source, 2021; GCC's -Wbidi-chars=unpaired
// draws the same line).
func (v *veil) control(c rune) {
	switch c {
	case 0x202e:
		v.overrides++
	case 0x202a, 0x202b, 0x202d, 0x2066, 0x2067, 0x2068:
		v.open++
	case 0x202c, 0x2069:
		v.open = max(v.open-1, 0)
	}
}

func (v *veil) endLine() {
	if v.open > 0 {
		v.unclosed++
	}
	v.open = 0
}

// unseen counts an invisible character behind previous and before the byte next.
func (v *veil) unseen(previous rune, next byte) {
	v.run++
	if letter(previous) && letter(rune(next)) {
		v.inside++
	}
}

// endRun ends a run of invisible characters.
func (v *veil) endRun() {
	if v.run > maxInvisibleRun {
		v.invisible = max(v.invisible, v.run)
	}
	v.run = 0
}

// selector counts a variation selector: one belongs to an emoji, an ideograph or
// a digit of a keycap; a row of them, or one on each letter, carries bytes
// (https://paulbutler.org/2025/smuggling-arbitrary-data-through-an-emoji/).
func (v *veil) selector(base, previous rune) {
	switch {
	case selector(previous):
		v.selectors++
	case letter(base) || base == ' ':
		v.stray++
	}
}

func selector(c rune) bool { return 0xfe00 <= c && c <= 0xfe0f || 0xe0100 <= c && c <= 0xe01ef }

// invisible are the characters without a width and without a say in how others
// look, except for joiners: zero-width space, joiners and marks of direction; word
// joiner and the invisible operators; byte-order mark; the fillers of Hangul and
// the vowel separator of Mongolian.
func invisible(c rune) bool {
	switch {
	case 0x200b <= c && c <= 0x200f, 0x2060 <= c && c <= 0x2064, 0x206a <= c && c <= 0x206f:
		return true
	}
	switch c {
	case 0xfeff, 0x115f, 0x1160, 0x3164, 0xffa0, 0x180e:
		return true
	}
	return false
}

func letter(c rune) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// flag is the length of the tag sequence of a region's flag at the beginning of
// text, or 0: three to six letters and digits, and the tag that ends it
// (https://www.unicode.org/reports/tr51/#flag-emoji-tag-sequences).
func flag(text []byte) int {
	const tagBytes = 4
	for n := 0; n <= 6; n++ {
		c, size := utf8.DecodeRune(text[min(n*tagBytes, len(text)):])
		switch {
		case c == 0xe007f && n >= 3:
			return n*tagBytes + size
		case 0xe0030 <= c && c <= 0xe0039, 0xe0061 <= c && c <= 0xe007a:
		default:
			return 0
		}
	}
	return 0
}
