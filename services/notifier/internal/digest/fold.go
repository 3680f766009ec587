package digest

import (
	"cmp"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Max groups and criticals that a digest lists. The others are counted.
const (
	MaxGroups    = 500
	MaxCriticals = 500
)

// Key is what alerts of one group have in common.
type Key struct {
	Severity proto.Severity
	Source   string
	Rule     string
	Entity   string
}

// Alert is as much of an alert as a digest needs.
type Alert struct {
	Key
	ID        string
	Time      time.Time
	Host      string
	Signature string // the rule's id or the event's kind, which only the source chooses
}

// Fold counts alerts. Every alert is in exactly one group, and in Severities
// unless it is below low: Total is the sum of all groups' counts and OtherAlerts.
//
// Criticals holds at most [MaxCriticals]; the critical alerts that it does not
// name are Severities.Critical less the sum of its counts.
func Fold(alerts []Alert) Digest {
	d := Digest{Total: len(alerts)}
	sources := make(map[string]int)
	at := make(map[Key]int)
	var groups []Group
	var criticals []Critical
	named := make(map[criticalKey]int)
	signatures := make(map[signature]int)
	for _, a := range alerts {
		Tally(&d.Severities, a.Severity, 1)
		sources[a.Source]++
		i, ok := at[a.Key]
		if !ok {
			i = len(groups)
			at[a.Key] = i
			groups = append(groups, Group{Severity: a.Severity, Source: a.Source, Rule: a.Rule, Entity: a.Entity, First: a.Time, Last: a.Time})
		}
		groups[i].add(a.Time)
		if a.Severity != proto.SeverityCritical {
			continue
		}
		of := signature{origin{a.Host, a.Source}, a.Signature}
		signatures[of]++
		i, ok = named[criticalKey{a.Key, of}]
		if !ok {
			i = len(criticals)
			named[criticalKey{a.Key, of}] = i
			criticals = append(criticals, Critical{signature: of, ID: a.ID, Time: a.Time, Source: a.Source, Rule: a.Rule, Entity: a.Entity})
		}
		criticals[i].add(a)
	}
	d.Sources = rank(sources)
	slices.SortStableFunc(groups, largestFirst)
	d.Groups = groups[:min(len(groups), MaxGroups)]
	for _, g := range groups[len(d.Groups):] {
		d.OtherGroups++
		d.OtherAlerts += g.Count
	}
	slices.SortStableFunc(criticals, func(a, b Critical) int { return a.Time.Compare(b.Time) })
	for i := range criticals {
		c := &criticals[i]
		c.Of = signatures[c.signature]
		signatures[c.signature] = 0
	}
	slices.SortStableFunc(criticals, rareFirst)
	takeTurns(criticals)
	d.Criticals = criticals[:min(len(criticals), MaxCriticals)]
	return d
}

func (g *Group) add(at time.Time) {
	g.Count++
	if at.Before(g.First) {
		g.First = at
	}
	if at.After(g.Last) {
		g.Last = at
	}
}

// add counts a, and names it if it is the oldest so far.
func (c *Critical) add(a Alert) {
	c.Count++
	if a.Time.Before(c.Time) {
		c.ID, c.Time = a.ID, a.Time
	}
}

// origin is a source on a host, which the server vouches for.
type origin struct{ host, source string }

// signature is what nobody but the source can choose of an alert.
type signature struct {
	origin origin
	id     string
}

type criticalKey struct {
	Key
	signature signature
}

// rareFirst puts the first of each signature before the others.
func rareFirst(a, b Critical) int {
	switch {
	case a.Of > 0 && b.Of > 0:
		return cmp.Compare(a.Of, b.Of)
	case a.Of > 0:
		return -1
	case b.Of > 0:
		return 1
	}
	return 0
}

// takeTurns has the origins take turns, each in the order that its alerts have: among
// those that are the first of their signature, and among the others behind them.
func takeTurns(criticals []Critical) {
	type queue struct {
		origin origin
		first  bool
	}
	taken := make(map[queue]int)
	for i := range criticals {
		q := queue{criticals[i].signature.origin, criticals[i].Of > 0}
		criticals[i].turn = taken[q]
		taken[q]++
	}
	slices.SortStableFunc(criticals, func(a, b Critical) int {
		switch {
		case a.Of > 0 && b.Of == 0:
			return -1
		case a.Of == 0 && b.Of > 0:
			return 1
		}
		return cmp.Compare(a.turn, b.turn)
	})
}

// largestFirst orders by severity, then by size, and what is equal in both by
// name, so that the same alerts give the same digest.
func largestFirst(a, b Group) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(b.Count, a.Count),
		cmp.Compare(a.Source, b.Source),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Entity, b.Entity),
	)
}

func rank(counts map[string]int) []Count {
	ranked := make([]Count, 0, len(counts))
	for name, n := range counts {
		ranked = append(ranked, Count{name, n})
	}
	slices.SortFunc(ranked, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return ranked
}

// Tally adds n alerts of severity s to c, which has no place for info.
func Tally(c *proto.SeverityCounts, s proto.Severity, n int) {
	switch s {
	case proto.SeverityCritical:
		c.Critical += n
	case proto.SeverityHigh:
		c.High += n
	case proto.SeverityMedium:
		c.Medium += n
	case proto.SeverityLow:
		c.Low += n
	}
}
