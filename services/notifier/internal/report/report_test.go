package report_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/notifier/internal/report"
)

type rig struct {
	t     *testing.T
	conns map[string]*bus.Conn
	n     int
}

func newRig(t *testing.T) (*rig, *bus.Conn) {
	b := bustest.Start(t)
	return &rig{t: t, conns: map[string]*bus.Conn{
		"suricata": b.Conn(t, bus.ShipperRole(bustest.Suricata)),
		"proxy":    b.Conn(t, bus.RoleProxy),
	}}, b.Conn(t, bus.RoleNotifier)
}

func (r *rig) publish(role string, subject proto.Subject, payload []byte) {
	r.t.Helper()
	if err := r.conns[role].Publish(r.t.Context(), &nats.Msg{Subject: subject.Ingest(), Data: payload}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) event(kind string, severity proto.Severity, fill func(*proto.Event)) {
	r.t.Helper()
	r.n++
	e := proto.Event{ID: fmt.Sprint(r.n), Host: bustest.Host, Source: "suricata", Kind: kind}
	e.SetSeverity(severity)
	fill(&e)
	r.publish("suricata", e.Subject(), e.AppendJSON(nil))
}

func (r *rig) audit(a proto.Audit) {
	r.t.Helper()
	a.Host, a.Source, a.Kind = bustest.Host, "proxy", "request"
	payload, err := json.Marshal(a)
	if err != nil {
		r.t.Fatal(err)
	}
	r.publish("proxy", a.Subject(), payload)
}

func TestMake(t *testing.T) {
	r, conn := newRig(t)
	from := time.Now().Add(-time.Minute)
	for range 3 {
		r.event("alert", proto.SeverityHigh, func(e *proto.Event) { e.Title = "ET SCAN"; e.Action = "blocked" })
	}
	r.event("alert", proto.SeverityCritical, func(e *proto.Event) { e.Title = "metadata access" })
	for i := range 7 {
		r.event("dns", proto.SeverityInfo, func(e *proto.Event) {
			e.DNS = &proto.DNS{Type: "query", Names: []string{fmt.Sprintf("n%d.example", i)}}
		})
	}
	r.event("dns", proto.SeverityInfo, func(e *proto.Event) { e.DNS = &proto.DNS{Type: "query", Names: []string{"n3.example"}} })
	r.event("dns", proto.SeverityInfo, func(e *proto.Event) { e.DNS = &proto.DNS{Type: "answer", Names: []string{"n4.example"}} })
	r.event("flow", proto.SeverityInfo, func(e *proto.Event) { e.Dst = &proto.Endpoint{IP: "192.0.2.7"} })
	r.publish("suricata", proto.NewSubject(bustest.Host, "suricata", "alert", proto.SeverityLow), []byte("no JSON"))

	r.audit(proto.Audit{RequestID: "a", Phase: proto.PhaseStart})
	r.audit(proto.Audit{
		RequestID: "a", Phase: proto.PhaseEnd, Decision: proto.DecisionAllowed, RequestModel: "claude-sonnet-4-5",
		Usage:     &proto.Usage{Input: 1_000_000, CacheRead: 500_000, Output: 10_000, Complete: true},
		ToolCalls: []proto.ToolCall{{Name: "exec"}, {Name: "read"}, {Name: "exec"}},
	})
	r.audit(proto.Audit{RequestID: "b", Phase: proto.PhaseStart})
	r.audit(proto.Audit{RequestID: "b", Phase: proto.PhaseEnd, Decision: proto.DecisionBlocked})
	r.audit(proto.Audit{RequestID: "c", Phase: proto.PhaseStart})
	r.audit(proto.Audit{RequestID: "d", Phase: proto.PhaseStart})
	r.audit(proto.Audit{RequestID: "d", Phase: proto.PhaseEnd, Decision: proto.DecisionAllowed, RequestModel: "my-model", Usage: &proto.Usage{Input: 5}})

	got, err := report.Make(t.Context(), conn, price.Shipped(), from, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	text := got.Text(time.UTC, price.Shipped().AsOf)
	for _, want := range []string{
		"4 alerts: 1 critical, 3 high; 10 events. 3 were about what a sensor has blocked.",
		"     3  ET SCAN\n     1  metadata access\n",
		"     2  n3.example\n", "     2  under 2 other names\n",
		"     1  192.0.2.7\n",
		"3 LLM requests, 1 blocked; 1 more without an end\n",
		"1000005 tokens in (500000 of them cached), 10000 out; 1 answers broke off",
		"About $1.80 by the list prices of 2025-11-01, without my-model, of which no price is known.",
		"     2  exec\n     1  read\n",
		"1 stored messages could not be read",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "SILENT") {
		t.Errorf("a sensor that has just spoken is called silent:\n%s", text)
	}

	// Of a day that has not come yet: nothing is in it, and the sensor is silent.
	to := time.Now().Add(26 * time.Hour)
	got, err = report.Make(t.Context(), conn, price.Shipped(), to.Add(-24*time.Hour), to)
	if err != nil {
		t.Fatal(err)
	}
	text = got.Text(time.UTC, price.Shipped().AsOf)
	for _, want := range []string{"No alerts; 0 events.", "No LLM requests.", "SILENT: nothing from suricata on box1 since "} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "from proxy") {
		t.Errorf("the proxy is called a silent sensor:\n%s", text)
	}
}

func TestTopIsBounded(t *testing.T) {
	var top report.Top
	for i := range 30_000 {
		top.Add(fmt.Sprint(i))
		top.Add("often")
	}
	first, names, occurrences := top.First(1)
	if first[0] != (report.Count{Name: "often", Count: 30_000}) || names != 19_999 || occurrences != 30_000 {
		t.Errorf("%v, %d names, %d occurrences", first, names, occurrences)
	}
}
