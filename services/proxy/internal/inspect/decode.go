package inspect

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// minEncoded is the minimum length in bytes of what is decoded: fewer hold no
	// sentence, and every id would do.
	minEncoded = 16
	// sniffed is how much is decoded to see whether the whole is text.
	sniffed = 96
	// surely is how many bytes that are UTF-8 are not so by chance.
	surely = 32
)

// decode adds a segment for each string that is base64, or a data: URL, and holds
// text: a model reads it as text, whichever type it is declared to be of. What is
// no text (images, PDF, archives) is not.
func (p *parser) decode() {
	for i := range p.req.Segments {
		s := p.req.Segments[i]
		if s.Kind == KindArguments || s.Kind == KindReasoning || s.Attached {
			continue
		}
		text := attachedText(s.Text, p.req.Segments[i].declared)
		if len(text) == 0 {
			continue
		}
		if len(p.req.Segments) == maxSegments {
			p.fail(len(p.body), "the body has too many strings")
			return
		}
		s.Kind, s.Text, s.Attached = KindText, text, true
		p.req.Segments = append(p.req.Segments, s)
	}
}

// attachedText is the text within s, nil if there is none. If s is declared to be
// text, bytes that are not UTF-8 do not matter.
func attachedText(s []byte, declared bool) []byte {
	encoded, isBase64, isURL := cutDataURL(s)
	if isURL && !isBase64 {
		return plainText(percentDecoded(encoded), true)
	}
	if len(encoded) < minEncoded && !declared && !isURL {
		return nil
	}
	// Most texts are known by their first characters not to be base64.
	start := fromBase64(encoded[:min(len(encoded), sniffed)])
	switch {
	case start == nil:
		return nil
	case len(encoded) <= sniffed:
		return plainText(start, declared)
	case !declared && plainText(uncut(start), false) == nil:
		return nil
	}
	return plainText(fromBase64(encoded), declared)
}

// cutDataURL returns what a data: URL holds, or else s itself.
// See https://www.rfc-editor.org/rfc/rfc2397.
func cutDataURL(s []byte) (content []byte, isBase64, isURL bool) {
	const scheme = "data:"
	if len(s) < len(scheme) || !strings.EqualFold(string(s[:len(scheme)]), scheme) {
		return s, true, false
	}
	media, content, ok := bytes.Cut(s[len(scheme):], []byte(","))
	if !ok {
		return s, true, false
	}
	last := media[bytes.LastIndexByte(media, ';')+1:]
	return content, bytes.EqualFold(bytes.TrimSpace(last), []byte("base64")), true
}

// fromBase64 decodes s, in either alphabet, with or without padding, line ends and
// escapes of URLs. It returns nil if there is anything else in it.
func fromBase64(s []byte) []byte {
	for i, c := range s {
		if !base64Bytes[c] {
			if c != '%' || i < minEncoded {
				return nil
			}
			s = percentDecoded(s)
			break
		}
	}
	out := make([]byte, 0, len(s)/4*3+3)
	var group [4 << 10]byte
	n := 0
	for _, c := range s {
		switch c {
		case '-':
			c = '+'
		case '_':
			c = '/'
		case '=', '\r', '\n', '\t', ' ':
			continue
		default:
			if !base64Bytes[c] {
				return nil
			}
		}
		if group[n] = c; n == len(group)-1 {
			out, n = appendBase64(out, group[:]), -1
		}
		n++
	}
	return appendBase64(out, group[:n])
}

// appendBase64 decodes s, whose characters are all of the alphabet. One that is
// left over at the end has no meaning.
func appendBase64(out, s []byte) []byte {
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	decoded, _ := base64.RawStdEncoding.AppendDecode(out, s) // fails for other characters only
	return decoded
}

var base64Bytes = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n\t ") {
		set[c] = true
	}
	return set
}()

// percentDecoded undoes the escapes of URLs.
func percentDecoded(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if r, ok := hex4([]byte{'0', '0', s[i+1], s[i+2]}, 0); ok {
				c = byte(r)
				i += 2
			}
		}
		out = append(out, c)
	}
	return out
}

// plainText returns b as UTF-8 if it is a text, else nil. Declared text always is
// one; what is not UTF-8 in it is replaced.
func plainText(b []byte, declared bool) []byte {
	if wide := fromUTF16(b); wide != nil {
		b = wide
	}
	switch {
	case len(b) == 0:
		return nil
	case !utf8.Valid(b):
		if !declared {
			return nil
		}
		return bytes.ToValidUTF8(b, []byte("?"))
	case len(b) < surely && !declared && bytes.ContainsFunc(b, isControl):
		return nil
	}
	return b
}

func isControl(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f
}

// fromUTF16 decodes UTF-16, by its byte order mark or by the zeros in it; nil if b
// is something else.
func fromUTF16(b []byte) []byte {
	if len(b) < 4 {
		return nil
	}
	var high int // where the more significant byte stands
	switch {
	case b[0] == 0xff && b[1] == 0xfe, b[1] == 0 && b[3] == 0 && b[0] != 0:
		high = 1
	case b[0] == 0xfe && b[1] == 0xff, b[0] == 0 && b[2] == 0 && b[1] != 0:
	default:
		return nil
	}
	out := make([]byte, 0, len(b))
	for i := 0; i+1 < len(b); i += 2 {
		c := rune(b[i+high])<<8 | rune(b[i+1-high])
		if utf16.IsSurrogate(c) && i+3 < len(b) {
			if pair := utf16.DecodeRune(c, rune(b[i+2+high])<<8|rune(b[i+3-high])); pair != utf8.RuneError {
				c = pair
				i += 2
			}
		}
		if c != 0xfeff {
			out = utf8.AppendRune(out, c)
		}
	}
	return out
}

// Wide returns the byte order mark of a text that begins like UTF-16, with a mark or
// without; nil if it is something else.
func Wide(start []byte) []byte {
	text := fromUTF16(start)
	switch {
	case text == nil || bytes.ContainsFunc(text, isControl):
		return nil
	case start[0] == 0xff || start[0] != 0xfe && start[1] == 0:
		return []byte{0xff, 0xfe}
	}
	return []byte{0xfe, 0xff}
}

// FromWide decodes UTF-16 behind its byte order mark.
func FromWide(text []byte) []byte { return fromUTF16(text) }

// uncut returns b without a character that its end has cut.
func uncut(b []byte) []byte {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// isTextMedia reports whether a media type is one of texts.
func isTextMedia(media []byte) bool {
	kind := strings.ToLower(string(media[:min(len(media), maxWord)]))
	kind, _, _ = strings.Cut(kind, ";")
	if strings.HasPrefix(kind, "text/") {
		return true
	}
	for _, part := range []string{"json", "xml", "yaml", "csv", "markdown", "html", "javascript", "typescript", "python", "shellscript", "x-sh", "sql", "rtf", "toml"} {
		if strings.Contains(kind, part) && !strings.Contains(kind, "officedocument") {
			return true
		}
	}
	return false
}
