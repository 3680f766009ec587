package bus_test

import (
	"maps"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// TestHealth asks as the operator, who needs no more rights for it than those of
// production.
func TestHealth(t *testing.T) {
	durables := proto.LaneConsumers("chat", proto.AlertsStream(bustest.Suricata))
	b := bustest.Start(t, bustest.Durables(durables...), bustest.Provision(bus.ProvisionConfig{Consumers: durables}))
	operator := b.Conn(t, bus.RoleOperator)
	ctx := deadlineContext(t)

	h, err := operator.Health(ctx)
	if err != nil || h.Version == "" || h.RoundTrip <= 0 || h.Reserved == 0 {
		t.Errorf("health %+v, %v", h, err)
	}
	ahead, within, err := operator.Skew(ctx, proto.AlertsStream(bustest.Suricata))
	if err != nil || within <= 0 || ahead.Abs() > within+time.Second {
		t.Errorf("the server's clock is %s ahead, within %s: %v", ahead, within, err)
	}
	if m, err := operator.Last(ctx, proto.AlertsStream(bustest.Suricata), "security.>"); m != nil || err != nil {
		t.Errorf("the last message of nothing is %+v, %v", m, err)
	}
	if m, err := operator.First(ctx, proto.AlertsStream(bustest.Suricata), "security.>", bus.Start{}); m != nil || err != nil {
		t.Errorf("the first message of nothing is %+v, %v", m, err)
	}

	fence := armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Suricata)), bustest.Suricata)
	publish(t, fence,
		message(bustest.Suricata, proto.SeverityMedium, "1"),
		message(bustest.Suricata, proto.SeverityLow, "2"),
		message(bustest.Suricata, proto.SeverityHigh, "3"),
		message(bustest.Suricata, proto.SeverityCritical, "4"),
	)
	subjects, err := operator.Subjects(ctx, proto.AlertsStream(bustest.Suricata), "security.alert.>")
	if want := (map[string]uint64{
		"security.alert.box1.suricata.unknown.medium":   1,
		"security.alert.box1.suricata.unknown.low":      1,
		"security.alert.box1.suricata.unknown.high":     1,
		"security.alert.box1.suricata.unknown.critical": 1,
	}); err != nil || !maps.Equal(subjects, want) {
		t.Errorf("subjects %v, %v", subjects, err)
	}
	first, err := operator.First(ctx, proto.AlertsStream(bustest.Suricata), "security.alert.*.*.*.low", bus.Start{})
	if err != nil || first == nil || first.Sequence != 2 {
		t.Errorf("first %+v, %v", first, err)
	}
	first, err = operator.First(ctx, proto.AlertsStream(bustest.Suricata), "security.>", bus.Start{Time: time.Now().Add(-time.Hour)})
	if err != nil || first == nil || first.Sequence != 1 {
		t.Errorf("first of the last hour %+v, %v", first, err)
	}
	last, err := operator.Last(ctx, proto.AlertsStream(bustest.Suricata), "security.*.*.suricata.unknown.high")
	if err != nil || last == nil || last.Sequence != 3 {
		t.Errorf("last %+v, %v", last, err)
	}
	checkOldest(t, operator)
}

// checkOldest: of four alerts nobody has fetched any.
func checkOldest(t *testing.T, operator *bus.Conn) {
	t.Helper()
	oldest := make(map[string]string)
	o, err := operator.Overview(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range o.Durables {
		m, err := operator.Oldest(deadlineContext(t), d)
		if err != nil {
			t.Fatal(err)
		}
		if m != nil {
			oldest[d.Name] = m.Header.Get(proto.HeaderEventID)
		}
		if d.Active() {
			t.Errorf("%s is at work", d.Name)
		}
	}
	if want := map[string]string{"notifier-chat-critical": "4", "notifier-chat-urgent": "3", "notifier-chat-routine": "1", "notifier-stdout": "1"}; !maps.Equal(oldest, want) {
		t.Errorf("oldest %v, want %v", oldest, want)
	}
}
