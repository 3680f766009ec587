package notifier

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// rig is a bus with a source that publishes alerts.
type rig struct {
	t   *testing.T
	bus *bustest.Bus
	src *bus.Conn
}

func newRig(t *testing.T) *rig {
	b := bustest.Start(t)
	return &rig{t, b, b.Conn(t, bus.ShipperRole(bustest.Suricata))}
}

func (r *rig) publish(severity proto.Severity, payload []byte) {
	r.t.Helper()
	subject := proto.NewSubject(bustest.Host, bustest.Suricata, "alert", severity)
	if err := r.src.Publish(r.t.Context(), &nats.Msg{Subject: subject.Ingest(), Data: payload}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) alert(severity proto.Severity, title string) {
	e := proto.Event{ID: title, Time: time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC), Host: bustest.Host, Source: bustest.Suricata, Kind: "alert", Title: title}
	e.SetSeverity(severity)
	r.publishEvent(&e)
}

func (r *rig) publishEvent(e *proto.Event) {
	r.t.Helper()
	msg := &nats.Msg{Subject: e.Subject().Ingest(), Data: e.AppendJSON(nil), Header: nats.Header{}}
	msg.Header.Set(proto.HeaderEventID, e.ID)
	if err := r.src.Publish(r.t.Context(), msg); err != nil {
		r.t.Fatal(err)
	}
}

// consumer is the durable, as the notifier has it.
func (r *rig) consumer() *bus.Consumer {
	r.t.Helper()
	c, err := r.bus.Conn(r.t, Role).Bind(r.t.Context(), proto.AlertsStream(bustest.Suricata), proto.DurableNotifierStdout)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// settled waits until the durable has nothing left to do.
func (r *rig) settled(c *bus.Consumer, through uint64) {
	r.t.Helper()
	bustest.Eventually(r.t, "the durable has acknowledged everything", func() bool {
		p, err := c.Progress(r.t.Context())
		return err == nil && p.Pending == 0 && p.Unacked == 0 && p.AckedThrough == through
	})
}

// run runs a notifier until the function that it returns is called.
func (r *rig) run(out *os.File, environ ...string) (stop func()) {
	r.t.Helper()
	var cfg Config
	environ = append(environ, "NATS_URL="+r.bus.URL(), "NATS_NKEY_SEED="+r.bus.Seed(r.t, Role))
	if err := config.Load(&cfg, environ); err != nil {
		r.t.Fatal(err)
	}
	cfg.Out = out
	return r.background(func(ctx context.Context) error {
		return Run(ctx, cfg, daemon.Runtime{Log: bustest.Log(r.t), Metrics: prometheus.NewRegistry(), Ready: daemon.NewReadiness()})
	})
}

func (r *rig) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("the notifier ended with %v", err)
		}
	}
	r.t.Cleanup(stop)
	return stop
}

func TestPrintsAlertsOnceOverARestart(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := r.consumer()

	r.alert(proto.SeverityLow, "below")
	r.alert(proto.SeverityMedium, "first")
	stop := r.run(out)
	r.alert(proto.SeverityCritical, "second")
	r.settled(c, 3)
	stop()
	r.alert(proto.SeverityHigh, "third")
	r.run(out)
	r.settled(c, 4)

	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(got)), "\n")
	for i, want := range []string{"MEDIUM   suricata  first", "CRITICAL suricata  second", "HIGH     suricata  third"} {
		if i >= len(lines) || !strings.HasSuffix(lines[i], want) {
			t.Fatalf("printed\n%s\nwant line %d to end in %q", got, i+1, want)
		}
	}
	if len(lines) != 3 {
		t.Errorf("printed\n%s", got)
	}
}

func TestUndecodableAlertBecomesADeadLetter(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := r.consumer()
	r.publish(proto.SeverityHigh, []byte("{broken"))
	r.alert(proto.SeverityHigh, "after")
	r.run(out)
	r.settled(c, 2)

	if got, err := os.ReadFile(path); err != nil || strings.Count(string(got), "\n") != 1 || !strings.Contains(string(got), "after") {
		t.Errorf("printed %q, %v", got, err)
	}
	dead := 0
	for m, err := range r.bus.Conn(t, bus.RoleOperator).History(t.Context(), proto.StreamDead, proto.DeadPrefix+".>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		dead++
		if string(m.Data) != "{broken" || !strings.Contains(m.Header.Get(proto.HeaderDeadReason), "decoding the event") || m.Header.Get(proto.HeaderDeadSequence) != "1" {
			t.Errorf("dead letter %q with headers %v", m.Data, m.Header)
		}
	}
	if dead != 1 {
		t.Errorf("%d dead letters, want 1", dead)
	}
}

