package message

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
)

// maxSources is how many sources a digest names.
const maxSources = 5

// digest counts the alerts: exact totals, a line for each critical one, and the
// largest groups of the others as far as they fit.
func (w writer) digest(limit int) *Text {
	d := w.batch.Digest
	head := w.digestHead(d)
	foot := w.digestFoot()
	const gaps = 3 * 2
	room := limit - w.size(head) - w.size(foot) - gaps
	criticals := w.criticals(d, room-w.Size(others(math.MaxInt)))
	groups := w.groups(d, room-w.size(criticals))
	return joined("\n\n", head, criticals, groups, foot)
}

func (w writer) digestHead(d *digest.Digest) *Text {
	of := severities(d)
	worst := proto.SeverityInfo
	for _, s := range proto.Severities() {
		if of[s] > 0 {
			worst = s
		}
	}
	var t Text
	t.add(Plain, w.mark()+sign(worst)+" ")
	t.add(Bold, count(d.Total, of))
	if !w.batch.First.IsZero() && !w.batch.Last.IsZero() {
		t.add(Plain, "\n"+w.batch.First.In(w.Zone).Format("2006-01-02 15:04:05")+" to "+w.batch.Last.In(w.Zone).Format(timeFormat))
	}
	var sources []string
	rest := d.Total
	for i, s := range d.Sources {
		if i == maxSources {
			sources = append(sources, fmt.Sprintf("others: %d", rest))
			break
		}
		sources = append(sources, fmt.Sprintf("%s: %d", w.Line(s.Name, 40), s.Count))
		rest -= s.Count
	}
	if len(sources) > 0 {
		t.add(Plain, "\n"+strings.Join(sources, ", "))
	}
	return &t
}

func severities(d *digest.Digest) map[proto.Severity]int {
	return map[proto.Severity]int{
		proto.SeverityCritical: d.Severities.Critical,
		proto.SeverityHigh:     d.Severities.High,
		proto.SeverityMedium:   d.Severities.Medium,
		proto.SeverityLow:      d.Severities.Low,
	}
}

func (w writer) digestFoot() *Text {
	var t Text
	if command := w.replay(""); command != "" {
		t.add(Plain, "All of them: ")
		t.add(Code, command)
	}
	return &t
}

// criticals names each critical alert in the fullest form in which all fit. If
// they do not, one of each source and signature is described and the others are
// named by id alone, as far as they fit; it says exactly how many are missing.
func (w writer) criticals(d *digest.Digest, limit int) *Text {
	if d.Severities.Critical == 0 && len(d.Criticals) == 0 {
		return plain("")
	}
	var head Text
	head.add(Bold, "Critical")
	missing := d.Severities.Critical
	for _, c := range d.Criticals {
		missing -= c.Count
	}
	const options = " --severity critical"
	hidden := func() *Text {
		if missing <= 0 {
			return plain("")
		}
		return w.hidden(missing, "critical alert", options)
	}
	for _, write := range []func(digest.Critical) *Text{w.critical, w.criticalShort} {
		each := func(i int) *Text { return write(d.Criticals[i]) }
		if t, ok := w.fit(len(d.Criticals), each, "\n", limit-w.size(&head)-w.size(hidden())-2); ok {
			return joined("\n", &head, t, hidden())
		}
	}
	missing = d.Severities.Critical
	limit -= w.size(&head) + w.size(hidden()) + 2
	shown := []*Text{&head}
	for _, c := range d.Criticals {
		t := w.criticalName(c)
		if first := w.criticalFirst(c); c.Of > 0 && w.size(first) < limit {
			t = first
		}
		if limit -= w.size(t) + 1; limit < 0 {
			break
		}
		shown = append(shown, t)
		missing -= c.Count
	}
	return joined("\n", append(shown, hidden())...)
}

func (w writer) critical(c digest.Critical) *Text {
	return plain("🔴 " + joinNonEmpty(" · ",
		c.Time.In(w.Zone).Format(time.TimeOnly), w.Line(c.Rule, fieldSize)+times(c.Count), w.Line(c.Entity, 80), w.Line(c.Source, 40), shortID(c.ID)))
}

func (w writer) criticalShort(c digest.Critical) *Text {
	return plain("🔴 " + joinNonEmpty(" · ", w.Line(c.Rule, 40)+times(c.Count), w.Line(c.Entity, 20), shortID(c.ID)))
}

// criticalFirst describes a sample of a source and signature.
func (w writer) criticalFirst(c digest.Critical) *Text {
	t := w.criticalShort(c)
	if c.Of > c.Count {
		t.add(Plain, fmt.Sprintf(" · 1 of %d of this rule", c.Of))
	}
	return t
}

func (w writer) criticalName(c digest.Critical) *Text {
	return plain("🔴 " + shortID(c.ID) + times(c.Count))
}

// groups shows the groups that fit and counts the alerts in all others. The
// critical ones are left out if each has a line already.
func (w writer) groups(d *digest.Digest, limit int) *Text {
	named := 0
	for _, c := range d.Criticals {
		named += c.Count
	}
	total := d.Total
	skipCritical := d.Severities.Critical > 0 && named >= d.Severities.Critical
	if skipCritical {
		total -= d.Severities.Critical
	}
	if total <= 0 {
		return plain("")
	}
	rest := total
	limit -= w.Size(others(rest)) + 1
	var shown []*Text
	for _, g := range d.Groups {
		if skipCritical && g.Severity == proto.SeverityCritical {
			continue
		}
		t := w.group(g)
		if limit -= w.size(t) + 1; limit < 0 {
			break
		}
		shown = append(shown, t)
		rest -= g.Count
	}
	if rest > 0 {
		shown = append(shown, plain(others(rest)))
	}
	return joined("\n", shown...)
}

// others counts the alerts whose groups are not shown.
func others(n int) string { return "In other groups: " + plural(n, "alert") }

func (w writer) group(g digest.Group) *Text {
	return plain(sign(g.Severity) + fmt.Sprintf(" %d× ", g.Count) + joinNonEmpty(" · ", w.Line(g.Rule, 80), w.Line(g.Entity, 60), w.Line(g.Source, 40)))
}
