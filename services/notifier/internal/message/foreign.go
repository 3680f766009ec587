package message

import (
	"strings"
	"unicode"

	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/secret"
)

// Bounds of what is read of one foreign string, in characters. A secret
// that the first bound cuts in two might not be known any more, so that what
// stands before the cut is dropped as well: up to a space, or the second bound.
const (
	maxForeign = 1024
	maxSecret  = 256
)

// maxText is how many bytes of a text of several lines are read.
const maxText = 8 * maxForeign

// maxMarks is how many combining marks stay on a character: more than any
// language needs is there to cover the lines around it.
const maxMarks = 4

// Line makes a foreign string fit for a message: one line of at most limit
// units, without secrets of known shapes, in which nothing is clickable.
//
// The order matters. Invisible characters go first, because they can hide a
// secret or a link from the search for them; what is cut off goes last, because
// half a secret is not known as one.
func (f Format) Line(foreign string, limit int) string {
	cleaned, _ := clean(foreign)
	return f.shorten(secret.Text(cleaned), limit)
}

// lines is [Format.Line] for text of several lines, which together are at most limit
// units long. A secret may go over several of them.
func (f Format) lines(foreign string, limit int) string {
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
	for one := range strings.SplitSeq(secret.Text(strings.Join(cleaned, "\n")), "\n") {
		if limit <= 0 {
			break
		}
		one = f.shorten(one, limit)
		limit -= f.Size(one) + 1
		kept = append(kept, one)
	}
	return strings.Trim(strings.Join(kept, "\n"), "\n")
}

// shorten removes what is clickable from s and cuts it. Cutting can make a command
// of a path and taking makes s longer, so that both are done until nothing
// changes.
func (f Format) shorten(s string, limit int) string {
	for {
		s = f.Cut(s, limit)
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
