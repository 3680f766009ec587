package auditor

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func TestRoomSteps(t *testing.T) {
	var r room
	for i, step := range []struct{ share, want int }{
		{0, 0}, {79, 0}, {80, 80}, {94, 0}, {80, 0}, {76, 0}, {85, 0}, {95, 95}, {100, 0}, {90, 0}, {96, 0}, {74, 0}, {99, 95}, {10, 0}, {82, 80},
	} {
		if got := r.step(step.share); got != step.want {
			t.Errorf("step %d: at %d %% an alert of %d, want %d", i, step.share, got, step.want)
		}
	}
}

// A stream of records that fills up is announced on the bus, in readiness and in the
// metrics while it still takes records.
func TestNearlyFullStreamIsAnnounced(t *testing.T) {
	const limit = 1 << 20
	r := newRig(t, bustest.Provision(bus.ProvisionConfig{Limits: map[string]bus.Limits{proto.StreamAudit: {MaxBytes: limit}}}))
	r.cfg.LookEvery = 10 * time.Millisecond
	a := r.start()
	kinds := func(severity string) int {
		streams, err := r.tail.SecurityStreams(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for m, err := range r.tail.MergedHistory(t.Context(), streams, fmt.Sprintf("security.alert.*.%s.%s.%s", bus.RoleAuditor, KindStreamFull, severity), bus.Start{}) {
			var e proto.Event
			if err != nil || json.Unmarshal(m.Data, &e) != nil {
				t.Fatalf("reading the alerts: %v, %v", m, err)
			}
			n++
		}
		return n
	}
	operator := r.bus.Conn(t, bus.RoleOperator)
	used := func() uint64 {
		stream, err := operator.Stream(t.Context(), proto.StreamAudit)
		if err != nil || stream.Err != nil {
			t.Fatal(err, stream.Err)
		}
		return stream.Bytes * 100 / limit
	}
	ready := func() bool {
		conditions, _ := a.ready.Check()
		for _, c := range conditions {
			if c.Name == "audit_stream" {
				return c.Err == nil
			}
		}
		return false
	}
	for i := 0; used() < 85; i++ {
		r.publish(requests(t, i*4, 4, 0)...)
	}
	bustest.Eventually(t, "there is a warning", func() bool { return kinds("medium") == 1 })
	if kinds("high") != 0 || !ready() {
		t.Error("too early for more")
	}
	for i := 100_000; used() < 97; i++ {
		r.publish(requests(t, i*4, 1, 0)...)
	}
	bustest.Eventually(t, "there is an alert", func() bool { return kinds("high") == 1 })
	bustest.Eventually(t, "it is not ready", func() bool { return !ready() })
	if kinds("medium") != 1 {
		t.Error("the warning has come again")
	}
	a.stop()
}
