package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/silence"
)

// rig is a bus on which the test plays every service.
type rig struct {
	t *testing.T
	*bustest.Bus
	conn  *bus.Conn
	roles map[string]*nats.Conn
}

func newRig(t *testing.T, opts ...bustest.Option) *rig {
	b := bustest.Start(t, opts...)
	return &rig{t: t, Bus: b, conn: b.Conn(t, bus.RoleOperator), roles: make(map[string]*nats.Conn)}
}

// store publishes v as JSON in a role's name and waits until it is stored.
func (r *rig) store(role, subject string, v any, header nats.Header) {
	r.t.Helper()
	if r.roles[role] == nil {
		r.roles[role] = r.Raw(r.t, role)
	}
	data, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	reply, err := r.roles[role].RequestMsg(&nats.Msg{Subject: subject, Data: data, Header: header}, 10*time.Second)
	if err != nil || strings.Contains(string(reply.Data), `"error"`) {
		r.t.Fatalf("publishing to %s: %v %s", subject, err, reply.Data)
	}
}

// event stores an event of a source in the name of one process of its shipper.
func (r *rig) event(source, kind string, severity proto.Severity, instance string, change func(*proto.Event)) {
	r.t.Helper()
	e := &proto.Event{ID: "1", Time: time.Now().UTC(), Host: bustest.Host, Source: source, Kind: kind}
	e.SetSeverity(severity)
	if change != nil {
		change(e)
	}
	role := bus.ShipperRole(source)
	if source == bus.RoleAuditor {
		role = source
	}
	r.store(role, e.Subject().Ingest(), e, nats.Header{proto.HeaderInstance: {instance}})
}

// alarm stores what a shipper says of a condition of its sensor.
func (r *rig) alarm(source, condition, state string, severity proto.Severity, instance string) {
	r.t.Helper()
	r.event(source, proto.KindSensor, severity, instance, func(e *proto.Event) {
		e.Title = "the sensor: " + condition
		e.Rule = &proto.Rule{ID: condition}
		e.Raw = json.RawMessage(`{"condition":"` + condition + `","state":"` + state + `"}`)
	})
}

// found looks at everything and returns what was found of the hops.
func (r *rig) found(hops ...string) []Finding {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	all := Check(ctx, Options{Conn: r.conn, Sources: []string{"suricata", "tracee"}})
	return slices.DeleteFunc(all, func(f Finding) bool { return !slices.Contains(hops, f.Hop) })
}

func TestNewBus(t *testing.T) {
	r := newRig(t)
	check(t, r.found("sensor"),
		want{"suricata", Warning, "nothing has come from it yet"},
		want{"tracee", Warning, "nothing has come from it yet"},
	)
	check(t, r.found("clock"), want{"server", Good, "agrees"})
	check(t, r.found("retention", "service", "disk", "proxy"), want{"last request", Good, "none yet"})
	check(t, r.found("consumer"),
		want{"notifier-stdout", Warning, "nobody is fetching"},
		want{"auditor", Warning, "is the auditor running?"},
	)
	check(t, r.found("delivery"),
		want{"last message", Good, "notify test"},
		want{"dead letters", Good, "none"},
		want{"silences", Good, "none"},
	)
	check(t, r.found("audit"), want{"signature", Good, "nothing has been signed yet"})
	check(t, r.found("server"), want{"NATS", Good, "nats-server 2."}, want{"store", Good, "set aside"})
}

func TestUnprovisioned(t *testing.T) {
	r := newRig(t, bustest.Unprovisioned())
	var wants []want
	for _, s := range proto.Streams() {
		wants = append(wants, want{s.Name, Fault, "secbus provision"})
	}
	check(t, r.found("stream"), wants...)
	check(t, r.found("sensor", "clock", "retention", "delivery", "proxy", "audit"))
	check(t, r.found("consumer"), want{"notifier-stdout", Fault, "secbus provision"}, want{"auditor", Fault, "secbus provision"})
}

