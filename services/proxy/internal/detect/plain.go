package detect

import (
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/internal/escape"
)

// maxRounds is how many layers of escapes are undone: %2573 is s in two.
const maxRounds = 2

// plain undoes escapes of single characters, whichever language they belong
// to: %73, \x73, \u0073, &#115; and &#x73;, \" and \/. It appends to dst[:0]
// and reports whether there was anything to undo.
func plain(dst, text []byte) ([]byte, bool) {
	dst = dst[:0]
	copied := 0
	for at := range escape.Positions(text, escape.Marks) {
		if at < copied {
			continue
		}
		c, n := escape.Decode(text[at:])
		if n == 0 {
			continue
		}
		dst = append(dst, text[copied:at]...)
		if c < utf8.RuneSelf || text[at] == '\\' && text[at+1] == 'u' || text[at] == '&' {
			dst = utf8.AppendRune(dst, c)
		} else {
			dst = append(dst, byte(c)) // %C3 is a byte of an encoded character
		}
		copied = at + n
	}
	return append(dst, text[copied:]...), copied > 0
}