// A payload that claims less than its subject, or to be of another host and source,
// gets past no sink, and no reader of one sees what it claims.
func TestNoPayloadContradictsItsSubject(t *testing.T) {
	e := proto.Event{ID: strings.Repeat("0", 32), Time: time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC), Host: "elsewhere", Source: bustest.Tracee, Kind: "alert", Title: "played down"}
	e.SetSeverity(proto.SeverityInfo)
	payload := e.AppendJSON(nil)

	lacks := func(text string, want ...string) bool {
		named := strings.Contains(text, "elsewhere") || strings.Contains(text, bustest.Tracee)
		return named || slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(text, w) })
	}
	stored := []string{`"severity":"critical","severity_id":5`, `"host":"box1","source":"suricata"`, `"` + proto.TagNameMismatch + `"`}
	for format, want := range map[string][]string{
		"card": {"CRITICAL", "suricata", "box1"}, "line": {"CRITICAL", "suricata"}, "json": stored,
	} {
		t.Run("standard output as "+format, func(t *testing.T) {
			r := newRig(t)
			path := filepath.Join(t.TempDir(), "out")
			out, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { out.Close() }) // after the notifier has ended
			r.publish(proto.SeverityCritical, payload)
			r.run(out, "NOTIFIER_FORMAT="+format)
			r.settled(r.consumer(), 1)
			if got, err := os.ReadFile(path); err != nil || lacks(string(got), want...) {
				t.Errorf("printed %q, %v; want %q in it", got, err, want)
			}
		})
	}
	for format, want := range map[string][]string{
		"json": stored, "cloudevents": append(stored, `"subject":"security.alert.box1.suricata.alert.critical"`, `"source":"/openclaw-security/box1/suricata"`),
	} {
		t.Run("webhook as "+format, func(t *testing.T) {
			var durables []proto.Consumer
			for _, stream := range bustest.AlertStreams() {
				durables = append(durables, proto.SinkConsumer("webhook", stream))
			}
			b := bustest.Start(t, bustest.Durables(durables...), bustest.Provision(bus.ProvisionConfig{Consumers: durables}))
			r := &rig{t, b, b.Conn(t, bus.ShipperRole(bustest.Suricata))}
			posted := make(chan string, 10)
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
				body, _ := io.ReadAll(q.Body)
				posted <- string(body)
			}))
			defer receiver.Close()
			r.publish(proto.SeverityCritical, payload)
			r.run(nil, "WEBHOOK_URL="+receiver.URL, "WEBHOOK_FORMAT="+format)
			if got := <-posted; lacks(got, want...) {
				t.Errorf("posted %q, want %q in it", got, want)
			}
		})
	}
}

// fakeSink takes what onDeliver lets it take.
type fakeSink struct {
	onDeliver func(e *proto.Event, repeated bool) error
}

var _ sink.Sink = (*fakeSink)(nil)

func (*fakeSink) Name() string { return "stdout" } // which has a durable
func (f *fakeSink) Deliver(_ context.Context, e *proto.Event, _ []byte, repeated bool) error {
	return f.onDeliver(e, repeated)
}

// TestNothingIsAcknowledgedThatWasNotTaken lets the sink fail for a while, ends
// the notifier meanwhile, and expects the alert from the next one.
func TestNothingIsAcknowledgedThatWasNotTaken(t *testing.T) {
	r := newRig(t)
	c := r.consumer()
	r.alert(proto.SeverityHigh, "stubborn")

	ready := daemon.NewReadiness()
	deliver := func(to sink.Sink) (stop func()) {
		conn := r.bus.Conn(t, Role)
		n := &notifier{
			cfg:      Config{Alert: Alert{MinSeverity: proto.SeverityMedium}},
			conn:     conn,
			silences: silence.NewKeeper(conn, bustest.Log(t)),
			log:      bustest.Log(t),
			rt:       daemon.Runtime{Log: bustest.Log(t), Metrics: prometheus.NewRegistry(), Ready: ready},
			now:      time.Now,
		}
		return r.background(func(ctx context.Context) error { return n.feed(ctx, to) })
	}
	tried := make(chan struct{}, 100)
	stop := deliver(&fakeSink{onDeliver: func(*proto.Event, bool) error {
		tried <- struct{}{}
		return errors.New("the disk is full")
	}})
	<-tried
	<-tried
	stop()
	if p, err := c.Progress(t.Context()); err != nil || p.AckedThrough != 0 {
		t.Fatalf("after a refused delivery the durable stands at %+v, %v", p, err)
	}
	if conditions, isReady := ready.Check(); isReady || !strings.Contains(conditions[0].Err.Error(), "disk is full") {
		t.Errorf("readiness %v", conditions)
	}

	taken := make(chan bool, 1)
	deliver(&fakeSink{onDeliver: func(e *proto.Event, repeated bool) error {
		if e.Title != "stubborn" {
			return errors.New("not the alert")
		}
		taken <- repeated
		return nil
	}})
	if repeated := <-taken; !repeated {
		t.Error("the repetition is not marked")
	}
	r.settled(c, 1)
}
