package flood

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
)

var begin = time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC)

// rig is a Folder with a clock.
type rig struct {
	*Folder
	clock time.Time
}

func newRig(limit int) *rig {
	r := &rig{clock: begin}
	r.Folder = New(limit, func() time.Time { return r.clock })
	return r
}

func event(at time.Time, rule string, severity proto.Severity) *proto.Event {
	e := &proto.Event{
		ID: "id", Time: at, Host: "box", Source: "suricata", Kind: "alert", Title: "it",
		Src: &proto.Endpoint{IP: "172.17.0.2"}, Dst: &proto.Endpoint{IP: "91.92.242.30"}, Tags: []string{"mine"},
	}
	if rule != "" {
		e.Rule = &proto.Rule{ID: rule, Name: "name of " + rule}
	}
	e.SetSeverity(severity)
	return e
}

// alerts passes n alerts of a rule, spread over d from at on, and returns how many
// were folded.
func (r *rig) alerts(n int, rule string, at time.Time, d time.Duration) (folded int) {
	for i := range n {
		when := at.Add(d * time.Duration(i) / time.Duration(n))
		if when.After(r.clock) {
			r.clock = when
		}
		if r.Fold(event(when, rule, proto.SeverityHigh)) {
			folded++
		}
	}
	return folded
}

func said(reports []Report) (all []string) {
	for _, r := range reports {
		s := fmt.Sprint(r.Rule.ID, " ", r.Count)
		if r.Over {
			s += " over"
		}
		all = append(all, s)
	}
	return all
}

// What is folded keeps everything but its severity, which its tags name.
func TestWhatIsFolded(t *testing.T) {
	r := newRig(1)
	passes, folded := event(begin, "1", proto.SeverityCritical), event(begin, "1", proto.SeverityCritical)
	tags := folded.Tags
	if r.Fold(passes) || passes.Severity != proto.SeverityCritical || len(passes.Tags) != 1 {
		t.Errorf("the first: %+v", passes)
	}
	if !r.Fold(folded) || folded.Subject().Class != proto.ClassEvent || folded.ID != "id" || !slices.Equal(folded.Tags, []string{"mine", "flood", "was-critical"}) || folded.SeverityID != 1 {
		t.Errorf("the second: %+v", folded)
	}
	if !slices.Equal(tags, []string{"mine"}) {
		t.Errorf("the list that was shared became %q", tags)
	}
	if telemetry := event(begin, "1", proto.SeverityInfo); r.Fold(telemetry) || len(telemetry.Tags) != 1 {
		t.Errorf("telemetry: %+v", telemetry)
	}
	if r.Folded() != 1 {
		t.Errorf("folded %d", r.Folded())
	}
}

// Rules are counted each by itself, alerts without a rule by kind.
func TestOneRuleDoesNotFoldAnother(t *testing.T) {
	r := newRig(200)
	if n := r.alerts(5000, "flooding", begin, 30*time.Second); n != 4800 {
		t.Errorf("folded %d of 5000", n)
	}
	for _, rule := range []string{"other", ""} {
		if n := r.alerts(200, rule, begin.Add(30*time.Second), time.Second); n != 0 {
			t.Errorf("folded %d of 200 of rule %q", n, rule)
		}
	}
	critical := event(begin.Add(31*time.Second), "rare", proto.SeverityCritical)
	if r.Fold(critical) {
		t.Error("a single critical alert of another rule was folded")
	}
}

func TestReports(t *testing.T) {
	minute := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Minute) }
	for name, tt := range map[string]struct {
		minutes []int // alerts in each
		folded  int
		want    []string
	}{
		"below the limit for long":    {[]int{10, 10, 10, 10}, 0, nil},
		"one minute":                  {[]int{25}, 15, []string{"1 1", "1 15 over"}},
		"a flood that goes on":        {[]int{25, 25, 25}, 65, []string{"1 1", "1 15", "1 40", "1 65 over"}},
		"a quiet minute ends it":      {[]int{25, 10, 10}, 25, []string{"1 1", "1 15", "1 25 over"}},
		"a minute of nothing ends it": {[]int{25, 0, 10}, 15, []string{"1 1", "1 15 over"}},
		"another flood":               {[]int{25, 5, 25}, 35, []string{"1 1", "1 15", "1 20 over", "1 1", "1 15 over"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(10)
			folded := 0
			var got []string
			for i, n := range tt.minutes {
				folded += r.alerts(n, "1", minute(i), time.Minute)
				got = append(got, said(r.Reports())...)
			}
			r.clock = minute(len(tt.minutes) + 2)
			got = append(got, said(r.Reports())...)
			if folded != tt.folded || !slices.Equal(got, tt.want) {
				t.Errorf("folded %d, reports %q", folded, got)
			}
			if r.Reports() != nil || len(r.rules) != 0 {
				t.Errorf("%d rules are left", len(r.rules))
			}
		})
	}
}

