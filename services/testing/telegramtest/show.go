package telegramtest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// ANSI select-graphic-rendition sequences (ECMA-48, 8.3.117).
var looks = map[string]string{
	"bold":                  "\x1b[1m",
	"code":                  "\x1b[36m",
	"pre":                   "\x1b[36m",
	"italic":                "\x1b[3m",
	"underline":             "\x1b[4m",
	"blockquote":            "\x1b[2m",
	"expandable_blockquote": "\x1b[2m",
}

const plainLook = "\x1b[0m"

// show prints a message as a person would see it.
func (s *Server) show(m Message) {
	if s.cfg.Show == nil {
		return
	}
	sound := ""
	if m.Silent {
		sound = ", without a sound"
	}
	if m.Edits > 0 {
		sound += ", edited"
	}
	fmt.Fprintf(s.cfg.Show, "┌─ message %d to %d%s\n", m.ID, m.Chat, sound)
	for line := range strings.Lines(styled(m.Text, m.Entities)) {
		fmt.Fprintf(s.cfg.Show, "│ %s\n", strings.TrimSuffix(line, "\n"))
	}
	fmt.Fprintln(s.cfg.Show, "└─")
}

// styled is the text with its entities as a terminal shows them. Each line
// begins anew, because something stands before it.
func styled(text string, entities []Entity) string {
	var b strings.Builder
	current, at := "", 0
	for _, r := range text {
		if r == '\n' {
			if current != "" {
				b.WriteString(plainLook)
				current = ""
			}
			b.WriteByte('\n')
			at++
			continue
		}
		if unicode.IsControl(r) {
			r = ' ' // the terminal is not to be driven
		}
		if look := lookAt(entities, at); look != current {
			if current != "" {
				b.WriteString(plainLook)
			}
			b.WriteString(look)
			current = look
		}
		b.WriteRune(r)
		at += utf16.RuneLen(r)
	}
	if current != "" {
		b.WriteString(plainLook)
	}
	return b.String()
}

func lookAt(entities []Entity, at int) string {
	var look string
	for _, e := range entities {
		if e.Offset <= at && at < e.Offset+e.Length {
			look += looks[e.Type]
		}
	}
	return look
}
