package report_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/notifier/internal/report"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

type rig struct {
	t     *testing.T
	bus   *bustest.Bus
	conns map[string]*bus.Conn
	n     int
}

func newRig(t *testing.T) (*rig, *bus.Conn) {
	b := bustest.Start(t)
	return &rig{t: t, bus: b, conns: map[string]*bus.Conn{
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
	a.Host, a.Source, a.Kind, a.Time = bustest.Host, "proxy", "request", time.Now()
	payload, err := json.Marshal(a)
	if err != nil {
		r.t.Fatal(err)
	}
	r.publish("proxy", a.Subject(), payload)
}

// auditor runs an auditor until the function that it returns is called.
func (r *rig) auditor() (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- auditor.Run(ctx, auditor.Config{
			NATS: config.NATS{URL: r.bus.URL(), NKeySeed: config.NewSecret(r.bus.Seed(r.t, bus.RoleAuditor))},
			Host: bustest.Host, Dir: filepath.Join(r.t.TempDir(), "audit"), SegmentBytes: 1 << 20, SignEvery: time.Minute,
		}, daemon.Discard())
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

func TestMake(t *testing.T) {
	r, conn := newRig(t)
	stop := r.auditor()
	asked := audit.Client{Conn: conn}
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

	bustest.Eventually(t, "all records are indexed", func() bool {
		s, err := asked.Status(t.Context())
		return err == nil && s.Indexed == 7
	})

	got, err := report.Make(t.Context(), conn, asked, from, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	text := got.Text(time.UTC)
	// Whether the auditor has published a checkpoint depends on when it looked for
	// the first time, before or after it had a record, and on when it was stopped.
	events := func() int {
		streams, err := conn.SecurityStreams(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 10
		checkpoints := proto.StoredPrefix + ".event.*." + bus.RoleAuditor + "." + auditor.KindCheckpoint + ".*"
		for _, err := range conn.MergedHistory(t.Context(), streams, checkpoints, bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	for _, want := range []string{
		fmt.Sprintf("4 alerts: 1 critical, 3 high; %d events. 3 were about what a sensor has blocked.", events()),
		"     3  ET SCAN\n     1  metadata access\n",
		"     2  n3.example\n", "     2  under 2 other names\n",
		"     1  192.0.2.7\n",
		"3 LLM requests, 1 blocked; 1 more without an end\n",
		"1000005 tokens in (500000 of them cached), 10000 out; 1 answers broke off",
		"About $1.80 by the list prices of 2026-11-30, without my-model, of which no price is known.",
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
	got, err = report.Make(t.Context(), conn, asked, to.Add(-24*time.Hour), to)
	if err != nil {
		t.Fatal(err)
	}
	text = got.Text(time.UTC)
	for _, want := range []string{"No alerts; 0 events.", "No LLM requests.", "SILENT: nothing from suricata on box1 since "} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "from proxy") {
		t.Errorf("the proxy is called a silent sensor:\n%s", text)
	}

	// Without an auditor the report has all the rest.
	stop()
	got, err = report.Make(t.Context(), conn, asked, from, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	text = got.Text(time.UTC)
	for _, want := range []string{fmt.Sprintf("4 alerts: 1 critical, 3 high; %d events.", events()), "1 stored messages could not be read", "LLM requests are not in this report: the auditor does not answer."} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if !errors.Is(got.LLM.Err, audit.ErrUnanswered) || strings.Contains(text, "No LLM requests") {
		t.Errorf("without an auditor, %v:\n%s", got.LLM.Err, text)
	}
}

// stub answers what it is told to.
type stub struct {
	status audit.Status
	report audit.Report
	err    error
}

func (s stub) Status(context.Context) (audit.Status, error) { return s.status, nil }

func (s stub) Report(context.Context, audit.By, audit.Filter) (*audit.Report, error) {
	return &s.report, s.err
}

func (s stub) Tools(context.Context, audit.Filter) ([]audit.ToolUse, error) { return nil, nil }

func TestWhatTheAuditorLacks(t *testing.T) {
	_, conn := newRig(t)
	row := audit.Row{Requests: 9, Allowed: 4, Blocked: 1, Refused: 1, Failed: 1, Interrupted: 1, Open: 1}
	unpriced := []string{"a", "b", "c", "d", "e"}
	for _, tt := range []struct {
		name    string
		auditor stub
		want    string
	}{
		{"all kinds", stub{report: audit.Report{Total: row, PricesOf: "2025-11-01", Unpriced: unpriced}}, `
7 LLM requests, 1 blocked, 1 refused, 1 failed; 2 more without an end
0 tokens in (0 of them cached), 0 out
About $0.00 by the list prices of 2025-11-01, without a, b, c, 2 others, of which no price is known.
`},
		{"behind", stub{status: audit.Status{Records: 12, Indexed: 10, Problem: "no space left"}}, `
No LLM requests.
2 records of the audit log are not counted yet.
LLM requests may be missing: no space left.
`},
		{"an error", stub{err: &audit.ReplyError{Code: audit.CodeFailed, Message: "the index is damaged"}}, `
LLM requests are not in this report: the auditor replies: the index is damaged. ` + "`secbus audit report` shows them.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := report.Make(t.Context(), conn, tt.auditor, time.Now().Add(-time.Minute), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if text := got.Text(time.UTC) + "\n"; !strings.HasSuffix(text, tt.want) {
				t.Errorf("got\n%s\nwant at its end\n%s", text, tt.want)
			}
		})
	}
}

func TestTopIsBounded(t *testing.T) {
	var top report.Top
	for i := range 30_000 {
		top.Add(fmt.Sprint(i), 1)
		top.Add("often", 1)
	}
	first, names, occurrences := top.First(1)
	if first[0] != (report.Count{Name: "often", Count: 30_000}) || names != 19_999 || occurrences != 30_000 {
		t.Errorf("%v, %d names, %d occurrences", first, names, occurrences)
	}
}
