package proto_test

import (
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// The ids here were computed with Python's hashlib from the definition. They
// must never change: sinks remember ids across releases.
func TestEventIDStability(t *testing.T) {
	t.Parallel()
	if got, want := proto.EventID("box1", "suricata", "9f2c6b1e4a7d0358", 4096, []byte(`{"event_type":"alert"}`)), "3179ded089eddd13727849e3b20f1617"; got != want {
		t.Errorf("EventID = %s, want %s", got, want)
	}
	if got, want := proto.EventID("", "", "", 0, nil), "66687aadf862bd776c8fc18b8e9f8e20"; got != want {
		t.Errorf("EventID of nothing = %s, want %s", got, want)
	}
}

func TestEventIDDiffers(t *testing.T) {
	t.Parallel()
	type input struct {
		host, source, generation string
		offset                   int64
		line                     string
	}
	tests := []struct {
		name string
		input
	}{
		{"base", input{"box1", "suricata", "g1", 0, "x"}},
		{"other host", input{"box2", "suricata", "g1", 0, "x"}},
		{"other source", input{"box1", "tracee", "g1", 0, "x"}},
		{"other generation", input{"box1", "suricata", "g2", 0, "x"}},
		{"other offset", input{"box1", "suricata", "g1", 2, "x"}},
		{"other line", input{"box1", "suricata", "g1", 0, "y"}},
		{"host's end moved to the source", input{"box", "1suricata", "g1", 0, "x"}},
		{"source's end moved to the generation", input{"box1", "suricat", "ag1", 0, "x"}},
		{"generation moved to the source", input{"box1", "suricatag1", "", 0, "x"}},
		{"generation's end moved to the offset", input{"box1", "suricata", "g", int64('1') << 56, "x"}},
		{"offset's end moved to the line", input{"box1", "suricata", "g1", 0, "\x00x"}},
	}
	seen := make(map[string]string)
	for _, tt := range tests {
		id := proto.EventID(tt.host, tt.source, tt.generation, tt.offset, []byte(tt.line))
		if len(id) != proto.EventIDLength {
			t.Errorf("%s: id %q has %d characters", tt.name, id, len(id))
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have the same id", tt.name, other)
		}
		seen[id] = tt.name
	}
}