func TestServerGone(t *testing.T) {
	r := newRig(t)
	r.Stop(t)
	check(t, r.found("server"), want{"NATS", Fault, "the bus cannot be read"})
	check(t, r.found("sensor", "clock", "stream", "consumer", "audit"))
}

func TestSensors(t *testing.T) {
	r := newRig(t)
	r.event("suricata", "alert", proto.SeverityHigh, "a", nil)
	r.event("tracee", "sched_process_exec", proto.SeverityInfo, "b", func(e *proto.Event) { e.Time = e.Time.Add(time.Hour) })
	r.event("tracee", proto.KindGap, proto.SeverityMedium, "b", nil) // no line, and no alert of the sensor
	check(t, r.found("sensor"),
		want{"suricata on box1", Good, "last line 0s ago, last alert 0s ago"},
		want{"suricata on box1 packets", Good, "only just begun"},
		want{"tracee on box1", Good, "no alert yet"},
	)
	check(t, r.found("clock"),
		want{"server", Good, ""},
		want{"suricata on box1", Good, "within 5s"},
		want{"tracee on box1", Fault, "after it was stored"},
	)
	r.event("suricata", "stats", proto.SeverityInfo, "a", func(e *proto.Event) {
		e.Raw = json.RawMessage(`{"event_type":"stats","stats":{"uptime":600,"capture":{"kernel_packets":0,"kernel_drops":0},"detect":{"engines":[{"rules_loaded":0}]}}}`)
	})
	check(t, r.found("sensor")[1:3],
		want{"suricata on box1 packets", Fault, "no packet in the 10m"},
		want{"suricata on box1 rules", Fault, "no rule is loaded"},
	)
	r.event("suricata", "stats", proto.SeverityInfo, "a", func(e *proto.Event) { e.Raw = json.RawMessage(`{"stats":7}`) })
	check(t, r.found("sensor")[1:2], want{"suricata on box1 packets", Warning, "cannot be read"})
}

// TestStaleSensors looks at the same messages from 10 minutes later.
func TestStaleSensors(t *testing.T) {
	r := newRig(t)
	r.event("suricata", "flow", proto.SeverityInfo, "a", nil)
	r.event("tracee", "sched_process_exec", proto.SeverityInfo, "b", nil)
	c := &checkup{Options: Options{Conn: r.conn}}
	check(t, c.look(t.Context()))
	c.bus.ahead = 10 * time.Minute
	check(t, c.sensors(t.Context()),
		want{"suricata on box1", Warning, "last line 10m ago"},
		want{"suricata on box1 packets", Warning, ""},
		want{"tracee on box1", Good, "last line 10m ago"},
	)
	c.bus.ahead = 20 * time.Minute
	check(t, c.sensors(t.Context())[2:], want{"tracee on box1", Warning, "last line 20m ago"})
	check(t, c.clocks(t.Context()), want{"server", Fault, "ahead of"}) // too old to say anything of the sensors'
}

func TestAlarms(t *testing.T) {
	r := newRig(t)
	r.alarm("tracee", "silent", "raised", proto.SeverityHigh, "a")
	check(t, r.found("sensor")[1:],
		want{"tracee on box1 silent", Fault, "the sensor: silent"},
		want{"suricata", Warning, ""},
	)
	r.alarm("tracee", "lost-events", "raised", proto.SeverityMedium, "a")
	r.alarm("tracee", "silent", "over", proto.SeverityMedium, "a")
	r.event("tracee", "sched_process_exec", proto.SeverityInfo, "a", nil)
	check(t, r.found("sensor")[1:],
		want{"tracee on box1 lost-events", Warning, "an alarm stands since 0s ago"},
		want{"suricata", Warning, ""},
	)
	// Another process would have raised it anew.
	r.event("tracee", "sched_process_exec", proto.SeverityInfo, "b", nil)
	check(t, r.found("sensor"), want{"tracee on box1", Good, ""}, want{"suricata", Warning, ""})
}

