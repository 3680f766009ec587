package telegram

import (
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// minimalNotice is how much of a notice the least message shows.
const minimalNotice = 120

// minimal is the message for when all others were refused, for whatever reason:
// counts, ids and our own words, in ASCII.
func (w writer) minimal() *text {
	var head string
	var ids []string
	switch d := w.batch.Digest; {
	case d != nil:
		head = count(d.Total, severities(d))
		for _, c := range d.Criticals {
			ids = append(ids, shortID(c.ID))
		}
	case len(w.batch.Alerts) > 0:
		alerts := whole(w.batch.Alerts)
		head = count(tally(alerts))
		for severity := proto.SeverityCritical; len(ids) < len(alerts); severity-- {
			for _, a := range alerts {
				if min(a.Event.Severity, proto.SeverityCritical) == severity {
					ids = append(ids, shortID(a.Event.ID))
				}
			}
		}
	}
	parts := []string{w.mark() + head, ascii(lines(w.batch.Text, 1000)), "", w.replay("")}
	if head == "" {
		parts[0] = ""
	}
	for i, notice := range w.batch.Notices {
		if i == maxNotices {
			parts = append(parts, "Notices that are not shown: "+plural(len(w.batch.Notices)-i, "notice"))
			break
		}
		parts = append(parts, ascii(line(notice, minimalNotice)))
	}
	room := maxUnits - 40
	for _, p := range parts {
		room -= len(p) + 1
	}
	const each = 12 + len(", ")
	shown := ids[:min(len(ids), room/each)]
	if parts[2] = strings.Join(shown, ", "); len(shown) < len(ids) {
		parts[2] += " and " + plural(len(ids)-len(shown), "more id")
	}
	return textOf(firstOf(joinNonEmpty("\n", parts...), "Nothing to report."))
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
