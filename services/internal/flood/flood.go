// Package flood keeps one rule from filling a stream of alerts, or a chat.
//
//	alert ─▶ Folder.Fold ─┬─ up to the limit in a minute ──▶ published as it is
//	                      └─ above, until a quiet minute ──▶ published as an event, tagged
//	                              └─▶ Folder.Reports ──────▶ one alert a minute that counts them
//
// Nothing is dropped: what is folded is published in its place under its id, as
// telemetry that says how severe it was. Minutes are those of the events, so that a
// backlog is folded as it would have been when it arose. The counts are in memory
// alone: a process that starts lets the first alerts of each rule pass again.
package flood

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// DefaultLimit is how many alerts of one rule pass in a minute.
const DefaultLimit = 200

// Tag marks an alert that was made an event, and the alert that counts them. On the
// former stands beside it what the severity was: was-critical, for example.
const Tag = "flood"

const tagWas = "was-"

const (
	window = time.Minute
	// late is by how much an event may be older than the newest of its rule and still
	// count in that one's minute.
	late = 5 * time.Minute
	// maxRules are counted each by itself; what comes beyond is counted together.
	maxRules   = 4096
	maxSamples = 5
	maxText    = 80 // bytes of a sample, a rule's id or its name
)

// Folder counts the alerts of one source by rule, and folds those above the limit. It
// is not safe for concurrent use, except for Folded.
type Folder struct {
	limit  int
	now    func() time.Time
	rules  map[string]*rule
	due    []Report
	swept  time.Time
	folded atomic.Uint64
}

// New returns a Folder that lets limit alerts of a rule pass in a minute; 0 is no
// limit. now is the clock.
func New(limit int, now func() time.Time) *Folder {
	return &Folder{limit: limit, now: now, rules: make(map[string]*rule)}
}

// rule is what is known of one rule.
type rule struct {
	several  bool      // it stands for all rules for which there was no room
	minute   time.Time // of the events that are counted now
	count    int       // of alerts in it, folded ones included
	touched  time.Time // by the clock
	flooding bool
	told     int64 // of Report.Count when it was reported last
	report   Report
}

// Report counts the alerts of one rule that a flood has made events so far.
type Report struct {
	Rule     proto.Rule     // empty for alerts without
	Kind     string         // of the first alert
	Severity proto.Severity // the highest of them
	Count    int64
	First    time.Time // of the events
	Last     time.Time
	Samples  []string // what some of them were about
	Over     bool     // the flood has ended
}

// Folded is how many alerts were made events.
func (f *Folder) Folded() uint64 { return f.folded.Load() }

// Fold makes an event of an alert whose rule has had more than the limit in its
// minute, or has had in the minute before and has not been quiet since. Its id stays.
func (f *Folder) Fold(e *proto.Event) (folded bool) {
	if f.limit == 0 || e.Severity.Class() != proto.ClassAlert {
		return false
	}
	now := f.now()
	at := e.Time
	if at.After(now) {
		at = now // a time in the future would hold all that follow in its minute
	}
	r := f.ruleOf(e)
	r.touched = now
	if minute := at.Truncate(window); minute.After(r.minute) || minute.Before(r.minute.Add(-late)) {
		f.turn(r, minute)
	}
	r.count++
	if r.count <= f.limit && !r.flooding {
		return false
	}
	began := !r.flooding
	if began {
		r.flooding, r.told, r.report = true, 0, newReport(e, at)
		if r.several {
			r.report.Rule = proto.Rule{ID: "other rules"}
		}
	}
	r.report.add(e, at)
	if began {
		f.tell(r)
	}
	e.Tags = append(slices.Clone(e.Tags), Tag, tagWas+e.Severity.String())
	e.SetSeverity(proto.SeverityInfo)
	f.folded.Add(1)
	return true
}

func (f *Folder) ruleOf(e *proto.Event) *rule {
	key := "kind " + e.Kind
	if e.Rule != nil && e.Rule.ID != "" {
		key = "rule " + e.Rule.ID
	}
	r, ok := f.rules[key]
	if !ok && len(f.rules) >= maxRules {
		key = ""
		r, ok = f.rules[key]
	}
	if !ok {
		r = &rule{several: key == ""}
		f.rules[key] = r
	}
	return r
}

// turn begins another minute of a rule.
func (f *Folder) turn(r *rule, minute time.Time) {
	next := minute.Equal(r.minute.Add(window))
	if r.flooding {
		r.report.Over = r.count <= f.limit || !next
		r.flooding = !r.report.Over
		f.tell(r)
	}
	r.minute, r.count = minute, 0
}

