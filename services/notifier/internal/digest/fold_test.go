package digest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func one(severity proto.Severity, source, rule, entity, id string, after time.Duration) Alert {
	return Alert{Key: Key{severity, source, rule, entity}, ID: id, Time: noon.Add(after), Signature: rule}
}

func TestFold(t *testing.T) {
	got := Fold([]Alert{
		one(proto.SeverityHigh, "suricata", "scan", "10.0.0.1", "1", 3*time.Second),
		one(proto.SeverityCritical, "tracee", "escape", "agent", "2", 2*time.Second),
		one(proto.SeverityHigh, "suricata", "scan", "10.0.0.1", "3", time.Second),
		one(proto.SeverityCritical, "tracee", "escape", "agent", "4", time.Second),
		one(proto.SeverityCritical, "tracee", "keys", "agent", "5", 0),
		one(proto.SeverityLow, "suricata", "scan", "10.0.0.1", "6", 0),
	})
	want := Digest{
		Total:      6,
		Severities: proto.SeverityCounts{Critical: 3, High: 2, Low: 1},
		Sources:    []Count{{"suricata", 3}, {"tracee", 3}},
		Groups: []Group{
			{proto.SeverityCritical, "tracee", "escape", "agent", 2, noon.Add(time.Second), noon.Add(2 * time.Second)},
			{proto.SeverityCritical, "tracee", "keys", "agent", 1, noon, noon},
			{proto.SeverityHigh, "suricata", "scan", "10.0.0.1", 2, noon.Add(time.Second), noon.Add(3 * time.Second)},
			{proto.SeverityLow, "suricata", "scan", "10.0.0.1", 1, noon, noon},
		},
		Criticals: []Critical{
			{"5", noon, "tracee", "keys", "agent", 1, 1, signature{origin{"", "tracee"}, "keys"}, 0},
			{"4", noon.Add(time.Second), "tracee", "escape", "agent", 2, 2, signature{origin{"", "tracee"}, "escape"}, 1},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The largest groups are listed, and the rest is counted.
func TestFoldBoundsGroups(t *testing.T) {
	var alerts []Alert
	for i := range MaxGroups + 100 {
		for range 1 + i%3 {
			alerts = append(alerts, one(proto.SeverityCritical, "s", fmt.Sprint("rule ", i), "e", fmt.Sprint(i), 0))
		}
	}
	d := Fold(alerts)
	if len(d.Groups) != MaxGroups || d.OtherGroups != 100 || len(d.Criticals) != MaxCriticals {
		t.Errorf("%d groups, %d others, %d criticals", len(d.Groups), d.OtherGroups, len(d.Criticals))
	}
	if d.OtherAlerts != 100 || d.Groups[0].Count != 3 {
		t.Errorf("%d other alerts, %d in the largest group", d.OtherAlerts, d.Groups[0].Count)
	}
	check(t, alerts, d)
}

// Sources take turns: one that makes up rules, titles and entities fills no digest.
func TestSourcesTakeTurns(t *testing.T) {
	for name, madeUp := range map[string]func(i int) Alert{
		"rules": func(i int) Alert {
			return one(proto.SeverityCritical, "stolen", fmt.Sprint("rule ", i), "e", fmt.Sprint(i), 0)
		},
		"titles": func(i int) Alert {
			a := one(proto.SeverityCritical, "stolen", fmt.Sprint("title ", i), "e", fmt.Sprint(i), 0)
			a.Signature = "one"
			return a
		},
		"rules of the other host": func(i int) Alert {
			a := one(proto.SeverityCritical, "suricata", fmt.Sprint("rule ", i), "e", fmt.Sprint(i), 0)
			a.Host = "box2"
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			var alerts []Alert
			for i := range 3 * MaxCriticals {
				alerts = append(alerts, madeUp(i))
			}
			for i := range 5 { // frequent, and last
				for entity := range 4 {
					alerts = append(alerts, one(proto.SeverityCritical, "suricata", fmt.Sprint("real ", i), fmt.Sprint(entity), fmt.Sprint("r", i, entity), time.Hour))
				}
			}
			d := Fold(alerts)
			check(t, alerts, d)
			seen := 0
			for i, c := range d.Criticals {
				if strings.HasPrefix(c.Rule, "real ") {
					if seen++; seen <= 5 && i >= 10 {
						t.Errorf("%s is in place %d", c.Rule, i)
					}
				}
			}
			if want := map[string]int{"titles": 20}[name]; seen < max(want, 5) {
				t.Errorf("%d of the real ones are named", seen)
			}
		})
	}
}

// check compares the counts of a digest with a count by hand.
func check(t *testing.T, alerts []Alert, d Digest) {
	t.Helper()
	groups := make(map[Key]int)
	sources := make(map[string]int)
	bySeverity := make(map[proto.Severity]int)
	for _, a := range alerts {
		groups[a.Key]++
		sources[a.Source]++
		bySeverity[a.Severity]++
	}
	total := d.OtherAlerts
	for _, g := range d.Groups {
		total += g.Count
		if n := groups[Key{g.Severity, g.Source, g.Rule, g.Entity}]; g.Count != n {
			t.Errorf("group %+v, want %d", g, n)
		}
		if g.Last.Before(g.First) {
			t.Errorf("group %+v ends before it begins", g)
		}
	}
	if total != len(alerts) || d.Total != len(alerts) || len(d.Groups)+d.OtherGroups != len(groups) {
		t.Errorf("%d alerts in %d and %d groups, Total %d, want %d in %d", total, len(d.Groups), d.OtherGroups, d.Total, len(alerts), len(groups))
	}
	want := proto.SeverityCounts{Critical: bySeverity[proto.SeverityCritical], High: bySeverity[proto.SeverityHigh], Medium: bySeverity[proto.SeverityMedium], Low: bySeverity[proto.SeverityLow]}
	if d.Severities != want {
		t.Errorf("severities %+v, want %+v", d.Severities, want)
	}
	if len(d.Sources) != len(sources) {
		t.Errorf("%d sources, want %d", len(d.Sources), len(sources))
	}
	for _, s := range d.Sources {
		if s.Count != sources[s.Name] {
			t.Errorf("source %+v, want %d", s, sources[s.Name])
		}
	}
	named := 0
	for i, c := range d.Criticals {
		named += c.Count
		if i == 0 {
			continue
		}
		switch last := d.Criticals[i-1]; {
		case last.Of == 0 && c.Of > 0, (last.Of > 0) == (c.Of > 0) && c.turn < last.turn:
			t.Errorf("critical %+v comes after %+v", c, last)
		}
		for _, before := range d.Criticals[:i] {
			if before.signature.origin == c.signature.origin && (before.Of == 0 && c.Time.Before(before.Time) || c.Of > 0 && c.Of < before.Of) {
				t.Errorf("critical %+v of an origin comes after %+v", c, before)
			}
		}
	}
	if len(d.Criticals) < MaxCriticals && named != want.Critical {
		t.Errorf("%d criticals are named, want %d", named, want.Critical)
	}
}

// Whatever comes in whatever order, the totals are exact, and the order of
// what is equal does not matter.
func FuzzFold(f *testing.F) {
	f.Add([]byte("aaaaaaaabbbbbbbbccccccc"), uint64(1))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255}, uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		var alerts []Alert
		for i := 0; i+3 < len(data); i += 4 {
			alerts = append(alerts, one(proto.Severity(data[i]%5), fmt.Sprint(data[i+1]%4), fmt.Sprint(data[i+2]), fmt.Sprint(data[i+3]%8), fmt.Sprint(i), time.Duration(data[i])*time.Second))
		}
		d := Fold(alerts)
		check(t, alerts, d)
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(alerts), func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
		if again := Fold(alerts); !reflect.DeepEqual(d.Groups, again.Groups) || !reflect.DeepEqual(d.Sources, again.Sources) {
			t.Error("another order gives other groups")
		}
	})
}

