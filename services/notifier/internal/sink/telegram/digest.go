package telegram

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
func (w writer) digest(limit int) *text {
	d := w.batch.Digest
	head := w.digestHead(d)
	foot := w.digestFoot()
	const gaps = 3 * 2
	room := limit - head.units - foot.units - gaps
	criticals := w.criticals(d, room-units(others(math.MaxInt)))
	groups := w.groups(d, room-criticals.units)
	return joined("\n\n", head, criticals, groups, foot)
}

func (w writer) digestHead(d *digest.Digest) *text {
	of := severities(d)
	worst := proto.SeverityInfo
	for _, s := range proto.Severities() {
		if of[s] > 0 {
			worst = s
		}
	}
	var t text
	t.plain(w.mark() + sign(worst) + " ")
	t.styled(bold, count(d.Total, of))
	if !w.batch.First.IsZero() && !w.batch.Last.IsZero() {
		t.plain("\n" + w.batch.First.In(w.zone).Format("2006-01-02 15:04:05") + " to " + w.batch.Last.In(w.zone).Format(timeFormat))
	}
	var sources []string
	rest := d.Total
	for i, s := range d.Sources {
		if i == maxSources {
			sources = append(sources, fmt.Sprintf("others: %d", rest))
			break
		}
		sources = append(sources, fmt.Sprintf("%s: %d", line(s.Name, 40), s.Count))
		rest -= s.Count
	}
	if len(sources) > 0 {
		t.plain("\n" + strings.Join(sources, ", "))
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

func (w writer) digestFoot() *text {
	var t text
	if command := w.replay(""); command != "" {
		t.plain("All of them: ")
		t.styled(code, command)
	}
	return &t
}

// criticals names each critical alert in the fullest form in which all fit. If
// they do not even in the last, it says exactly how many are missing.
func (w writer) criticals(d *digest.Digest, limit int) *text {
	if d.Severities.Critical == 0 && len(d.Criticals) == 0 {
		return textOf("")
	}
	var head text
	head.styled(bold, "Critical")
	missing := d.Severities.Critical
	for _, c := range d.Criticals {
		missing -= c.Count
	}
	const options = " --severity critical"
	hidden := func() *text {
		if missing <= 0 {
			return textOf("")
		}
		return w.hidden(missing, "critical alert", options)
	}
	for _, write := range []func(digest.Critical) *text{w.critical, w.criticalShort, w.criticalName} {
		each := func(i int) *text { return write(d.Criticals[i]) }
		if t, ok := fit(len(d.Criticals), each, "\n", limit-head.units-hidden().units-2); ok {
			return joined("\n", &head, t, hidden())
		}
	}
	missing = d.Severities.Critical
	limit -= head.units + hidden().units + 2
	shown := []*text{&head}
	for _, c := range d.Criticals {
		t := w.criticalName(c)
		if limit -= t.units + 1; limit < 0 {
			break
		}
		shown = append(shown, t)
		missing -= c.Count
	}
	return joined("\n", append(shown, hidden())...)
}

func (w writer) critical(c digest.Critical) *text {
	return textOf("🔴 " + joinNonEmpty(" · ",
		c.Time.In(w.zone).Format(time.TimeOnly), line(c.Rule, fieldSize)+times(c.Count), line(c.Entity, 80), line(c.Source, 40), shortID(c.ID)))
}

func (w writer) criticalShort(c digest.Critical) *text {
	return textOf("🔴 " + joinNonEmpty(" · ", line(c.Rule, 40)+times(c.Count), line(c.Entity, 20), shortID(c.ID)))
}

func (w writer) criticalName(c digest.Critical) *text {
	return textOf("🔴 " + shortID(c.ID) + times(c.Count))
}

// groups shows the groups that fit and counts the alerts in all others. The
// critical ones are left out if each has a line already.
func (w writer) groups(d *digest.Digest, limit int) *text {
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
		return textOf("")
	}
	rest := total
	limit -= units(others(rest)) + 1
	var shown []*text
	for _, g := range d.Groups {
		if skipCritical && g.Severity == proto.SeverityCritical {
			continue
		}
		t := w.group(g)
		if limit -= t.units + 1; limit < 0 {
			break
		}
		shown = append(shown, t)
		rest -= g.Count
	}
	if rest > 0 {
		shown = append(shown, textOf(others(rest)))
	}
	return joined("\n", shown...)
}

// others counts the alerts whose groups are not shown.
func others(n int) string { return "In other groups: " + plural(n, "alert") }

func (w writer) group(g digest.Group) *text {
	return textOf(sign(g.Severity) + fmt.Sprintf(" %d× ", g.Count) + joinNonEmpty(" · ", line(g.Rule, 80), line(g.Entity, 60), line(g.Source, 40)))
}
