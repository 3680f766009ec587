package detect

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

func looping(t *testing.T, mode Mode, now *time.Time) *Detector {
	return build(t, Config{
		Modes: Modes{RunawayLoop: mode},
		Loop:  Loop{Repeats: 5, Window: time.Minute, Requests: 10},
		Now:   func() time.Time { return *now },
	})
}

func TestRepeatedCall(t *testing.T) {
	tests := map[string]struct {
		mode Mode
		want []int // the calls that are reported, from 1
	}{
		"observed": {Observe, []int{5, 10, 20}},
		"enforced": {Enforce, []int{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}},
		"off":      {Off, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			d := looping(t, test.mode, &now)
			var told []int
			for i := range 21 {
				now = now.Add(time.Second)
				c := bash("ls")
				c.ID = fmt.Sprint(i)
				for _, f := range d.ToolCall("c", c) {
					told = append(told, i+1)
					want := Finding{Rule: RunawayLoop, Severity: proto.SeverityMedium, Where: InToolCall, Detail: fmt.Sprintf("the same call %d times within 1m0s", i+1), Enforced: test.mode == Enforce}
					if i+1 >= 20 {
						want.Severity = proto.SeverityHigh
					}
					if f != want {
						t.Errorf("got %+v, want %+v", f, want)
					}
				}
			}
			if !slices.Equal(told, test.want) {
				t.Errorf("told at %v, want %v", told, test.want)
			}
		})
	}
}

func TestCallsThatAreNotTheSame(t *testing.T) {
	now := time.Unix(1e9, 0)
	d := looping(t, Enforce, &now)
	for i := range 4 {
		for _, found := range [][]Finding{
			d.ToolCall("c", bash("ls")),
			d.ToolCall("another", bash("ls")),
			d.ToolCall("c", llmapi.ToolCall{Name: "another", Arguments: bash("ls").Arguments}),
			d.ToolCall("c", bash(fmt.Sprint("ls ", i))),
		} {
			if len(found) > 0 {
				t.Errorf("found %+v", found)
			}
		}
	}
	now = now.Add(time.Minute)
	if found := d.ToolCall("c", bash("ls")); len(found) > 0 {
		t.Errorf("found %+v in a new window", found)
	}
}

func TestTooManyRequests(t *testing.T) {
	now := time.Unix(1e9, 0)
	d := looping(t, Observe, &now)
	var told []string
	for range 45 {
		now = now.Add(time.Second)
		for _, f := range d.Request(t.Context(), "c", &inspect.Request{}) {
			told = append(told, f.Severity.String()+" "+f.Detail)
		}
	}
	if found := d.Request(t.Context(), "another", &inspect.Request{}); len(found) > 0 {
		t.Errorf("found %+v of another client", found)
	}
	want := []string{"medium 10 requests within a minute", "medium 20 requests within a minute", "high 40 requests within a minute"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
