package inspect

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Eight bytes are looked at together (https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord).
// A borrow can flag a byte wrongly, but only above one that is flagged rightly:
// the lowest flag is exact.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// flags has the highest bit of a byte set where w has a quote, a backslash or a
// control character.
func flags(w uint64) uint64 {
	quote, slash := w^(ones*'"'), w^(ones*'\\')
	return ((w-ones*' ')&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// plain returns the offset of the first byte of b at or after i that ends a
// stretch of string without escapes: a quote, a backslash or a control
// character. It returns len(b) if there is none.
func plain(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		if f := flags(binary.LittleEndian.Uint64(b[i:])); f != 0 {
			return i + bits.TrailingZeros64(f)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return i
}

// string reads a string. It is empty after an error.
func (p *parser) string() []byte {
	if p.pos >= len(p.body) || p.body[p.pos] != '"' {
		p.fail(p.pos, reasonSyntax)
		return nil
	}
	start := p.pos + 1
	end := plain(p.body, start)
	if end < len(p.body) && p.body[end] == '"' {
		p.pos = end + 1
		return p.body[start:end:end]
	}
	return p.unescape(start, end)
}

// unescape reads the rest of a string that starts at start and has a byte at i
// that may not be copied as it stands.
func (p *parser) unescape(start, i int) []byte {
	if p.room == nil {
		// No string is longer than what it is decoded from: this is enough
		// for all that follow, and for the last copy of eight bytes.
		p.room = make([]byte, len(p.body)-start+8)
	}
	body, out := p.body, p.room
	n := copy(out, body[start:i])
	for i < len(body) {
		switch c := body[i]; {
		case c == '"':
			p.pos = i + 1
			p.room = out[n:]
			return out[:n:n]
		case c == '\\':
			if c := escapes[p.at(i+1)]; c != 0 {
				out[n] = c
				n++
				i += 2
				break
			}
			r, size := p.unicode(i)
			if size == 0 {
				return nil
			}
			n += utf8.EncodeRune(out[n:], r)
			i += size
		case c < ' ':
			p.fail(i, "a control character stands unescaped in a string")
			return nil
		default:
			out[n] = c
			n++
			i++
		}
		// Looking for the end of a stretch and copying it are one loop: the
		// stretches of most texts are no longer than a line.
		for i+8 <= len(body) {
			w := binary.LittleEndian.Uint64(body[i:])
			binary.LittleEndian.PutUint64(out[n:], w)
			if f := flags(w); f != 0 {
				k := bits.TrailingZeros64(f) / 8
				i += k
				n += k
				break
			}
			i += 8
			n += 8
		}
	}
	p.fail(start-1, "a string does not end")
	return nil
}

// escapes are the characters that stand for others behind a backslash.
var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// unicode decodes the \uXXXX whose backslash stands at i, or two that make a pair,
// and returns the size in bytes, 0 if it is refused. Half a surrogate pair is refused: some
// parsers drop it, some put U+FFFD and some keep it, so that nobody knows which
// text the model will see. Anthropic refuses it as well.
func (p *parser) unicode(i int) (r rune, size int) {
	r, ok := hex4(p.body, i+2)
	if p.at(i+1) != 'u' || !ok {
		p.fail(i, "a string has an escape that JSON does not know")
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if p.at(i+6) == '\\' && p.at(i+7) == 'u' {
		if low, ok := hex4(p.body, i+8); ok {
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, 12
			}
		}
	}
	p.fail(i, "a string has half a surrogate pair, such as a cut emoji leaves")
	return 0, 0
}

// hex4 reads the four hexadecimal digits at i.
func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// isOpaque reports whether b is printable ASCII without a space, as base64,
// URLs and ids are and prose is not.
func isOpaque(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		if ((w-ones*'!')|w)&highs != 0 { // a borrow comes only from a byte that is itself below '!'
			return false
		}
	}
	for _, c := range b {
		if c < '!' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// maxWord is the longest word in bytes: Anthropic's limit for a tool's name.
const maxWord = 128

// isWord reports whether b is a plain word: letters, digits and the signs in
// ids, media types and paths of names.
func isWord(b []byte) bool {
	if len(b) > maxWord {
		return false
	}
	for _, c := range b {
		if !wordBytes[c] {
			return false
		}
	}
	return true
}

var wordBytes = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/+$@|=") {
		set[c] = true
	}
	return set
}()
