package detect

import (
	"fmt"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
)

func offers(tools ...string) *inspect.Request {
	var r inspect.Request
	for i := 0; i < len(tools); i += 2 {
		r.Tools = append(r.Tools, inspect.Tool{Name: tools[i], Definition: []byte(tools[i+1])})
	}
	return &r
}

func TestToolDrift(t *testing.T) {
	const changed, twice = "a tool whose definition has changed", "two tools of one name"
	type step struct {
		client  string
		request *inspect.Request
		observe string
		enforce string
	}
	tests := map[string][]step{
		"unchanged": {
			{"a", offers("x", "1", "y", "2"), "", ""},
			{"a", offers("y", "2", "x", "1"), "", ""},
		},
		"changed, kept and changed back": {
			{"a", offers("x", "1"), "", ""},
			{"a", offers("x", "2"), changed, changed},
			{"a", offers("x", "2"), "", changed},
			{"a", offers("x", "1"), "", ""},
			{"a", offers("x", "3"), changed, changed},
		},
		"to and fro": {
			{"a", offers("x", "1"), "", ""},
			{"a", offers("x", "2"), changed, changed},
			{"a", offers("x", "1"), "", ""},
			{"a", offers("x", "2"), "", changed},
			{"a", offers("x", "3"), changed, changed},
			{"a", offers("x", "2"), "", changed},
			{"a", offers("x", "3"), "", changed},
		},
		"another client's": {
			{"a", offers("x", "1"), "", ""},
			{"b", offers("x", "2"), "", ""},
			{"a", offers("x", "1"), "", ""},
		},
		"two of one name": {
			{"a", offers("x", "1", "y", "1", "x", "2"), twice, twice},
			{"a", offers("x", "1", "x", "1"), "", ""},
		},
		"without names": {
			{"a", offers("", "1", "", "2"), "", ""},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			observing := alone(t, ToolDrift)
			enforcing := build(t, Config{Modes: Modes{ToolDrift: Enforce}})
			for i, s := range steps {
				if got := details(observing.Request(t.Context(), s.client, s.request)); got != s.observe {
					t.Errorf("step %d: observed %q, want %q", i, got, s.observe)
				}
				found := enforcing.Request(t.Context(), s.client, s.request)
				if got := details(found); got != s.enforce {
					t.Errorf("step %d: enforced %q, want %q", i, got, s.enforce)
				}
				for _, f := range found {
					if !f.Enforced || f.Rule != ToolDrift || f.Where != InRequest {
						t.Errorf("step %d: %+v", i, f)
					}
				}
			}
		})
	}
}

func TestToolsAreForgotten(t *testing.T) {
	d := alone(t, ToolDrift)
	for i := range 3 * maxTools {
		d.Request(t.Context(), "c", offers(fmt.Sprint("tool", i), "1"))
	}
	if n := d.pins.Len(); n > maxTools {
		t.Errorf("%d tools are remembered, more than %d", n, maxTools)
	}
}