func TestDelivery(t *testing.T) {
	r := newRig(t)
	sent := proto.Delivery{Time: time.Now().UTC(), Sink: "telegram-1", Kind: proto.DeliveryCards, Alerts: 3, Attempts: 2, MayRepeat: true}
	r.store(bus.RoleNotifier, proto.DeliveriesSubject("telegram-1"), sent, nil)
	r.store(bus.RoleNotifier, proto.DeadSubject(proto.StreamAlerts, proto.DurableNotifierStdout), "x", nats.Header{
		proto.HeaderDeadReason: {"it cannot\x1b[2J be read"}, proto.HeaderDeadConsumer: {"notifier-stdout"},
	})
	s, err := silence.New("true", "", "", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := silence.Change(t.Context(), r.conn, func(l silence.List) (silence.List, error) { return l.With(s) }); err != nil {
		t.Fatal(err)
	}
	r.event("suricata", "alert", proto.SeverityCritical, "a", nil)
	bustest.Eventually(t, "the alert is copied", func() bool {
		m, err := r.conn.Last(t.Context(), proto.StreamAlerts, ">")
		return err == nil && m != nil
	})
	check(t, r.found("delivery"),
		want{"telegram-1", Good, "cards about 3 alerts, accepted at attempt 2; it may repeat an earlier one"},
		want{"dead letters", Warning, "1, the last one 0s ago by notifier-stdout: it cannot [2J be read"},
		want{"silence " + s.ID, Warning, "critical alerts such as the last one included"},
	)
	check(t, r.found("consumer")[:1], want{"notifier-stdout", Warning, "1 messages wait, the oldest for 0s"})
	check(t, r.found("retention"), want{proto.StreamSecurity, Good, "too little to tell"}, want{proto.StreamAlerts, Good, "too little to tell"})
}

func TestAudit(t *testing.T) {
	r := newRig(t)
	record := func(decision proto.Decision, reason string) {
		a := &proto.Audit{Host: bustest.Host, Source: bus.RoleProxy, Kind: "chat", Decision: decision, Reason: reason}
		r.store(bus.RoleProxy, a.Subject().Ingest(), a, nil)
	}
	record(proto.DecisionAllowed, "")
	check(t, r.found("proxy"), want{"last request", Good, "allowed"})
	record(proto.DecisionRefused, "the security proxy has no key for anthropic: set LLM_API_KEY")
	check(t, r.found("proxy"), want{"last request", Warning, "set LLM_API_KEY"})

	c := &checkup{Options: Options{Conn: r.conn}}
	check(t, c.look(t.Context()))
	c.bus.ahead = time.Hour
	check(t, c.audit(t.Context()), want{"signature", Warning, "a record of 1h00m ago has no signature"})
	r.event(bus.RoleAuditor, "checkpoint", proto.SeverityInfo, "c", nil)
	check(t, c.audit(t.Context()), want{"signature", Good, "signed 1h00m ago"})
	if found := r.found("sensor"); slices.ContainsFunc(found, func(f Finding) bool { return strings.Contains(f.Subject, "box1") }) {
		t.Errorf("the auditor is taken for a sensor: %+v", found)
	}
}

// TestOrder: what is found is told in the order of the way, however long each
// part takes.
func TestOrder(t *testing.T) {
	r := newRig(t)
	r.event("suricata", "alert", proto.SeverityHigh, "a", nil)
	found := Check(t.Context(), Options{
		Conn:     r.conn,
		Services: []Endpoint{{Name: "s", URL: answering(t, "/readyz", 200, `{"ready":true}`)}},
		Disks:    []string{t.TempDir(), "/does/not/exist"},
		Chats: func(context.Context) []Finding {
			return []Finding{{Hop: "telegram"}}
		},
	})
	var hops []string
	for _, f := range found {
		hops = append(hops, f.Hop)
	}
	want := "[sensor clock service server stream retention disk consumer delivery proxy audit telegram]"
	if got := fmt.Sprint(slices.Compact(hops)); got != want {
		t.Errorf("hops %s, want %s", got, want)
	}
}
