package forward

import (
	"bytes"
	"strconv"
)

// view is a text without the escapes of single characters, in which secrets are
// looked for as well: those of JSON, URLs and HTML, and the zeros that UTF-16 and
// UTF-32 put between letters. A server that means to show a key to its client can
// write it in this way, and any parser undoes it.
type view struct {
	text []byte
	at   []int // where each byte of text begins in the original, and where the last ends
}

// maxEscape is the length of the longest escape that is undone, in bytes: a
// reference of HTML.
const maxEscape = len("&#x0010ffff;")

// hasEscapes reports whether p may look different without escapes. It costs a
// search for few bytes.
func hasEscapes(p []byte) bool {
	if bytes.IndexByte(p, 0) >= 0 || bytes.Contains(p, []byte("&#")) || bytes.Contains(p, []byte(`\u`)) || bytes.Contains(p, []byte(`\x`)) ||
		bytes.Contains(p, []byte(`\/`)) || len(p) > 0 && (p[len(p)-1] == '\\' || p[len(p)-1] == '&') {
		return true
	}
	for rest := p; ; {
		i := bytes.IndexByte(rest, '%')
		if i < 0 {
			return false
		}
		if rest = rest[i+1:]; len(rest) < 2 || isHex(rest[0]) && isHex(rest[1]) {
			return true
		}
	}
}

// reset makes v the view of p, up to an escape that the end of p cuts unless it is
// the last piece.
func (v *view) reset(p []byte, last bool) {
	v.text, v.at = v.text[:0], v.at[:0]
	i := 0
	for i < len(p) {
		c, n := p[i], 1
		switch c {
		case 0:
			i++
			continue
		case '\\', '%', '&':
			var whole bool
			if c, n, whole = undone(p[i:]); !whole && !last {
				v.at = append(v.at, i)
				return
			}
		}
		v.text = append(v.text, c)
		v.at = append(v.at, i)
		i += n
	}
	v.at = append(v.at, i)
}

// undone returns the character that the escape at the beginning of p stands for, 0xff
// for those outside ASCII, and its length. Other characters stand for themselves. An
// escape that p does not hold whole is not.
func undone(p []byte) (c byte, n int, whole bool) {
	switch p[0] {
	case '%':
		return digits(p, 1, 2)
	case '&':
		end := bytes.IndexByte(p[:min(len(p), maxEscape)], ';')
		switch {
		case len(p) > 1 && p[1] != '#', end < 0 && len(p) >= maxEscape:
			return p[0], 1, true
		case end < 0:
			return p[0], 1, false
		}
		text, base := string(p[2:end]), 10
		if len(text) > 0 && text[0]|0x20 == 'x' {
			text, base = text[1:], 16
		}
		v, err := strconv.ParseUint(text, base, 32)
		if err != nil {
			return p[0], 1, true
		}
		return ascii(v), end + 1, true
	}
	// Each layer of JSON doubles the backslashes of the one within.
	slashes := 1
	for slashes < min(len(p), 8) && p[slashes] == '\\' {
		slashes++
	}
	if slashes == len(p) {
		return p[0], 1, false
	}
	switch p[slashes] {
	case 'u', 'U':
		return digits(p, slashes+1, 4)
	case 'x', 'X':
		return digits(p, slashes+1, 2)
	case '/', '\'':
		return p[slashes], slashes + 1, true
	}
	return p[0], 1, true
}

// digits reads n hexadecimal digits at i.
func digits(p []byte, i, n int) (c byte, length int, whole bool) {
	var v uint64
	for k := i; k < i+n; k++ {
		if k == len(p) {
			return p[0], 1, false
		}
		if !isHex(p[k]) {
			return p[0], 1, true
		}
		d, _ := strconv.ParseUint(string(p[k]), 16, 8) // isHex has seen it
		v = v<<4 | d
	}
	return ascii(v), i + n, true
}

func ascii(v uint64) byte {
	if v >= 0x80 {
		return 0xff
	}
	return byte(v)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// unescaper takes secrets with escapes out of one body that comes in pieces, as
// scrubber does with the other forms.
type unescaper struct {
	secrets *secrets
	held    []byte
	out     []byte
	view    view
}

// next takes the next piece and returns what may go on, valid until the next call.
func (u *unescaper) next(p []byte, last bool) []byte {
	if len(u.held) > 0 {
		u.held = append(u.held, p...)
		p = u.held
	}
	held := 0 // bytes at the end
	if hasEscapes(p) {
		u.view.reset(p, last)
		var from int
		v, end := &u.view, len(p)
		if p, from = u.without(p); !last {
			held = end - v.at[from+tail(u.secrets.values, v.text[from:])]
		}
	} else if !last {
		held = len(p) - tail(u.secrets.values, p)
	}
	if held == 0 {
		u.held = u.held[:0]
		return p
	}
	// A copy, because both p and the result may stand where the next piece goes.
	hold := len(p) - held
	u.held = bytes.Clone(p[hold:])
	return p[:hold]
}

// without returns p, of which u.view is the view, without its secrets, and where in
// the view the rest begins in which there is none.
func (u *unescaper) without(p []byte) (clean []byte, from int) {
	text, values := u.view.text, u.secrets.values
	var upcoming []int // by value: where it occurs next in text, len(text) for nowhere
	u.out = u.out[:0]
	sent := 0
	for {
		start, length := len(text), 0
		for i, value := range values {
			if upcoming == nil {
				upcoming = make([]int, len(values))
				for k := range upcoming {
					upcoming[k] = -1
				}
			}
			if upcoming[i] < from {
				if upcoming[i] = index(text[from:], value); upcoming[i] < 0 {
					upcoming[i] = len(text)
				} else {
					upcoming[i] += from
				}
			}
			if at := upcoming[i]; at < start || at == start && at < len(text) && len(value) > length {
				start, length = at, len(value)
			}
		}
		if start == len(text) {
			break
		}
		u.out = append(append(u.out, p[sent:u.view.at[start]]...), marker...)
		from = start + length
		sent = u.view.at[from]
	}
	if sent == 0 {
		return p, 0
	}
	u.out = append(u.out, p[sent:]...)
	return u.out, from
}