// A backlog is folded by when its alerts arose, not by when they are read.
func TestABacklog(t *testing.T) {
	r := newRig(200)
	r.clock = begin.Add(24 * time.Hour)
	for m := range 60 {
		if n := r.alerts(100, "slow", begin.Add(time.Duration(m)*time.Minute), time.Minute); n != 0 {
			t.Fatalf("folded %d", n)
		}
		if n := r.alerts(1000, "fast", begin.Add(time.Duration(m)*time.Minute), time.Minute); n < 800 {
			t.Fatalf("folded %d of 1000", n)
		}
	}
	if reports := r.Reports(); len(reports) != 60 {
		t.Errorf("%d reports", len(reports))
	}
}

// Times that are not to be believed fold nothing that follows.
func TestOddTimes(t *testing.T) {
	r := newRig(2)
	for _, odd := range []time.Time{begin.Add(1000 * time.Hour), begin.Add(-1000 * time.Hour), {}} {
		r.alerts(0, "1", begin, 0)
		r.Fold(event(odd, "1", proto.SeverityHigh))
		r.clock = r.clock.Add(2 * time.Minute)
		if n := r.alerts(2, "1", r.clock, time.Second); n != 0 {
			t.Errorf("after %s, %d of 2 were folded", odd, n)
		}
	}
	// Those that come a little out of order count together.
	r = newRig(2)
	r.clock = begin.Add(time.Hour)
	folded := 0
	for i := range 10 {
		if r.Fold(event(begin.Add(-time.Duration(i%2)*time.Minute), "1", proto.SeverityHigh)) {
			folded++
		}
	}
	if folded != 8 {
		t.Errorf("folded %d of 10", folded)
	}
}

// However many rules there are, memory is bounded, and nothing passes unbounded.
func TestManyRules(t *testing.T) {
	r := newRig(1)
	passed := 0
	for i := range 10 * maxRules {
		if !r.Fold(event(begin, fmt.Sprint(i), proto.SeverityHigh)) {
			passed++
		}
	}
	if passed != maxRules+1 || len(r.rules) != maxRules+1 {
		t.Errorf("%d passed, %d rules are counted", passed, len(r.rules))
	}
	if off := newRig(0); off.alerts(1000, "1", begin, time.Second) != 0 {
		t.Error("folded without a limit")
	}
}

func TestEvent(t *testing.T) {
	r := newRig(1)
	r.clock = begin.Add(time.Minute)
	long := strings.Repeat("é", 500)
	e := event(begin, long, proto.SeverityMedium)
	r.Fold(e)
	for i, severity := range []proto.Severity{proto.SeverityMedium, proto.SeverityCritical, proto.SeverityLow} {
		e := event(begin.Add(time.Duration(i)*time.Second), long, severity)
		e.Src.IP = fmt.Sprintf("10.0.0.%d", i)
		r.Fold(e)
	}
	r.clock = begin.Add(time.Hour)
	reports := r.Reports()
	if len(reports) != 2 {
		t.Fatalf("reports %+v", reports)
	}
	got := reports[1].Event("box", "suricata")
	if got.Severity != proto.SeverityCritical || got.Kind != proto.KindFlood || got.Subject().Class != proto.ClassAlert || !got.Time.Equal(begin.Add(2*time.Second)) {
		t.Errorf("the event is %+v", got)
	}
	for _, want := range []string{"is over: 3 more from 18:00:00 to 18:00:02 UTC", "10.0.0.0 → 91.92.242.30, 10.0.0.1 → 91.92.242.30"} {
		if !strings.Contains(got.Title, want) {
			t.Errorf("title %q lacks %q", got.Title, want)
		}
	}
	var raw record
	if err := json.Unmarshal(got.Raw, &raw); err != nil || raw.Count != 3 || len(raw.Samples) != 3 || !raw.Over {
		t.Errorf("raw %s, %v", got.Raw, err)
	}
	if payload := got.AppendJSON(nil); len(payload) > 4096 {
		t.Errorf("it takes %d bytes", len(payload))
	}
	if again := reports[1].Event("box", "suricata"); again.ID != got.ID || reports[0].Event("box", "suricata").ID == got.ID {
		t.Error("ids do not follow from what is said")
	}
}

// For any events in any order: of a rule, no more than the limit pass in a minute
// of the clock while events have its time, and what is counted is what was folded.
func TestRandomFloods(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		limit := 1 + random.IntN(20)
		r := newRig(limit)
		passed := make(map[string]int) // by rule and minute
		folded := make(map[string]int64)
		reported := make(map[string]int64)
		count := func() {
			for _, report := range r.Reports() {
				if report.Over {
					reported[report.Rule.ID] += report.Count
				}
			}
		}
		for range 500 {
			r.clock = r.clock.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
			rule := fmt.Sprint(random.IntN(3))
			if r.Fold(event(r.clock, rule, proto.SeverityLow)) {
				folded[rule]++
			} else if passed[rule+r.clock.Truncate(window).String()]++; passed[rule+r.clock.Truncate(window).String()] > limit {
				t.Fatalf("more than %d passed", limit)
			}
			if random.IntN(10) == 0 {
				count()
			}
		}
		r.clock = r.clock.Add(time.Hour)
		count()
		for rule, n := range folded {
			if reported[rule] != n {
				t.Fatalf("rule %s: folded %d, reported %d", rule, n, reported[rule])
			}
		}
	}
}
