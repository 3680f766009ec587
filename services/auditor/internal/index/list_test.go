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
	"github.com/openclaw-security/bus/services/internal/audit"
)

func list(t *testing.T, x *index.Index, f audit.Filter, o audit.Order) []string {
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
		filter audit.Filter
		order  audit.Order
		want   string
	}{
		{"all", audit.Filter{}, audit.Order{}, "a6 a5 a4 b2 b1 a3"},
		{"oldest first", audit.Filter{}, audit.Order{OldestFirst: true}, "a3 b1 b2 a4 a5 a6"},
		{"limit", audit.Filter{}, audit.Order{Limit: 2}, "a6 a5"},
		{"after", audit.Filter{}, audit.Order{After: "a5", Limit: 2}, "a4 b2"},
		{"after, oldest first", audit.Filter{}, audit.Order{After: "a5", OldestFirst: true}, "a6"},
		{"after what is not selected", audit.Filter{Decision: proto.DecisionAllowed}, audit.Order{After: "a4"}, "b2 a3"},
		{"since", audit.Filter{Since: at(-80)}, audit.Order{}, "a6 a5 a4 b2"},
		{"since, a moment later", audit.Filter{Since: at(-80).Add(1)}, audit.Order{}, "a6 a5 a4"},
		{"until", audit.Filter{Until: at(-80)}, audit.Order{}, "b1 a3"},
		{"decision", audit.Filter{Decision: proto.DecisionBlocked}, audit.Order{}, "b1"},
		{"status", audit.Filter{Status: 200}, audit.Order{}, "a6 b2 a3"},
		{"client", audit.Filter{Client: "other"}, audit.Order{}, "b1"},
		{"provider", audit.Filter{Provider: "openai"}, audit.Order{}, "b2"},
		{"model that answered", audit.Filter{Model: "gpt-5-2025"}, audit.Order{}, "b2"},
		{"model asked for", audit.Filter{Model: "gpt-5"}, audit.Order{}, "b2"},
		{"tool", audit.Filter{Tool: "exec"}, audit.Order{}, "b1"},
		{"rule", audit.Filter{Rule: "loop"}, audit.Order{}, "b2"},
		{"severity", audit.Filter{MinSeverity: proto.SeverityMedium}, audit.Order{}, "b1"},
		{"any severity", audit.Filter{MinSeverity: proto.SeverityLow}, audit.Order{}, "b2 b1"},
		{"id", audit.Filter{IDPrefix: "b"}, audit.Order{}, "b2 b1"},
		{"interrupted", audit.Filter{Interrupted: true}, audit.Order{}, "a4"},
		{"several", audit.Filter{Client: "agent", Status: 200, Until: at(-80)}, audit.Order{}, "a3"},
		{"contradiction", audit.Filter{Rule: "loop", Tool: "exec"}, audit.Order{}, ""},
		{"no such name", audit.Filter{Tool: "' OR 1=1 --"}, audit.Order{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(list(t, x, tt.filter, tt.order), " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, err := range x.List(t.Context(), audit.Filter{}, audit.Order{After: "zz"}) {
		if !errors.Is(err, audit.ErrNotFound) {
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
	if got := list(t, x, audit.Filter{}, audit.Order{OldestFirst: true}); !slices.Equal(got, want) {
		t.Errorf("oldest first: %d listed", len(got))
	}
	if got := list(t, x, audit.Filter{}, audit.Order{OldestFirst: true, Limit: 300}); !slices.Equal(got, want[:300]) {
		t.Errorf("with a limit: %d listed", len(got))
	}
	slices.Reverse(want)
	if got := list(t, x, audit.Filter{}, audit.Order{}); !slices.Equal(got, want) {
		t.Errorf("newest first: %d listed", len(got))
	}
	for range x.List(t.Context(), audit.Filter{}, audit.Order{}) {
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
		{"ab", "", audit.ErrAmbiguous},
		{"abcdef", "", audit.ErrNotFound},
		{"%", "", audit.ErrNotFound},
		{"", "", audit.ErrNotFound},
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
