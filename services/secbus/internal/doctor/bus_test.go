package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/checktest"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// found looks at everything and returns what was found of the hops.
func found(t *testing.T, r *checktest.Rig, hops ...string) []check.Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	all := Check(ctx, Options{Conn: r.Conn, Services: services.All(), Durables: bustest.Consumers()})
	return slices.DeleteFunc(all, func(f check.Finding) bool { return !slices.Contains(hops, f.Hop) })
}

func TestNewBus(t *testing.T) {
	r := checktest.New(t)
	checktest.Compare(t, found(t, r, "sensor"),
		checktest.Want("suricata", check.Warning, "nothing has come from it yet"),
		checktest.Want("tracee", check.Warning, "nothing has come from it yet"),
	)
	checktest.Compare(t, found(t, r, "clock"), checktest.Want("server", check.Good, "agrees"))
	checktest.Compare(t, found(t, r, "retention", "service", "disk", "proxy"), checktest.Want("last request", check.Good, "none yet"))
	wants := []checktest.Wanted{checktest.Want("auditor of "+proto.StreamAudit, check.Warning, "is the auditor running?")}
	for _, stream := range slices.Sorted(slices.Values(bustest.AlertStreams())) {
		wants = append(wants, checktest.Want("notifier-stdout of "+stream, check.Warning, "nobody is fetching"))
	}
	if len(wants) < 3 {
		t.Fatalf("the test knows one stream of alerts at most: %v", bustest.AlertStreams())
	}
	checktest.Compare(t, found(t, r, "consumer"), wants...)
	checktest.Compare(t, found(t, r, "delivery"),
		checktest.Want("dead letters", check.Good, "none"),
		checktest.Want("last message", check.Good, "notify test"),
		checktest.Want("silences", check.Good, "none"),
	)
	checktest.Compare(t, found(t, r, "audit"), checktest.Want("signature", check.Good, "nothing has been signed yet"))
	checktest.Compare(t, found(t, r, "server"), checktest.Want("NATS", check.Good, "nats-server 2."), checktest.Want("store", check.Good, "set aside"))
}

func TestUnprovisioned(t *testing.T) {
	r := checktest.New(t, bustest.Unprovisioned())
	var wants []checktest.Wanted
	for _, s := range proto.Streams() {
		wants = append(wants, checktest.Want(s.Name, check.Fault, "secbus provision"))
	}
	checktest.Compare(t, found(t, r, "stream"), wants...)
	checktest.Compare(t, found(t, r, "sensor", "clock", "retention", "delivery", "proxy", "audit"))
	wants = nil
	for _, d := range bustest.Consumers() {
		if d.Stream != proto.StreamAlerts { // which a new bus never has
			wants = append(wants, checktest.Want(d.Durable+" of "+d.Stream, check.Fault, "secbus provision"))
		}
	}
	checktest.Compare(t, found(t, r, "consumer"), wants...)
}

func TestServerGone(t *testing.T) {
	r := checktest.New(t)
	r.Stop(t)
	checktest.Compare(t, found(t, r, "server"), checktest.Want("NATS", check.Fault, "the bus cannot be read"))
	checktest.Compare(t, found(t, r, "sensor", "clock", "stream", "consumer", "audit"))
}

