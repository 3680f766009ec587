package anomaly_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/anomaly"
)

var begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// experienced is a watch that has learned, with hours of 10,000 tokens each.
func experienced() *anomaly.Watch {
	past := anomaly.State{
		First: begin.Add(-30 * 24 * time.Hour), Requests: 1000,
		Uses:  []anomaly.Use{{Client: "agent", Tool: "read", Last: begin}},
		Hours: make(map[time.Time]int64),
	}
	for h := range 24 {
		past.Hours[begin.Add(-time.Duration(h+1)*time.Hour)] = 10_000
	}
	return anomaly.New("box1", past)
}

func request(id, client string, tools ...string) anomaly.Record {
	return anomaly.Record{Stored: begin, RequestID: id, Client: client, Model: "m", Tools: tools}
}

func at(stored time.Time, r anomaly.Record) anomaly.Record {
	r.Stored = stored
	return r
}

func TestFirstSeen(t *testing.T) {
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprint("tool", i)
	}
	tests := []struct {
		name    string
		request anomaly.Record
		title   string // "" for no finding
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
			findings := w.Add(tt.request)
			if tt.title == "" {
				if len(findings) > 0 {
					t.Errorf("found %q", findings[0].Title)
				}
				return
			}
			if len(findings) != 1 {
				t.Fatalf("%d findings", len(findings))
			}
			f := findings[0]
			var detail struct{ Tools []string }
			if err := json.Unmarshal(f.Detail, &detail); err != nil || len(detail.Tools) != tt.named {
				t.Errorf("detail %s, %v", f.Detail, err)
			}
			if f.Title != tt.title || f.Kind != "first-seen" || f.Severity != proto.SeverityLow || !f.Time.Equal(begin) || f.Key != "r" {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestNothingIsFoundWhileLearning(t *testing.T) {
	tests := []struct {
		name  string
		every time.Duration
		first int // the request with the first finding
	}{
		{"many requests take their time", time.Minute, 24 * 60},
		{"few requests take their number", 24 * time.Hour, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := anomaly.New("box1", anomaly.State{})
			for i := range 2000 {
				findings := w.Add(at(begin.Add(time.Duration(i)*tt.every), request(fmt.Sprint(i), "agent", fmt.Sprint("tool", i))))
				if (len(findings) > 0) != (i >= tt.first) {
					t.Fatalf("request %d: %d findings", i, len(findings))
				}
			}
		})
	}
}

func TestPairsAreBounded(t *testing.T) {
	w := experienced()
	for i := range 5000 {
		w.Add(at(begin.Add(time.Duration(i+1)*time.Millisecond), request(fmt.Sprint(i), "agent", fmt.Sprint("tool", i))))
	}
	minute := begin.Add(time.Minute)
	if findings := w.Add(at(minute, request("a", "agent", "tool4999", "tool1000"))); len(findings) > 0 {
		t.Errorf("forgot what was used lately: %q", findings[0].Title)
	}
	if findings := w.Add(at(minute, request("b", "agent", "tool0"))); len(findings) != 1 {
		t.Error("remembers more than it may")
	}
}

func spend(stored time.Time, tokens int64) anomaly.Record {
	return anomaly.Record{Stored: stored, RequestID: "r", Client: "agent", Model: "m", InputTokens: tokens - 1000, OutputTokens: 1000}
}

func TestTokenBurst(t *testing.T) {
	tests := []struct {
		name   string
		past   func(hours map[time.Time]int64)
		tokens []int64
		found  []bool
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
			past := anomaly.State{First: begin, Requests: 1000, Hours: make(map[time.Time]int64)}
			for h := range 24 {
				past.Hours[begin.Add(-time.Duration(h+1)*time.Hour)] = 10_000
			}
			if tt.past != nil {
				tt.past(past.Hours)
			}
			w := anomaly.New("box1", past)
			for i, tokens := range tt.tokens {
				findings := w.Add(spend(begin.Add(time.Duration(i)*time.Minute), tokens))
				if (len(findings) > 0) != tt.found[i] {
					t.Fatalf("record %d: %d findings", i, len(findings))
				}
			}
		})
	}
}

func TestTokenBurstFinding(t *testing.T) {
	half := begin.Add(30 * time.Minute)
	first, second := experienced().Add(spend(half, 300_000)), experienced().Add(spend(half.Add(time.Minute), 400_000))
	if len(first) != 1 || len(second) != 1 {
		t.Fatal(first, second)
	}
	f := first[0]
	if f.Title != "300000 tokens in an hour, where 10000 are usual" || f.Kind != "token-burst" || f.Severity != proto.SeverityMedium || f.Key != "2026-11-01T00:00:00Z box1" {
		t.Errorf("got %+v", f)
	}
	if f.Key != second[0].Key {
		t.Error("the same hour has two keys")
	}
	var detail map[string]any
	want := map[string]any{"hour": "2026-11-01T00:00:00Z", "tokens": 300000., "median": 10000., "factor": 5., "floor": 200000.}
	if err := json.Unmarshal(f.Detail, &detail); err != nil || !reflect.DeepEqual(detail, want) {
		t.Errorf("detail %s, %v", f.Detail, err)
	}
	w := experienced()
	w.Add(spend(half, 300_000))
	if next := w.Add(spend(half.Add(time.Hour), 300_000)); len(next) != 1 || next[0].Key == f.Key {
		t.Error("the next hour is not found, or has the same key")
	}
}
