package trail_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/trail"
)

var begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// experienced is a watch that has learned, with hours of 10,000 tokens each.
func experienced() *trail.Watch {
	past := trail.State{
		First: begin.Add(-30 * 24 * time.Hour), Requests: 1000,
		Uses:  []trail.Use{{Client: "agent", Tool: "read", Last: begin}},
		Hours: make(map[time.Time]int64),
	}
	for h := range 24 {
		past.Hours[begin.Add(-time.Duration(h+1)*time.Hour)] = 10_000
	}
	return trail.New("box1", past)
}

func request(id, client string, tools ...string) *proto.Audit {
	a := &proto.Audit{RequestID: id, Phase: proto.PhaseEnd, Client: client, RequestModel: "m"}
	for _, tool := range tools {
		a.ToolCalls = append(a.ToolCalls, proto.ToolCall{Name: tool})
	}
	return a
}

func TestFirstSeen(t *testing.T) {
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprint("tool", i)
	}
	tests := []struct {
		name    string
		request *proto.Audit
		title   string // "" for no event
		named   int
	}{
		{"a known tool", request("r", "agent", "read"), "", 0},
		{"no tool", request("r", "agent"), "", 0},
		{"a new tool", request("r", "agent", "read", "exec", "exec"), "First call by agent of exec", 1},
		{"a known tool of another client", request("r", "other", "read"), "First call by other of read", 1},
		{"a nameless tool of a nameless client", request("r", "", ""), "First call by an unnamed client of unnamed", 1},
		{"many", request("r", "agent", many...), "First call by agent of tool0, tool1, tool2 and 27 more", 20},
		{"a long name", request("r", "agent", strings.Repeat("ü", 100)), "First call by agent of " + strings.Repeat("ü", 64) + "…", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := experienced()
			events := w.End(begin, tt.request)
			if tt.title == "" {
				if len(events) > 0 {
					t.Errorf("told %q", events[0].Title)
				}
				return
			}
			if len(events) != 1 {
				t.Fatalf("%d events", len(events))
			}
			e := events[0]
			var raw struct{ Tools []string }
			if err := json.Unmarshal(e.Raw, &raw); err != nil || len(raw.Tools) != tt.named {
				t.Errorf("raw %s, %v", e.Raw, err)
			}
			if e.Title != tt.title || e.Kind != "first-seen" || e.Source != "auditor" || e.Severity != proto.SeverityLow || e.SeverityID != 2 ||
				e.Host != "box1" || !e.Time.Equal(begin) || e.ID != proto.AuditID("r", "first-seen") {
				t.Errorf("got %+v", e)
			}
			if err := e.Subject().Validate(); err != nil || e.Subject().Stored() != "security.alert.box1.auditor.first-seen.low" {
				t.Errorf("subject %s, %v", e.Subject().Stored(), err)
			}
			if again := w.End(begin, tt.request); len(again) > 0 {
				t.Errorf("told again: %q", again[0].Title)
			}
		})
	}
}

func TestNothingIsToldWhileLearning(t *testing.T) {
	tests := []struct {
		name  string
		every time.Duration
		first int // the request that is told of
	}{
		{"many requests take their time", time.Minute, 24 * 60},
		{"few requests take their number", 24 * time.Hour, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := trail.New("box1", trail.State{})
			for i := range 2000 {
				events := w.End(begin.Add(time.Duration(i)*tt.every), request(fmt.Sprint(i), "agent", fmt.Sprint("tool", i)))
				if (len(events) > 0) != (i >= tt.first) {
					t.Fatalf("request %d: %d events", i, len(events))
				}
			}
		})
	}
}

