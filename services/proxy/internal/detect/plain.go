package detect

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxRounds is how many layers of escapes are undone: %2573 is s in two.
const maxRounds = 2

// plain undoes escapes of single characters, whichever language they belong
// to: %73, \x73, \u0073, &#115; and &#x73;, \" and \/. It appends to dst[:0]
// and reports whether there was anything to undo.
func plain(dst, text []byte) ([]byte, bool) {
	dst = dst[:0]
	changed := false
	for len(text) > 0 {
		i := bytes.IndexAny(text, `%\&`)
		if i < 0 {
			break
		}
		dst = append(dst, text[:i]...)
		text = text[i:]
		c, n := escape(text)
		if n == 0 {
			dst = append(dst, text[0])
			text = text[1:]
			continue
		}
		if c < utf8.RuneSelf || text[0] == '\\' && text[1] == 'u' || text[0] == '&' {
			dst = utf8.AppendRune(dst, c)
		} else {
			dst = append(dst, byte(c)) // %C3 is a byte of an encoded character
		}
		text = text[n:]
		changed = true
	}
	return append(dst, text...), changed
}

// escape reads the escape at the beginning of text and returns what it stands
// for and its length, which is 0 if it is none.
func escape(text []byte) (c rune, n int) {
	switch {
	case text[0] == '%':
		return hexRune(text, 1, 2)
	case text[0] == '&':
		return entity(text)
	case len(text) < 2:
		return 0, 0
	}
	switch text[1] {
	case 'x', 'X':
		return hexRune(text, 2, 2)
	case 'u', 'U':
		c, n = hexRune(text, 2, 4)
		if n > 0 && utf16.IsSurrogate(c) && len(text) > n+1 && text[n] == '\\' {
			if low, m := hexRune(text[n:], 2, 4); m > 0 {
				return utf16.DecodeRune(c, low), n + m
			}
		}
		return c, n
	case '"', '/', '\'':
		return rune(text[1]), 2
	}
	return 0, 0
}

// hexRune reads digits hexadecimal digits from offset at on.
func hexRune(text []byte, at, digits int) (c rune, n int) {
	if len(text) < at+digits {
		return 0, 0
	}
	for _, d := range text[at : at+digits] {
		v := unhex(d)
		if v < 0 {
			return 0, 0
		}
		c = c<<4 | v
	}
	return c, at + digits
}

func unhex(d byte) rune {
	switch {
	case '0' <= d && d <= '9':
		return rune(d - '0')
	case 'a' <= d && d <= 'f':
		return rune(d-'a') + 10
	case 'A' <= d && d <= 'F':
		return rune(d-'A') + 10
	default:
		return -1
	}
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
	v, err := strconv.ParseUint(digits, base, 21)
	if err != nil {
		return 0, 0
	}
	return rune(v), end + 1
}
