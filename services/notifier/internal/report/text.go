package report

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
)

const topShown = 5

// Text is the report for a person, in lines. Names in it are foreign text.
func (r *Report) Text(zone *time.Location) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s\n", r.From.In(zone).Format("2006-01-02 15:04"), r.To.In(zone).Format("2006-01-02 15:04 MST"))
	r.alerts(&b)
	top(&b, "DNS names", &r.Names)
	top(&b, "Destinations", &r.Destinations)
	r.LLM.text(&b)
	for _, s := range r.Silent {
		fmt.Fprintf(&b, "\nSILENT: nothing from %s on %s since %s\n", s.Source, s.Host, s.Last.In(zone).Format("2006-01-02 15:04"))
	}
	if r.Undecodable > 0 {
		fmt.Fprintf(&b, "\n%d stored messages could not be read and are not counted.\n", r.Undecodable)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (r *Report) alerts(b *strings.Builder) {
	a := r.Alerts
	total := a.Critical + a.High + a.Medium + a.Low
	if total == 0 {
		fmt.Fprintf(b, "\nNo alerts; %d events.\n", r.Events)
		return
	}
	fmt.Fprintf(b, "\n%d alerts: %s; %d events.", total, severities(a), r.Events)
	if r.Blocked > 0 {
		fmt.Fprintf(b, " %d were about what a sensor has blocked.", r.Blocked)
	}
	b.WriteString("\n")
	top(b, "Rules", &r.Rules)
}

func severities(c proto.SeverityCounts) string {
	var parts []string
	for _, p := range []struct {
		n    int
		name string
	}{{c.Critical, "critical"}, {c.High, "high"}, {c.Medium, "medium"}, {c.Low, "low"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.name))
		}
	}
	return strings.Join(parts, ", ")
}

func top(b *strings.Builder, title string, t *Top) {
	first, names, occurrences := t.First(topShown)
	if len(first) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, c := range first {
		fmt.Fprintf(b, "%6d  %s\n", c.Count, c.Name)
	}
	if names > 0 {
		fmt.Fprintf(b, "%6d  under %d other names\n", occurrences, names)
	}
}

func (l *LLM) text(b *strings.Builder) {
	if errors.Is(l.Err, audit.ErrUnanswered) {
		b.WriteString("\nLLM requests are not in this report: the auditor does not answer. `secbus audit report` shows them when it runs.\n")
		return
	}
	if l.Err != nil {
		fmt.Fprintf(b, "\nLLM requests are not in this report: %v. `secbus audit report` shows them.\n", l.Err)
		return
	}
	defer l.behind(b)
	noEnd := l.Open + l.Interrupted
	if l.Requests == 0 {
		b.WriteString("\nNo LLM requests.\n")
		return
	}
	fmt.Fprintf(b, "\n%d LLM requests", l.Requests-noEnd)
	for _, p := range []struct {
		n    int64
		name string
	}{{l.Blocked, "blocked"}, {l.Refused, "refused"}, {l.Failed, "failed"}} {
		if p.n > 0 {
			fmt.Fprintf(b, ", %d %s", p.n, p.name)
		}
	}
	if noEnd > 0 {
		fmt.Fprintf(b, "; %d more without an end", noEnd)
	}
	fmt.Fprintf(b, "\n%d tokens in (%d of them cached), %d out", l.Input, l.CacheRead, l.Output)
	if l.Incomplete > 0 {
		fmt.Fprintf(b, "; %d answers broke off before the final count", l.Incomplete)
	}
	fmt.Fprintf(b, "\nAbout $%.2f by the list prices of %s", l.Cost, l.PricesOf)
	if n := len(l.NoPrice); n > 0 {
		const shown = 3
		unknown := l.NoPrice[:min(n, shown):min(n, shown)]
		if n > shown {
			unknown = append(unknown, fmt.Sprintf("%d others", n-shown))
		}
		fmt.Fprintf(b, ", without %s, of which no price is known", strings.Join(unknown, ", "))
	}
	b.WriteString(".\n")
	top(b, "Tools called", &l.Tools)
}

// behind says what the figures may lack.
func (l *LLM) behind(b *strings.Builder) {
	if missing := l.Status.Records - min(l.Status.Indexed, l.Status.Records); missing > 0 {
		fmt.Fprintf(b, "%d records of the audit log are not counted yet.\n", missing)
	}
	if l.Status.Problem != "" {
		fmt.Fprintf(b, "LLM requests may be missing: %s.\n", l.Status.Problem)
	}
}
