package notifier

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// pager is a kind of sink that only this test knows: a chat and a sink that takes
// single alerts.
type pager struct {
	Number string `env:"PAGER_NUMBER" doc:"Number to page."`

	sent chan string
}

func (p *pager) Open(sink.Shared) (sink.Opened, error) {
	if p.Number == "" {
		return sink.Opened{}, nil
	}
	return sink.Opened{Chats: []sink.Chat{pagerChat{p}}, Sinks: []sink.Sink{pagerSink{p}}}, nil
}

type pagerChat struct{ *pager }

func (pagerChat) Name() string        { return "pager" }
func (p pagerChat) Address() string   { return p.Number }
func (pagerChat) Limits() sink.Limits { return sink.Limits{PerMinute: 10} }

func (pagerChat) Render(b sink.Batch, level int) (sink.Message, bool) {
	if level > 0 || len(b.Alerts) == 0 {
		return nil, false
	}
	m, err := json.Marshal(b.Alerts[0].Event.Title)
	return m, err == nil
}

func (p pagerChat) Send(_ context.Context, m sink.Message, _ sink.Place, _ bool) (sink.Receipt, error) {
	p.sent <- "message " + string(m)
	return sink.Receipt{Chat: p.Number, MessageID: "1"}, nil
}

func (pagerChat) Probe(context.Context, sink.Place) error { return nil }

func (p pagerChat) Check(context.Context) []check.Finding {
	return []check.Finding{{Hop: "pager", Subject: "number", State: check.Warning, Text: p.Number + " is busy"}}
}

type pagerSink struct{ *pager }

func (pagerSink) Name() string { return "beeper" }

func (p pagerSink) Deliver(_ context.Context, e *proto.Event, _ []byte, _ bool) error {
	p.sent <- "alert " + e.Title
	return nil
}

// A sink that is in the table is documented, provisioned, checked and run without any
// other edit.
func TestSinkOfTheTable(t *testing.T) {
	sent := make(chan string, 10)
	table := append(sinks(), sink.Spec{Title: "Pager", Settings: func() sink.Settings { return &pager{sent: sent} }})
	declared := spec(table)
	environ := []string{"PAGER_NUMBER=112", "NATS_URL="}

	var docs strings.Builder
	if err := config.Markdown(&docs, declared.Settings); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(docs.String(), "## Pager") || strings.Count(docs.String(), "PAGER_NUMBER") != 1 {
		t.Errorf("the documentation is\n%s", docs.String())
	}

	deployment := service.Deployment{Host: bustest.Host, Environ: environ}
	var want []string
	for _, stream := range bustest.AlertStreams() {
		deployment.Streams = append(deployment.Streams, proto.Stream{Name: stream})
		want = append(want, stream+" notifier-stdout", stream+" notifier-beeper")
		for _, lane := range proto.LaneConsumers("pager", stream) {
			want = append(want, stream+" "+lane.Durable)
		}
	}
	layout, err := declared.Layout(deployment)
	if err != nil {
		t.Fatal(err)
	}
	var durables []string
	for _, d := range layout.Durables {
		durables = append(durables, d.Stream+" "+d.Durable)
	}
	slices.Sort(want)
	if !slices.Equal(slices.Sorted(slices.Values(durables)), want) {
		t.Errorf("durables %v, want %v", durables, want)
	}
	if grants := strings.Join(layout.Roles[0].Publish, " "); !strings.Contains(grants, "notifier-beeper") {
		t.Errorf("grants %s", grants)
	}

	// Every bus has those of standard output.
	own := slices.DeleteFunc(layout.Durables, func(c proto.Consumer) bool { return c.Durable == proto.DurableNotifierStdout })
	b := bustest.Start(t, bustest.Durables(own...), bustest.Provision(bus.ProvisionConfig{Consumers: own}))
	cfg := Config{Sinks: Sinks{table: table}}
	if err := config.Load(&cfg, append(environ, "NATS_URL="+b.URL(), "NATS_NKEY_SEED="+b.Seed(t, Role), "DAILY_REPORT_HOUR=")); err != nil {
		t.Fatal(err)
	}
	found := declared.Check(t.Context(), service.Checkup{Deployment: service.Deployment{Environ: environ}})
	found = slices.DeleteFunc(found, func(f check.Finding) bool { return f.Hop == "notifier" })
	if len(found) != 1 || found[0] != (check.Finding{Hop: "pager", Subject: "number", State: check.Warning, Text: "112 is busy"}) {
		t.Errorf("found %v", found)
	}

	r := &rig{t, b, b.Conn(t, bus.ShipperRole(bustest.Suricata))}
	r.background(func(ctx context.Context) error {
		return Run(ctx, cfg, daemon.Runtime{Log: bustest.Log(t), Metrics: prometheus.NewRegistry(), Ready: daemon.NewReadiness()})
	})
	r.alert(proto.SeverityHigh, "it rings")
	got := []string{<-sent, <-sent}
	slices.Sort(got)
	if want := []string{`alert it rings`, `message "it rings"`}; !slices.Equal(got, want) {
		t.Errorf("sent %q", got)
	}
}