// tell puts a rule's report before those that are due, if it says anything new.
func (f *Folder) tell(r *rule) {
	if r.report.Count == r.told && !r.report.Over {
		return
	}
	r.told = r.report.Count
	report := r.report
	report.Samples = slices.Clone(report.Samples)
	f.due = append(f.due, report)
}

// Reports returns what is to be said of floods since it was called last: that one has
// begun, how far it has got after each minute, that it is over. Call it about once a
// second: that is how an end is noticed after which nothing comes.
func (f *Folder) Reports() []Report {
	if now := f.now(); now.Sub(f.swept) >= time.Second || now.Before(f.swept) {
		f.swept = now
		for key, r := range f.rules {
			if now.Sub(r.touched) <= window && !now.Before(r.touched) {
				continue
			}
			if r.flooding {
				r.report.Over = true
				f.tell(r)
			}
			delete(f.rules, key)
		}
	}
	due := f.due
	f.due = nil
	return due
}

func newReport(e *proto.Event, at time.Time) Report {
	r := Report{Kind: e.Kind, First: at, Last: at}
	if e.Rule != nil {
		r.Rule = proto.Rule{ID: e.Rule.ID, Name: e.Rule.Name, Category: e.Rule.Category, Revision: e.Rule.Revision}
	}
	return r
}

func (r *Report) add(e *proto.Event, at time.Time) {
	r.Count++
	r.Severity = max(r.Severity, e.Severity)
	if at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
	if len(r.Samples) < maxSamples {
		if s := entity(e); s != "" && !slices.Contains(r.Samples, s) {
			r.Samples = append(r.Samples, s)
		}
	}
}

// entity is what an event is about.
func entity(e *proto.Event) string {
	src, dst := endpoint(e.Src), endpoint(e.Dst)
	switch {
	case src != "" && dst != "":
		return clip(src + " → " + dst)
	case src+dst != "":
		return clip(src + dst)
	case e.Process != nil && e.Process.Name != "":
		return clip(e.Process.Name)
	case e.File != nil:
		return clip(e.File.Path)
	case e.Container != nil && e.Container.Name != "":
		return clip(e.Container.Name)
	}
	return clip(e.Title)
}

func endpoint(p *proto.Endpoint) string {
	if p == nil {
		return ""
	}
	for _, s := range []string{p.IP, p.Hostname, p.Path} {
		if s != "" {
			return s
		}
	}
	return ""
}

func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText-len("…")] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// record is a Report as a machine reads it, the Raw of the alert.
type record struct {
	Rule    string    `json:"rule,omitempty"`
	Kind    string    `json:"kind"`
	Count   int64     `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Samples []string  `json:"samples,omitempty"`
	Over    bool      `json:"over,omitempty"`
}

// Event is the alert that counts. It has the rule of what it counts, so that a silence
// of that one covers this one, and the highest severity. Its id follows from what it
// says.
func (r Report) Event(host, source string) proto.Event {
	rule := r.Rule
	what := fmt.Sprintf("rule %q", clip(rule.ID))
	if rule.ID == "" {
		what = fmt.Sprintf("kind %q", clip(r.Kind))
		rule.ID = r.Kind
	}
	first, last := r.First.UTC(), r.Last.UTC()
	title := fmt.Sprintf("Flood of %s: %d more from %s to %s UTC, kept as events", what, r.Count, first.Format(time.TimeOnly), last.Format(time.TimeOnly))
	switch {
	case r.Over:
		title = fmt.Sprintf("Flood of %s is over: %d more from %s to %s UTC, kept as events", what, r.Count, first.Format(time.TimeOnly), last.Format(time.TimeOnly))
	case r.Count == 1:
		title = fmt.Sprintf("Flood of %s since %s UTC: more alerts of it are kept as events and counted", what, first.Format(time.TimeOnly))
	}
	if n := min(len(r.Samples), 2); n > 0 {
		title += ", such as " + strings.Join(r.Samples[:n], ", ")
	}
	raw, err := json.Marshal(record{clip(r.Rule.ID), clip(r.Kind), r.Count, first, last, r.Samples, r.Over})
	if err != nil { // a time outside the years that JSON can hold
		raw = nil
	}
	rule.ID, rule.Name, rule.Category = clip(rule.ID), clip(rule.Name), clip(rule.Category)
	e := proto.Event{
		ID:       proto.EventID(host, source, "", first.UnixNano(), fmt.Appendf(nil, "\nflood %s %d %t", what, r.Count, r.Over)),
		Time:     last,
		Host:     host,
		Source:   source,
		Kind:     proto.KindFlood,
		ClassUID: proto.ClassUIDDetectionFinding,
		Title:    title,
		Rule:     &rule,
		Tags:     []string{Tag},
		Raw:      raw,
	}
	e.SetSeverity(r.Severity)
	return e
}
