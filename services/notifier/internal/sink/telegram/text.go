package telegram

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

// Looks that a part of a text can have, as the Bot API names them. A quote
// contains nothing else here, and code never does, so that no entities nest.
const (
	bold  = "bold"
	code  = "code"
	quote = "expandable_blockquote"
)

// maxEntities is how many entities Telegram honours in a message; it ignores
// the rest. https://limits.tginfo.me/en
const maxEntities = 100

// text is a part of a message: what it says and how that looks.
type text struct {
	content  strings.Builder
	units    int // UTF-16 code units in content
	entities []entity
}

// textOf is text in which nothing looks special.
func textOf(content string) *text {
	var t text
	t.plain(content)
	return &t
}

func (t *text) plain(content string) {
	t.content.WriteString(content)
	t.units += units(content)
}

// styled adds content with the look of kind.
func (t *text) styled(kind, content string) {
	if n := units(content); n > 0 && len(t.entities) < maxEntities {
		t.entities = append(t.entities, entity{Type: kind, Offset: t.units, Length: n})
	}
	t.plain(content)
}

// add adds another text.
func (t *text) add(other *text) {
	for _, e := range other.entities {
		if len(t.entities) == maxEntities {
			break
		}
		e.Offset += t.units
		t.entities = append(t.entities, e)
	}
	t.content.WriteString(other.content.String())
	t.units += other.units
}

// joined is the texts that are not empty, with separator between them.
func joined(separator string, texts ...*text) *text {
	var all text
	for _, t := range texts {
		if t == nil || t.units == 0 {
			continue
		}
		if all.units > 0 {
			all.plain(separator)
		}
		all.add(t)
	}
	return &all
}

// fit is n texts with separator between them, if that is no longer than limit.
// Nothing is written any more once it is.
func fit(n int, write func(int) *text, separator string, limit int) (*text, bool) {
	all := make([]*text, n)
	used := -units(separator)
	for i := range all {
		all[i] = write(i)
		if used += all[i].units + units(separator); used > limit {
			return nil, false
		}
	}
	return joined(separator, all...), true
}

// units is the length of s in UTF-16 code units. Telegram's limit counts code
// points, of which there are no more.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r) // never -1: ranging yields no surrogates
	}
	return n
}

// cut shortens s to at most limit code units, the last of which is an ellipsis
// then. It does not cut into what a reader sees as one character, as far as
// that can be told without tables: marks, skin tones and flags stay whole.
func cut(s string, limit int) string {
	if units(s) <= limit {
		return s
	}
	runes := []rune(s)
	end, n := 0, 1 // the ellipsis
	for end < len(runes) && n+utf16.RuneLen(runes[end]) <= limit {
		n += utf16.RuneLen(runes[end])
		end++
	}
	for end > 0 && end < len(runes) && extends(runes, end) {
		end--
	}
	return strings.TrimRight(string(runes[:end]), " ") + "…"
}

// extends reports whether the rune at i belongs to the character before it.
func extends(runes []rune, i int) bool {
	if unicode.IsMark(runes[i]) || runes[i] >= 0x1F3FB && runes[i] <= 0x1F3FF {
		return true
	}
	flags := 0
	for j := i; j >= 0 && regional(runes[j]); j-- {
		flags++
	}
	return flags > 0 && flags%2 == 0
}

// regional reports whether r is half of a flag.
func regional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }
