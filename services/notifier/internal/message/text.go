package message

import (
	"strings"
	"unicode"
)

// Style is how a part of a message looks.
type Style uint8

// The styles. Spans do not nest.
const (
	Plain Style = iota
	Bold
	Code
	Quote // several lines, which a chat may fold
)

// Span is a part of a message that looks the same throughout. Its text is safe
// to show but not escaped: it can hold every character of every markup.
type Span struct {
	Style Style
	Text  string
}

// Text is what a message says. The zero Text is empty.
type Text struct{ Spans []Span }

// plain is a text without styles.
func plain(content string) *Text { return styled(Plain, content) }

func styled(style Style, content string) *Text {
	var t Text
	t.add(style, content)
	return &t
}

// add adds content, unless it is empty.
func (t *Text) add(style Style, content string) {
	if content != "" {
		t.Spans = append(t.Spans, Span{style, content})
	}
}

func (t *Text) empty() bool { return len(t.Spans) == 0 }

// String is the text without its styles.
func (t *Text) String() string {
	var b strings.Builder
	for _, s := range t.Spans {
		b.WriteString(s.Text)
	}
	return b.String()
}

// joined is the texts that are not empty, with separator between them.
func joined(separator string, texts ...*Text) *Text {
	var all Text
	for _, t := range texts {
		if t == nil || t.empty() {
			continue
		}
		if !all.empty() {
			all.add(Plain, separator)
		}
		all.Spans = append(all.Spans, t.Spans...)
	}
	return &all
}

// fit is n texts with separator between them, if that is no longer than limit.
// Nothing is written any more once it is.
func (f Format) fit(n int, write func(int) *Text, separator string, limit int) (*Text, bool) {
	all := make([]*Text, n)
	used := -f.Size(separator)
	for i := range all {
		all[i] = write(i)
		if used += f.size(all[i]) + f.Size(separator); used > limit {
			return nil, false
		}
	}
	return joined(separator, all...), true
}

// Size is the length of s in the chat's units.
func (f Format) Size(s string) int {
	n := 0
	for _, r := range s {
		n += f.Units(r)
	}
	return n
}

func (f Format) size(t *Text) int {
	n := 0
	for _, s := range t.Spans {
		n += f.Size(s.Text)
	}
	return n
}

// Cut shortens s to at most limit units, the last of which are an ellipsis
// then. It does not cut into what a reader sees as one character, as far as
// that can be told without tables: marks, skin tones and flags stay whole.
func (f Format) Cut(s string, limit int) string {
	if f.Size(s) <= limit {
		return s
	}
	runes := []rune(s)
	end, n := 0, f.Units('…')
	for end < len(runes) && n+f.Units(runes[end]) <= limit {
		n += f.Units(runes[end])
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
