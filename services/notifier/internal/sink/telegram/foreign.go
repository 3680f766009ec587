package telegram

import (
	"strings"
	"unicode"

	"github.com/openclaw-security/bus/services/internal/redact"
	"github.com/openclaw-security/bus/services/internal/render"
)

// Bounds of what is looked at of one foreign string, in characters. A secret
// that the first bound cuts in two might not be known any more, so that what
// stands before the cut is dropped as well: up to a space, or the second bound.
const (
	maxForeign = 1024
	maxSecret  = 256
)

// maxText is how many bytes of a text of several lines are looked at.
const maxText = 8 * maxForeign

// maxMarks is how many combining marks stay on a character: more than any
// language needs is there to cover the lines around it.
const maxMarks = 4

// line makes a foreign string fit for a message: one line of at most limit UTF-16
// code units, without secrets of known shapes, in which nothing is clickable.
//
// The order matters. Invisible characters go first, because they can hide a
// secret or a link from what looks for them; what is cut off goes last, because
// half a secret is not known as one.
func line(foreign string, limit int) string {
	cleaned, _ := clean(foreign)
	return shorten(redact.Text(cleaned), limit)
}

// lines is [line] for text of several lines, which together are at most limit
// code units long. A secret may go over several of them.
func lines(foreign string, limit int) string {
	var cleaned []string
	size := 0
	for one := range strings.Lines(foreign) {
		one, whole := clean(one)
		if size += len(one) + 1; size > maxText {
			break
		}
		cleaned = append(cleaned, one)
		if !whole {
			break // a secret may have begun in what is gone
		}
	}
	var kept []string
	for one := range strings.SplitSeq(redact.Text(strings.Join(cleaned, "\n")), "\n") {
		if limit <= 0 {
			break
		}
		one = shorten(one, limit)
		limit -= units(one) + 1
		kept = append(kept, one)
	}
	return strings.Trim(strings.Join(kept, "\n"), "\n")
}

// shorten takes what is clickable from s and cuts it. Cutting can make a command
// of a path and taking makes s longer, so that both are done until nothing
// changes.
func shorten(s string, limit int) string {
	for {
		s = cut(s, limit)
		defanged := defang(s)
		if defanged == s {
			return s
		}
		s = defanged
	}
}

// clean makes one line of foreign text, without anything that cannot be seen. It
// reports whether that is all of it.
func clean(foreign string) (string, bool) {
	cleaned := visible(render.Clean(foreign, maxForeign))
	if bounded, ok := strings.CutSuffix(cleaned, "…"); ok && len(foreign) >= maxForeign {
		return withoutTail(bounded) + "…", false
	}
	return cleaned, true
}

// visible leaves out what [render.Clean] lets pass although it shows nothing, or
// too much, and makes one space of several.
func visible(s string) string {
	var b strings.Builder
	marks := 0
	for _, r := range s {
		switch {
		case r < 0x80:
			marks = 0
		case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), r == '\u2800':
			r = ' ' // fillers, the braille pattern without dots
		case unicode.IsMark(r):
			if marks++; marks > maxMarks {
				continue
			}
		default:
			marks = 0
		}
		b.WriteRune(r)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// withoutTail drops the last word, or as much of it as a secret can be long.
func withoutTail(s string) string {
	tail := max(0, len(s)-maxSecret)
	for tail > 0 && s[tail]&0xC0 == 0x80 { // not within a character
		tail--
	}
	if space := strings.LastIndexByte(s[tail:], ' '); space >= 0 {
		tail += space
	}
	return s[:tail]
}
