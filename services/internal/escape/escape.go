// Package escape undoes escapes of single characters, whichever language they
// belong to: %73 of URLs, \x73, \u0073, \" and \/ of strings in programs and
// JSON, &#115; and &#x73; of HTML.
package escape

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"unicode/utf16"
)

// Marks are the characters that an escape begins with.
const Marks = `%\&`

// Positions returns where in text one of marks stands, which are a few ASCII
// characters. Text without any is passed over as fast as it can be read.
func Positions(text []byte, marks string) iter.Seq[int] {
	return func(yield func(int) bool) {
		next := make([]int, len(marks), 4)
		behind := func(at, mark int) int {
			if i := bytes.IndexByte(text[at:], marks[mark]); i >= 0 {
				return at + i
			}
			return len(text)
		}
		for mark := range next {
			next[mark] = behind(0, mark)
		}
		for {
			at := slices.Min(next)
			if at == len(text) || !yield(at) {
				return
			}
			mark := slices.Index(next, at)
			next[mark] = behind(at+1, mark)
		}
	}
}

// Decode reads the escape at the beginning of text, which must not be empty, and
// returns what it stands for and its length in bytes, which is 0 if it is none. A
// surrogate pair in two \u escapes is one character. The escapes of control
// characters, such as \n, and \\ are left to the caller: in text of no known
// language they may just as well be a part of a Windows path.
func Decode(text []byte) (c rune, n int) {
	switch {
	case text[0] == '%':
		return hex(text, 1, 2)
	case text[0] == '&':
		return entity(text)
	case text[0] != '\\' || len(text) < 2:
		return 0, 0
	}
	switch text[1] {
	case 'x', 'X':
		return hex(text, 2, 2)
	case 'u', 'U':
		c, n = hex(text, 2, 4)
		if n > 0 && utf16.IsSurrogate(c) && len(text) > n+1 && text[n] == '\\' {
			if low, m := hex(text[n:], 2, 4); m > 0 {
				return utf16.DecodeRune(c, low), n + m
			}
		}
		return c, n
	case '"', '/', '\'':
		return rune(text[1]), 2
	}
	return 0, 0
}

// hex reads digits hexadecimal digits from offset at on.
func hex(text []byte, at, digits int) (c rune, n int) {
	if len(text) < at+digits {
		return 0, 0
	}
	for _, d := range text[at : at+digits] {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, 0
		}
		c = c<<4 | rune(d)
	}
	return c, at + digits
}

// entity reads a numeric character reference of HTML.
func entity(text []byte) (c rune, n int) {
	const longest = len("&#x10ffff;")
	end := bytes.IndexByte(text[:min(len(text), longest)], ';')
	if end < 0 || text[1] != '#' {
		return 0, 0
	}
	digits, base := string(text[2:end]), 10
	if len(digits) > 0 && (digits[0] == 'x' || digits[0] == 'X') {
		digits, base = digits[1:], 16
	}
	code, err := strconv.ParseUint(digits, base, 21)
	if err != nil {
		return 0, 0
	}
	return rune(code), end + 1
}
