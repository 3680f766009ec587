package index_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
)

func list(t *testing.T, x *index.Index, f index.Filter, o index.Order) []string {
	t.Helper()
	var ids []string
	for r, err := range x.List(t.Context(), f, o) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.RequestID)
	}
	return ids
}

func TestList(t *testing.T) {
	x, _ := open(t)
	var l tape
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	blocked := end("b1", at(-90))
	blocked.Decision, blocked.Status, blocked.Client = proto.DecisionBlocked, 403, "other"
	blocked.Severity = proto.SeverityHigh
	blocked.ToolCalls = []proto.ToolCall{{Name: "exec"}, {Name: "exec"}}
	blocked.Findings = []proto.Finding{{Rule: "secret", Severity: proto.SeverityHigh}, {Rule: "secret", Severity: proto.SeverityLow}}
	gpt := end("b2", at(-80))
	gpt.Provider, gpt.RequestModel, gpt.ResponseModel = "openai", "gpt-5", "gpt-5-2025"
	gpt.Severity = proto.SeverityLow
	gpt.Findings = []proto.Finding{{Rule: "loop", Severity: proto.SeverityLow}}
	for _, a := range []proto.Audit{start("a4", at(-70)), start("a5", at(-10)), end("a3", at(-100)), blocked, gpt, end("a6", at(-10))} {
		l.add(t, a)
	}
	fill(t, x, l)
	tests := []struct {
		name   string
		filter index.Filter
		order  index.Order
		want   string
	}{
		{"all", index.Filter{}, index.Order{}, "a6 a5 a4 b2 b1 a3"},
		{"oldest first", index.Filter{}, index.Order{OldestFirst: true}, "a3 b1 b2 a4 a5 a6"},
		{"limit", index.Filter{}, index.Order{Limit: 2}, "a6 a5"},
		{"after", index.Filter{}, index.Order{After: "a5", Limit: 2}, "a4 b2"},
		{"after, oldest first", index.Filter{}, index.Order{After: "a5", OldestFirst: true}, "a6"},
		{"after what is not selected", index.Filter{Decision: proto.DecisionAllowed}, index.Order{After: "a4"}, "b2 a3"},
		{"since", index.Filter{Since: at(-80)}, index.Order{}, "a6 a5 a4 b2"},
		{"since, a moment later", index.Filter{Since: at(-80).Add(1)}, index.Order{}, "a6 a5 a4"},
		{"until", index.Filter{Until: at(-80)}, index.Order{}, "b1 a3"},
		{"decision", index.Filter{Decision: proto.DecisionBlocked}, index.Order{}, "b1"},
		{"status", index.Filter{Status: 200}, index.Order{}, "a6 b2 a3"},
		{"client", index.Filter{Client: "other"}, index.Order{}, "b1"},
		{"provider", index.Filter{Provider: "openai"}, index.Order{}, "b2"},
		{"model that answered", index.Filter{Model: "gpt-5-2025"}, index.Order{}, "b2"},
		{"model asked for", index.Filter{Model: "gpt-5"}, index.Order{}, "b2"},
		{"tool", index.Filter{Tool: "exec"}, index.Order{}, "b1"},
		{"rule", index.Filter{Rule: "loop"}, index.Order{}, "b2"},
		{"severity", index.Filter{MinSeverity: proto.SeverityMedium}, index.Order{}, "b1"},
		{"any severity", index.Filter{MinSeverity: proto.SeverityLow}, index.Order{}, "b2 b1"},
		{"id", index.Filter{IDPrefix: "b"}, index.Order{}, "b2 b1"},
		{"interrupted", index.Filter{Interrupted: true}, index.Order{}, "a4"},
		{"several", index.Filter{Client: "agent", Status: 200, Until: at(-80)}, index.Order{}, "a3"},
		{"contradiction", index.Filter{Rule: "loop", Tool: "exec"}, index.Order{}, ""},
		{"no such name", index.Filter{Tool: "' OR 1=1 --"}, index.Order{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(list(t, x, tt.filter, tt.order), " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, err := range x.List(t.Context(), index.Filter{}, index.Order{After: "zz"}) {
		if !errors.Is(err, index.ErrNotFound) {
			t.Errorf("after a request that is not there: %v", err)
		}
	}
}

func TestListGoesOnFromPageToPage(t *testing.T) {
	x, _ := open(t)
	var l tape
	var want []string
	for i := range 1000 {
		id := fmt.Sprintf("r%04d", i)
		want = append(want, id)
		l.add(t, end(id, noon.Add(time.Duration(i/300)*time.Second))) // many at once
	}
	fill(t, x, l)
	if got := list(t, x, index.Filter{}, index.Order{OldestFirst: true}); !slices.Equal(got, want) {
		t.Errorf("oldest first: %d listed", len(got))
	}
	if got := list(t, x, index.Filter{}, index.Order{OldestFirst: true, Limit: 300}); !slices.Equal(got, want[:300]) {
		t.Errorf("with a limit: %d listed", len(got))
	}
	slices.Reverse(want)
	if got := list(t, x, index.Filter{}, index.Order{}); !slices.Equal(got, want) {
		t.Errorf("newest first: %d listed", len(got))
	}
	for range x.List(t.Context(), index.Filter{}, index.Order{}) {
		// A list that is left, or whose reader writes, holds nobody up.
		l.add(t, end("late", noon.Add(-time.Hour)))
		fill(t, x, l)
		break
	}
}

func TestGet(t *testing.T) {
	x, _ := open(t)
	var l tape
	for _, id := range []string{"abc", "abcd", "abce", "b%", "b_1", "ü1"} {
		l.add(t, end(id, noon))
	}
	fill(t, x, l)
	tests := []struct {
		id   string
		want string
		err  error
	}{
		{"abc", "abc", nil},
		{"abcd", "abcd", nil},
		{"b_", "b_1", nil},
		{"b%", "b%", nil},
		{"ü", "ü1", nil},
		{"ab", "", index.ErrAmbiguous},
		{"abcdef", "", index.ErrNotFound},
		{"%", "", index.ErrNotFound},
		{"", "", index.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			r, err := x.Get(t.Context(), tt.id)
			if r.RequestID != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v", r.RequestID, err)
			}
		})
	}
}
