package message

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// minimalNotice is how much of a notice the minimal message shows.
const minimalNotice = 120

// maxBare is how many alerts the minimal message shows with their titles.
const maxBare = 20

// minimal is the message for when all others were refused: counts, ids, the bare
// words of titles, and our own words, in ASCII.
func (w writer) minimal() *Text {
	var head string
	var ids, titles []string
	switch d := w.batch.Digest; {
	case d != nil:
		head = count(d.Total, severities(d))
		for _, c := range d.Criticals {
			ids, titles = append(ids, shortID(c.ID)), append(titles, c.Rule)
		}
	case len(w.batch.Alerts) > 0:
		alerts := whole(w.batch.Alerts)
		head = count(tally(alerts))
		for severity := proto.SeverityCritical; len(ids) < len(alerts); severity-- {
			for _, a := range alerts {
				if min(a.Event.Severity, proto.SeverityCritical) == severity {
					ids, titles = append(ids, shortID(a.Event.ID)), append(titles, a.Event.Title)
				}
			}
		}
	}
	parts := []string{w.mark() + head, ascii(w.lines(w.batch.Text, 1000)), "", w.replay("")}
	if head == "" {
		parts[0] = ""
	}
	for i, notice := range w.batch.Notices {
		if i == maxNotices {
			parts = append(parts, "Notices that are not shown: "+plural(len(w.batch.Notices)-i, "notice"))
			break
		}
		parts = append(parts, ascii(w.Line(notice, minimalNotice)))
	}
	room := w.Limit - 40
	for _, p := range parts {
		room -= len(p) + 1
	}
	parts[2] = w.bare(ids, titles, room)
	return plain(cmp.Or(joinNonEmpty("\n", parts...), "Nothing to report."))
}

// bare names alerts within room: a line each for the first, the ids of others. An id is
// never left out for a title.
func (w writer) bare(ids, titles []string, room int) string {
	const each = 12 + len(", ")
	shown := min(len(ids), max(0, room)/each)
	room -= shown * each
	var lines, rest []string
	for i, id := range ids[:shown] {
		if title := words(w.Line(titles[i], fieldSize)); i < maxBare && title != "" && len(title) < room {
			room -= len(title) + 1
			lines = append(lines, id+" "+title)
			continue
		}
		rest = append(rest, id)
	}
	all := joinNonEmpty("\n", append(lines, strings.Join(rest, ", "))...)
	if shown < len(ids) {
		all += " and " + plural(len(ids)-shown, "more id")
	}
	return all
}

// words are those of s that are letters of ASCII alone: nothing is left that could mean
// anything to a server, and no number that could be called.
func words(s string) string {
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	fields := strings.FieldsFunc(s, func(r rune) bool { return !letter(r) && (r < '0' || r > '9') })
	fields = slices.DeleteFunc(fields, func(word string) bool {
		return strings.ContainsFunc(word, func(r rune) bool { return !letter(r) })
	})
	return strings.Join(fields, " ")
}

// ascii replaces what is not.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return '?'
		}
		return r
	}, s)
}
