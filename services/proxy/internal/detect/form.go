package detect

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/keyword"
)

// form is one way in which a value can be written.
type form struct {
	name string // empty for the value as it is
	text string
}

const (
	anchorBytes = 16
	// maxGaps bounds the white space that is passed over within a form: line
	// ends, and the indentation behind them.
	maxGaps = 512
)

// forms lists how value can be written, besides escapes of single characters,
// which plain undoes.
func forms(value string) []form {
	reversed := []byte(value)
	slices.Reverse(reversed)
	list := []form{
		{"", value},
		{"reversed", string(reversed)},
		{"in hex", hex.EncodeToString([]byte(value))},
		{"in hex", separated(value, " ")},
		{"in hex", separated(value, ":")},
	}
	for skip := range 3 {
		list = append(list,
			form{"in base64", inside(base64.RawStdEncoding.EncodeToString, value, skip, 6)},
			form{"in base64", inside(base64.RawURLEncoding.EncodeToString, value, skip, 6)})
	}
	base32 := base32.StdEncoding.WithPadding(base32.NoPadding)
	for skip := range 5 {
		list = append(list, form{"in base32", inside(base32.EncodeToString, value, skip, 5)})
	}
	seen := make(map[string]bool)
	return slices.DeleteFunc(list, func(f form) bool {
		folded := strings.ToLower(f.text)
		twice := seen[folded]
		seen[folded] = true
		return twice
	})
}

// inside encodes value as it comes out when skip bytes stand before it and
// others behind, without the characters that depend on those.
func inside(encode func([]byte) string, value string, skip, bits int) string {
	text := encode(append(make([]byte, skip), value...))
	return text[(skip*8+bits-1)/bits : (skip+len(value))*8/bits]
}

func separated(value, by string) string {
	pairs := make([]string, len(value))
	for i := range len(value) {
		pairs[i] = hex.EncodeToString([]byte{value[i]})
	}
	return strings.Join(pairs, by)
}

type span struct{ from, to int }

// anchors are the parts of f to look for: two that touch, so that a line end,
// which encoders put in every 60 characters or more, leaves one of them whole.
// They are the last ones, because vendors' keys begin alike.
func (f *form) anchors() []span {
	n := len(f.text)
	if n < 2*anchorBytes {
		return []span{{0, n / 2}, {n / 2, n}}
	}
	return []span{{n - 2*anchorBytes, n - anchorBytes}, {n - anchorBytes, n}}
}

// at reports whether all of f stands in text, given that its part from offset
// at on begins at pos. White space in between does not count, nor does case,
// which would only make a match by chance less likely.
func (f *form) at(text []byte, pos, at int) bool {
	gaps := 0
	i := pos
	for k := at; k < len(f.text); i++ {
		switch {
		case i == len(text):
			return false
		case keyword.Fold(text[i]) == keyword.Fold(f.text[k]):
			k++
		case !isSpace(text[i]) || gaps == maxGaps:
			return false
		default:
			gaps++
		}
	}
	i = pos - 1
	for k := at - 1; k >= 0; i-- {
		switch {
		case i < 0:
			return false
		case keyword.Fold(text[i]) == keyword.Fold(f.text[k]):
			k--
		case !isSpace(text[i]) || gaps == maxGaps:
			return false
		default:
			gaps++
		}
	}
	return true
}

func isSpace(c byte) bool { return keyword.Fold(c) == ' ' }