func TestDescribe(t *testing.T) {
	event := func(change func(*proto.Event)) *proto.Event {
		e := &proto.Event{
			ID: "1", Time: noon, Host: "box1", Source: "suricata", Title: "scan",
			Src:       &proto.Endpoint{IP: "10.0.0.1"},
			Process:   &proto.Process{Name: "curl", Executable: "/usr/bin/curl"},
			Container: &proto.Container{ID: "0123456789abcdef", Name: "agent"},
		}
		change(e)
		return e
	}
	for _, test := range []struct {
		name   string
		change func(*proto.Event)
		entity string
	}{
		{"container", func(*proto.Event) {}, "agent"},
		{"container without name", func(e *proto.Event) { e.Container.Name = "" }, "0123456789ab"},
		{"process", func(e *proto.Event) { e.Container = nil }, "/usr/bin/curl"},
		{"address", func(e *proto.Event) { e.Container, e.Process = nil, &proto.Process{} }, "10.0.0.1"},
		{"host", func(e *proto.Event) { e.Container, e.Process, e.Src = nil, nil, nil }, "box1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Describe(event(test.change))
			if got.Entity != test.entity || got.Rule != "scan" || got.Source != "suricata" || got.ID != "1" || !got.Time.Equal(noon) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestDescribeBounds(t *testing.T) {
	long := strings.Repeat("ä", 10000) + "\xff"
	a := Describe(&proto.Event{ID: long, Host: long, Source: long, Title: "x" + long})
	for _, s := range []string{a.ID, a.Source, a.Rule, a.Entity} {
		if len(s) > maxText || !utf8.ValidString(s) {
			t.Errorf("%d bytes, valid %t", len(s), utf8.ValidString(s))
		}
	}
}
