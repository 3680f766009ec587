package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// folded is a text made plain, between two line ends. Both forms have the same
// length, so that a place in one is the same place in the other.
type folded struct {
	text  []byte
	lower []byte
}

// fold makes a text plain.
func fold(text string) folded {
	f := folded{make([]byte, 0, len(text)+2), make([]byte, 0, len(text)+2)}
	f.add('\n')
	for _, r := range text {
		if '!' <= r && r <= '~' { // the bulk of a usual text
			f.text = append(f.text, byte(r))
			f.lower = append(f.lower, byte(small(r)))
			continue
		}
		switch r = plain(r); r {
		case dropped:
		case ' ', '\n':
			f.space(r)
		default:
			f.add(r)
		}
	}
	f.space('\n')
	return f
}

// space adds white space. Of several in a row one stays, a line end if there is
// any.
func (f *folded) space(r rune) {
	switch end := len(f.text) - 1; {
	case f.text[end] == '\n' || f.text[end] == ' ' && r == ' ':
	case f.text[end] == ' ':
		f.text[end], f.lower[end] = '\n', '\n'
	default:
		f.add(r)
	}
}

func (f *folded) add(r rune) {
	f.text = utf8.AppendRune(f.text, r)
	f.lower = utf8.AppendRune(f.lower, small(r))
}

// small is r in lower case, unless that has another length.
func small(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	case r < utf8.RuneSelf:
		return r
	}
	if lower := unicode.ToLower(r); utf8.RuneLen(lower) == utf8.RuneLen(r) {
		return lower
	}
	return r
}

// lower is text, which is folded, in lower case.
func lower(text string) string { return strings.Map(small, text) }

// dropped is what plain makes of a character that cannot be seen.
const dropped = -1

// plain is the plain character for r: ' ' or '\n' for any white space.
func plain(r rune) rune {
	if r < utf8.RuneSelf {
		switch {
		case r > ' ' && r != 0x7f:
			return r
		case r == '\n' || r == '\r' || r == '\v' || r == '\f':
			return '\n'
		case r == ' ' || r == '\t':
			return ' '
		}
		return dropped
	}
	switch {
	case 0xE0020 <= r && r <= 0xE007E: // tags: ASCII that is not shown
		return plain(r - 0xE0000)
	case r == 0x85 || r == 0x2028 || r == 0x2029:
		return '\n'
	case unicode.IsSpace(r), r == 0x2800, r == 0x3164, r == 0x115F, r == 0x1160, r == 0xFFA0: // braille and Hangul blanks
		return ' '
	case unicode.In(r, unicode.Cf, unicode.Cc, unicode.Variation_Selector), 0x300 <= r && r <= 0x36F: // accents on their own
		return dropped
	case 0xFF01 <= r && r <= 0xFF5E: // full-width forms
		return r - 0xFEE0
	case 0x1D400 <= r && r <= 0x1D6A3: // mathematical alphabets
		return letter((r - 0x1D400) % 52)
	case 0x1D7CE <= r && r <= 0x1D7FF:
		return '0' + (r-0x1D7CE)%10
	case 0x24B6 <= r && r <= 0x24E9: // letters in circles
		return letter(r - 0x24B6)
	}
	return r
}

// letter is the n-th of A to Z and a to z.
func letter(n rune) rune {
	if n < 26 {
		return 'A' + n
	}
	return 'a' + n - 26
}
