package bus_test

import (
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// TestExpect has a service with a durable that stands by, and one whose chat was
// replaced.
func TestExpect(t *testing.T) {
	main, spare := proto.Consumer{Durable: "pager-main", Stream: "S"}, proto.Consumer{Durable: "pager-spare", Stream: "S", Standby: true}
	alone := proto.Consumer{Durable: "printer-spare", Stream: "S", Standby: true}
	state := func(def proto.Consumer, waiting int) bus.DurableState {
		return bus.DurableState{Name: def.Durable, Stream: def.Stream, Waiting: waiting}
	}
	replaced := bus.DurableState{Name: "pager-old", Stream: "S", Successor: "main"}
	for _, tt := range []struct {
		name string
		have []bus.DurableState
		want map[string]string // of those that nobody fetches from
	}{
		{"in use", []bus.DurableState{state(main, 1), state(spare, 0), state(alone, 0)}, map[string]string{
			"pager-spare": "the pager delivers elsewhere", "printer-spare": "",
		}},
		{"of another service", []bus.DurableState{state(main, 0), state(spare, 0), state(alone, 1)}, map[string]string{
			"pager-main": "", "pager-spare": "",
		}},
		{"standing by", []bus.DurableState{state(main, 0), state(spare, 1), state(alone, 1)}, map[string]string{"pager-main": ""}},
		{"in a stream of no service", []bus.DurableState{state(main, 1), state(spare, 1), state(alone, 1), {Name: "pager-spare", Stream: "T"}}, map[string]string{
			"pager-spare": "the pager delivers elsewhere",
		}},
		{"replaced", []bus.DurableState{state(main, 1), state(spare, 1), state(alone, 1), replaced}, map[string]string{
			"pager-old": "main has taken the place of its chat, and gets what waits here",
		}},
		{"missing", []bus.DurableState{state(main, 1), state(alone, 1)}, map[string]string{"pager-spare": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(map[string]string)
			for _, d := range (bus.Overview{Durables: tt.have}).Expect([]proto.Consumer{main, spare, alone}) {
				if d.Active() {
					if d.Unused != "" {
						t.Errorf("%s is in use, and said not to be: %s", d, d.Unused)
					}
					continue
				}
				got[d.Name] = d.Unused
			}
			for name, why := range tt.want {
				if unused, ok := got[name]; !ok || unused != why {
					t.Errorf("%s: %q, want %q", name, unused, why)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("nobody fetches from %v, want %v", got, tt.want)
			}
		})
	}
}