func TestPairsAreBounded(t *testing.T) {
	w := experienced()
	for i := range 5000 {
		w.End(begin.Add(time.Duration(i+1)*time.Millisecond), request(fmt.Sprint(i), "agent", fmt.Sprint("tool", i)))
	}
	at := begin.Add(time.Minute)
	if events := w.End(at, request("a", "agent", "tool4999", "tool1000")); len(events) > 0 {
		t.Errorf("forgot what was used lately: %q", events[0].Title)
	}
	if events := w.End(at, request("b", "agent", "tool0")); len(events) != 1 {
		t.Error("remembers more than it may")
	}
}

func spend(tokens int64) *proto.Audit {
	a := request("r", "agent")
	a.Usage = &proto.Usage{Input: tokens - 1000, Output: 1000}
	return a
}

func TestTokenBurst(t *testing.T) {
	tests := []struct {
		name   string
		past   func(hours map[time.Time]int64)
		tokens []int64
		told   []bool
	}{
		{"usual", nil, []int64{10_000}, []bool{false}},
		{"up to the floor", nil, []int64{200_000}, []bool{false}},
		{"above the floor, once an hour", nil, []int64{150_000, 50_001, 500_000}, []bool{false, true, false}},
		{"up to the factor", func(hours map[time.Time]int64) {
			for h := range hours {
				hours[h] = 100_000
			}
		}, []int64{500_000, 5}, []bool{false, true}},
		{"one busy hour is not usual", func(hours map[time.Time]int64) { hours[begin.Add(-time.Hour)] = 1 << 40 }, []int64{300_000}, []bool{true}},
		{"too little to compare with", func(hours map[time.Time]int64) { delete(hours, begin.Add(-time.Hour)) }, []int64{300_000}, []bool{false}},
		{"idle hours do not compare", func(hours map[time.Time]int64) { hours[begin.Add(-time.Hour)] = 0 }, []int64{300_000}, []bool{false}},
		{"hours of long ago do not compare", func(hours map[time.Time]int64) {
			delete(hours, begin.Add(-time.Hour))
			hours[begin.Add(-169*time.Hour)] = 10_000
		}, []int64{300_000}, []bool{false}},
		{"forged counts", nil, []int64{1 << 62, 1 << 62, -1 << 62}, []bool{true, false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			past := trail.State{First: begin, Requests: 1000, Hours: make(map[time.Time]int64)}
			for h := range 24 {
				past.Hours[begin.Add(-time.Duration(h+1)*time.Hour)] = 10_000
			}
			if tt.past != nil {
				tt.past(past.Hours)
			}
			w := trail.New("box1", past)
			for i, tokens := range tt.tokens {
				events := w.End(begin.Add(time.Duration(i)*time.Minute), spend(tokens))
				if (len(events) > 0) != tt.told[i] {
					t.Fatalf("record %d: %d events", i, len(events))
				}
			}
		})
	}
}

func TestTokenBurstEvent(t *testing.T) {
	at := begin.Add(30 * time.Minute)
	first, second := experienced().End(at, spend(300_000)), experienced().End(at.Add(time.Minute), spend(400_000))
	if len(first) != 1 || len(second) != 1 {
		t.Fatal(first, second)
	}
	e := first[0]
	if e.Title != "300000 tokens in an hour, where 10000 are usual" || e.Subject().Stored() != "security.alert.box1.auditor.token-burst.medium" {
		t.Errorf("got %+v", e)
	}
	if e.ID != second[0].ID {
		t.Error("the same hour has two ids")
	}
	var raw map[string]any
	want := map[string]any{"hour": "2026-11-01T00:00:00Z", "tokens": 300000., "median": 10000., "factor": 5., "floor": 200000.}
	if err := json.Unmarshal(e.Raw, &raw); err != nil || !reflect.DeepEqual(raw, want) {
		t.Errorf("raw %s, %v", e.Raw, err)
	}
	w := experienced()
	w.End(at, spend(300_000))
	if next := w.End(at.Add(time.Hour), spend(300_000)); len(next) != 1 || next[0].ID == e.ID {
		t.Error("the next hour is not told of, or by the same id")
	}
}
