package detect

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/internal/escape"
)

const (
	// minEncoded is the minimum length of a word that is tried as base64 or hex.
	minEncoded = 16
	// maxDecoded bounds how often what was decoded is looked at the same way.
	maxDecoded = 2
)

// shellText appends to dst the text as a shell would read it, near enough for
// expressions to match: in lower case, without quotes and escapes inside words,
// with white space as one space and a continued line as one line. What words
// of text hold in base64 or hex follows behind.
//
//	c"u"rl${IFS}-s \x68ttp://…  ─▶  curl -s http://…
func shellText(dst, text []byte) []byte {
	dst = appendShell(dst, text)
	return appendDecoded(dst, text, maxDecoded)
}

func appendShell(dst, text []byte) []byte {
	for len(text) > 0 {
		c, n := text[0], 1
		switch {
		case c == '\'' || c == '"':
		case c == '`':
			dst = append(dst, "$("...)
		case c == '\\':
			dst, n = appendEscape(dst, text)
		case c == '$':
			dst, n = appendVariable(dst, text)
		case c == '\n' && continues(dst, text), c == ' ', '\t' <= c && c <= '\r' && c != '\n':
			dst = appendSpace(dst)
		default:
			dst = append(dst, lower(c))
		}
		text = text[n:]
	}
	return dst
}

// appendSpace appends a space unless one is there.
func appendSpace(dst []byte) []byte {
	if len(dst) > 0 && dst[len(dst)-1] == ' ' {
		return dst
	}
	return append(dst, ' ')
}

// lower maps ASCII letters to lower case.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// continues reports whether a shell reads on behind the line end that text
// begins with.
func continues(dst, text []byte) bool {
	before := bytes.TrimRight(dst, " ")
	return (bytes.HasSuffix(before, []byte("|")) || bytes.HasSuffix(before, []byte("&&"))) &&
		!bytes.HasPrefix(text, []byte(member))
}

// appendEscape appends what the backslash that text begins with makes of the
// characters behind it, and returns the length of it all.
func appendEscape(dst, text []byte) (_ []byte, n int) {
	if len(text) < 2 {
		return dst, 1
	}
	if text[1] == '\n' {
		return appendSpace(dst), 2
	}
	if c, n := escape.Decode(text); n > 2 && c > ' ' {
		return utf8.AppendRune(dst, lowerRune(c)), n
	}
	if c, n := octal(text[1:]); n > 0 {
		return append(dst, lower(c)), 1 + n
	}
	return dst, 1
}

func lowerRune(c rune) rune {
	if c < utf8.RuneSelf {
		return rune(lower(byte(c)))
	}
	return c
}

// octal reads \143 without its backslash.
func octal(text []byte) (c byte, n int) {
	if len(text) < 3 {
		return 0, 0
	}
	v := 0
	for _, d := range text[:3] {
		if d < '0' || d > '7' {
			return 0, 0
		}
		v = v<<3 | int(d-'0')
	}
	if v <= ' ' || v >= utf8.RuneSelf {
		return 0, 0
	}
	return byte(v), 3
}

// appendVariable appends what the dollar sign that text begins with stands for:
// a separator for ${IFS}, nothing for what is empty and only serves to cut a
// word in two, $name for ${name}.
func appendVariable(dst, text []byte) (_ []byte, n int) {
	switch rest := text[1:]; {
	case len(rest) == 0:
	case bytes.HasPrefix(rest, []byte("IFS")):
		n = len("$IFS")
		if bytes.HasPrefix(text[n:], []byte("$9")) {
			n += len("$9")
		}
		return appendSpace(dst), n
	case rest[0] == '@', rest[0] == '*', '0' <= rest[0] && rest[0] <= '9':
		return dst, 2
	case rest[0] == '\'', rest[0] == '"':
		return dst, 1
	case rest[0] == '{':
		const longest = 64
		end := bytes.IndexByte(rest[:min(len(rest), longest)], '}')
		if end < 0 {
			break
		}
		name, n := rest[1:end], 2+end
		if bytes.HasPrefix(name, []byte("IFS")) {
			return appendSpace(dst), n
		}
		if n < len(text) && letter(rune(text[n])) && len(dst) > 0 && letter(rune(dst[len(dst)-1])) {
			return dst, n
		}
		dst = append(dst, '$')
		for _, c := range name {
			dst = append(dst, lower(c))
		}
		return dst, n
	}
	return append(dst, '$'), 1
}

// appendDecoded appends, each on a line, what words of text are in base64 or
// hex, if that is text.
func appendDecoded(dst, text []byte, depth int) []byte {
	for len(text) > 0 {
		n := 0
		for n < len(text) && encoding(text[n]) {
			n++
		}
		if n >= minEncoded {
			if decoded := decode(text[:n]); decoded != nil {
				dst = appendShell(append(dst, '\n'), decoded)
				if depth > 1 {
					dst = appendDecoded(dst, decoded, depth-1)
				}
			}
		}
		text = text[min(n+1, len(text)):]
	}
	return dst
}

// encoding reports whether c belongs to an alphabet of base64.
func encoding(c byte) bool {
	return letter(rune(c)) || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_' || c == '='
}

// decode returns the text that word stands for, nil if it stands for none.
func decode(word []byte) []byte {
	// A look at the beginning saves decoding images.
	if head := 4 * minEncoded; len(word) > head && decodeAll(word[:head]) == nil {
		return nil
	}
	return decodeAll(word)
}

func decodeAll(word []byte) []byte {
	out := make([]byte, len(word))
	if n, err := hex.Decode(out, word[:len(word)&^1]); err == nil {
		if s := readable(out[:n]); s != nil {
			return s
		}
	}
	word = bytes.TrimRight(word, "=")
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(word, "-_") {
		encoding = base64.RawURLEncoding
	}
	if len(word)%4 == 1 {
		word = word[:len(word)-1]
	}
	n, err := encoding.Decode(out, word)
	if err != nil {
		return nil
	}
	return readable(out[:n])
}

// readable returns b if it is ASCII text, and without the zero bytes if it is
// UTF-16 of ASCII, which PowerShell's -EncodedCommand takes; else nil.
func readable(b []byte) []byte {
	if len(b) > 2 && b[1] == 0 {
		narrow := b[:0:len(b)]
		for i := 0; i+1 < len(b); i += 2 {
			if b[i+1] != 0 {
				return nil
			}
			narrow = append(narrow, b[i])
		}
		b = narrow
	}
	for _, c := range b {
		if (c < ' ' && !isSpace(c)) || c > '~' {
			return nil
		}
	}
	return b
}
