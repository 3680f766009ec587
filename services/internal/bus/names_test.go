package bus_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// TestStreamNames finds the streams of sources by their names, as every role that
// reads several of them, and finds one that was added while the others were read.
func TestStreamNames(t *testing.T) {
	own := func(name string) proto.Stream {
		return proto.Stream{Name: name, Description: "test", Subjects: []string{"test." + name}, MaxAge: time.Hour, MaxBytes: 1 << 20, Discard: proto.DiscardOld}
	}
	late := own("ALERTS_c")
	b := bustest.Start(t, bustest.Streams(own("ALERTS_b"), own("EVENTS_b"), own("ALERTS_a")), bustest.Grant(bus.RoleProvisioner, bus.GrantCreate(late.Name)...))
	for _, role := range []string{bus.RoleTail, bus.RoleOperator, bus.RoleNotifier} {
		c := b.Conn(t, role)
		alerts, err := c.AlertStreams(deadlineContext(t))
		if want := []string{"ALERTS_a", "ALERTS_auditor", "ALERTS_b", "ALERTS_notifier", "ALERTS_proxy", "ALERTS_suricata", "ALERTS_tracee"}; err != nil || !slices.Equal(alerts, want) {
			t.Errorf("%s finds %q, %v; want %q", role, alerts, err, want)
		}
		all, err := c.SecurityStreams(deadlineContext(t))
		if want := append(alerts, "EVENTS_b", "EVENTS_suricata", "EVENTS_tracee", proto.StreamCheckpoints); err != nil || !slices.Equal(all, want) {
			t.Errorf("%s finds %q, %v; want %q", role, all, err, want)
		}
	}
	if _, err := b.Conn(t, bus.RoleProvisioner).Provision(deadlineContext(t), bus.ProvisionConfig{Streams: []proto.Stream{late}}); err != nil {
		t.Fatal(err)
	}
	alerts, err := b.Conn(t, bus.RoleTail).AlertStreams(deadlineContext(t))
	if err != nil || !slices.Contains(alerts, late.Name) {
		t.Errorf("after another was added: %q, %v", alerts, err)
	}
}