// TestWaiting: what waits for a consumer, and what was given up.
func TestWaiting(t *testing.T) {
	r := checktest.New(t)
	alerts := proto.AlertsStream("suricata")
	r.Store(bus.RoleNotifier, proto.DeadSubject(alerts, proto.DurableNotifierStdout), "x", nats.Header{
		proto.HeaderDeadReason: {"it cannot\x1b[2J be read"}, proto.HeaderDeadConsumer: {"notifier-stdout"},
	})
	r.Event(bus.ShipperRole("suricata"), "suricata", "alert", proto.SeverityCritical, "a", nil)
	r.Store(bus.ShipperRole("suricata"), proto.NewSubject(bustest.Host, "suricata", "dns", proto.SeverityInfo).Ingest(), "x", nats.Header{proto.HeaderInstance: {"a"}})
	checktest.Compare(t, found(t, r, "delivery")[:1], checktest.Want("dead letters", check.Warning, "ago by notifier-stdout: it cannot [2J be read"))
	waits := func(f check.Finding) bool { return f.Subject == "notifier-stdout of "+alerts }
	consumers := found(t, r, "consumer")
	checktest.Compare(t, consumers[max(slices.IndexFunc(consumers, waits), 0):][:1], checktest.Want("notifier-stdout of "+alerts, check.Warning, "1 messages wait, the oldest for "))
	checktest.Compare(t, found(t, r, "retention"), checktest.Want(alerts, check.Good, "too little to tell"), checktest.Want(proto.EventsStream("suricata"), check.Good, "too little to tell"))
}

// TestOrder: findings are reported in the order of the way, however long each
// part takes and whichever service finds them.
func TestOrder(t *testing.T) {
	r := checktest.New(t)
	r.Event(bus.ShipperRole("suricata"), "suricata", "alert", proto.SeverityHigh, "a", nil)
	found := Check(t.Context(), Options{
		Conn:  r.Conn,
		Ready: []check.Endpoint{{Name: "s", URL: answering(t, "/readyz", 200, `{"ready":true}`)}},
		Disks: []string{t.TempDir(), "/does/not/exist"},
		Services: append([]service.Spec{{Name: "weather", Check: func(_ context.Context, c service.Checkup) []check.Finding {
			if c.Bus == nil || !slices.Contains(c.Services, "auditor") {
				t.Errorf("checks with %+v", c)
			}
			return []check.Finding{{Hop: "weather"}}
		}}}, services.All()...),
	})
	var hops []string
	for _, f := range found {
		hops = append(hops, f.Hop)
	}
	want := "[sensor clock service server stream retention disk consumer delivery proxy audit weather notifier telegram]"
	if got := fmt.Sprint(slices.Compact(hops)); got != want {
		t.Errorf("hops %s, want %s", got, want)
	}
}

// A source that is dead or cannot publish is a fault, though its service cannot be asked.
func TestHeartbeats(t *testing.T) {
	r := checktest.New(t)
	beat := func(source string, role string, value string) {
		t.Helper()
		if _, err := r.Bus.Conn(t, role).Put(t.Context(), proto.KeyHeartbeat(bustest.Host, source), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	beat("suricata", bus.ShipperRole("suricata"), `{"at":"2026-11-30T12:00:00Z"}`)
	beat("tracee", bus.ShipperRole("tracee"), `{"at":"2026-11-30T12:00:00Z","problem":"full","since":"2026-11-30T11:58:00Z"}`)
	beat("proxy", bus.RoleProxy, `{"at":"2026-11-30T12:00:00Z","problem":"full","since":"2026-11-30T11:58:00Z","starts":["2026-11-30T11:40:00Z"`+
		strings.Repeat(`,"2026-11-30T11:59:00Z"`, 5)+`]}`)
	if _, err := r.Bus.Conn(t, bus.RoleNotifier).Put(t.Context(), proto.KeyAlarms, []byte(`{"stream-short/ALERTS_x":{"condition":"stream-short","subject":"ALERTS_x","text":"it is short"}}`), 0); err != nil {
		t.Fatal(err)
	}
	checktest.Compare(t, found(t, r, "service"),
		checktest.Want("proxy on box1", check.Fault, "has not been able to publish for 2m0s: full"),
		checktest.Want("proxy on box1", check.Fault, "was started 5 times within 15 minutes"),
		checktest.Want("suricata on box1", check.Good, "alive"),
		checktest.Want("tracee on box1", check.Fault, "has not been able to publish for 2m0s: full"),
		checktest.Want("ALERTS_x", check.Warning, "it is short"),
	)
}
