package consume_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

var errFails = errors.New("fails")

// rig is a bus with a durable and a source.
type rig struct {
	t       *testing.T
	bus     *bustest.Bus
	source  *bus.Conn
	durable proto.Consumer
	other   *bus.Consumer // the durable, as another process has it
	metrics *prometheus.Registry

	mu    sync.Mutex
	ready []error
}

// newRig starts one with a durable whose messages come again after ackWait.
func newRig(t *testing.T, ackWait time.Duration) *rig {
	durable := proto.SinkConsumer("test", proto.AlertsStream(bustest.Suricata))
	durable.AckWait = ackWait
	b := bustest.Start(t, bustest.Durables(durable), bustest.Provision(bus.ProvisionConfig{Consumers: []proto.Consumer{durable}}))
	other, err := b.Conn(t, bus.RoleNotifier).Bind(t.Context(), durable.Stream, durable.Durable)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, bus: b, source: b.Conn(t, bus.ShipperRole(bustest.Suricata)), durable: durable, other: other}
}

func (r *rig) options() consume.Options {
	r.metrics = prometheus.NewRegistry()
	return consume.Options{
		Conn: r.bus.Conn(r.t, bus.RoleNotifier), Durable: r.durable, Log: bustest.Log(r.t), Metrics: r.metrics,
		Ready: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ready = append(r.ready, err)
		},
	}
}

// publish stores an alert whose payload claims a severity.
func (r *rig) publish(subject, payload proto.Severity, id string) {
	r.t.Helper()
	e := proto.Event{ID: id, Time: time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC), Host: bustest.Host, Source: bustest.Suricata, Kind: "alert", Title: id}
	e.SetSeverity(payload)
	r.store(subject, e.AppendJSON(nil))
}

func (r *rig) store(severity proto.Severity, payload []byte) {
	r.t.Helper()
	subject := proto.NewSubject(bustest.Host, bustest.Suricata, "alert", severity)
	if err := r.source.Publish(r.t.Context(), &nats.Msg{Subject: subject.Ingest(), Data: payload}); err != nil {
		r.t.Fatal(err)
	}
}

// run runs a loop until the function that it returns is called, which returns the
// loop's error.
func (r *rig) run(loop func(ctx context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- loop(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	r.t.Cleanup(func() { _ = stop() })
	return stop
}

func (r *rig) progress() bus.Progress {
	p, err := r.other.Progress(r.t.Context())
	if err != nil {
		r.t.Error(err)
	}
	return p
}

// waiting waits until the durable has n messages to deliver.
func (r *rig) waiting(n uint64) {
	r.t.Helper()
	bustest.Eventually(r.t, "the durable has something to deliver", func() bool { return r.progress().Pending == n })
}

// settled waits until everything up to a sequence is acknowledged.
func (r *rig) settled(through uint64) {
	r.t.Helper()
	bustest.Eventually(r.t, "the durable has acknowledged everything", func() bool {
		p := r.progress()
		return p.Pending == 0 && p.Unacked == 0 && p.AckedThrough == through
	})
}

// dead returns the dead letters, each as its payload and reason.
func (r *rig) dead() []string {
	r.t.Helper()
	var all []string
	for m, err := range r.bus.Conn(r.t, bus.RoleOperator).History(r.t.Context(), proto.StreamDead, proto.DeadPrefix+".>", bus.Start{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, string(m.Data)+": "+m.Header.Get(proto.HeaderDeadReason))
	}
	return all
}

// count is the value of the messages with an outcome.
func (r *rig) count(outcome string) (n float64) {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" && l.GetValue() == outcome {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func titles(batch []consume.Message) string {
	var all []string
	for _, m := range batch {
		all = append(all, m.Event.Title)
	}
	return strings.Join(all, " ")
}

// What is filtered out is acknowledged; an unreadable message becomes a dead letter;
// a payload cannot lower its subject's severity.
func TestEachFilters(t *testing.T) {
	r := newRig(t, time.Hour)
	r.publish(proto.SeverityLow, proto.SeverityLow, "below")
	r.publish(proto.SeverityLow, proto.SeverityHigh, "raised by its payload")
	r.publish(proto.SeverityCritical, proto.SeverityInfo, "lowered by its payload")
	r.publish(proto.SeverityHigh, proto.SeverityHigh, "silenced")
	r.store(proto.SeverityHigh, []byte("{broken"))
	o := r.options()
	o.MinSeverity = proto.SeverityMedium
	o.Silenced = func(e *proto.Event, payload []byte) string {
		if !strings.Contains(string(payload), e.Title) {
			t.Errorf("%s has the payload %s", e.Title, payload)
		}
		if e.Title == "silenced" {
			return "s1"
		}
		return ""
	}
	var got []string
	r.run(func(ctx context.Context) error {
		return consume.Each(ctx, o, func(_ context.Context, m consume.Message) error {
			if !strings.Contains(string(m.Payload), `"severity":"`+m.Event.Severity.String()+`"`) || m.MayRepeat {
				t.Errorf("%s has the payload %s, may repeat: %t", m.Event.Title, m.Payload, m.MayRepeat)
			}
			got = append(got, fmt.Sprintf("%s %s", m.Event.Severity, m.Event.Title))
			return nil
		})
	})
	r.settled(5)
	if want := []string{"high raised by its payload", "critical lowered by its payload"}; !slices.Equal(got, want) {
		t.Errorf("handled %q, want %q", got, want)
	}
	if dead := r.dead(); len(dead) != 1 || !strings.HasPrefix(dead[0], "{broken: decoding the event: ") {
		t.Errorf("dead letters %q", dead)
	}
	for outcome, want := range map[string]float64{"handled": 2, "below_severity": 1, "silenced": 1, "dead_letter": 1} {
		if got := r.count(outcome); got != want {
			t.Errorf("%s: counted %v, want %v", outcome, got, want)
		}
	}
}

// Nobody can name another host or source than those that the server lets it publish
// under, and no payload lowers the severity of its subject.
func TestDecodeBelievesTheSubject(t *testing.T) {
	const subject = "security.alert.box-1.tracee.x.high"
	tests := []struct {
		name, subject, host, source string
		severity                    proto.Severity
		want                        string
	}{
		{"as it should be", subject, "Box 1", "tracee", proto.SeverityHigh, "Box 1 tracee high []"},
		{"another source", subject, "Box 1", "suricata", proto.SeverityHigh, "box-1 tracee high [name-mismatch]"},
		{"another host", subject, "box2", "tracee", proto.SeverityCritical, "box-1 tracee critical [name-mismatch]"},
		{"no names", subject, "", "", proto.SeverityInfo, "box-1 tracee high [name-mismatch]"},
		{"a lower severity", subject, "Box 1", "tracee", proto.SeverityInfo, "Box 1 tracee high []"},
		{"no subject of an event", "dead.x.y", "box2", "suricata", proto.SeverityInfo, "box2 suricata info []"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := proto.Event{ID: "x", Host: tt.host, Source: tt.source, Kind: "x", Title: "x"}
			e.SetSeverity(tt.severity)
			got, payload, err := consume.Decode(tt.subject, e.AppendJSON(nil))
			if err != nil {
				t.Fatal(err)
			}
			var again proto.Event
			if err := json.Unmarshal(payload, &again); err != nil {
				t.Fatal(err)
			}
			for _, e := range []*proto.Event{got, &again} {
				if s := fmt.Sprint(e.Host, " ", e.Source, " ", e.Severity, " ", e.Tags); s != tt.want {
					t.Errorf("got %s, want %s", s, tt.want)
				}
			}
		})
	}
	record := []byte(`{"host":"x","source":"x","request_id":"r1"}`)
	e, payload, err := consume.Decode("security.audit.box1.proxy.request.info", record)
	if err != nil || e.Source != "proxy" || string(payload) != string(record) {
		t.Errorf("a record of class audit became %s (%+v), %v", payload, e, err)
	}
}

// Each class of a handler's error has its consequence, and nothing is acknowledged
// before the handler has taken it.
func TestEachRetries(t *testing.T) {
	r := newRig(t, time.Hour)
	for _, id := range []string{"first", "second"} {
		r.publish(proto.SeverityHigh, proto.SeverityHigh, id)
	}
	r.waiting(2)
	attempts := 0
	r.run(func(ctx context.Context) error {
		return consume.Each(ctx, r.options(), func(_ context.Context, m consume.Message) error {
			switch attempts++; attempts {
			case 1:
				return errFails
			case 2:
				if m.MayRepeat {
					t.Error("the attempt after a definite failure is marked")
				}
				return consume.Ambiguous(consume.Later(errFails, time.Millisecond))
			case 3:
				if p := r.progress(); !m.MayRepeat || p.AckedThrough != 0 || p.Unacked != 2 {
					t.Errorf("may repeat: %t, progress %+v", m.MayRepeat, p)
				}
				return nil
			default:
				if m.MayRepeat || m.Event.Title != "second" {
					t.Errorf("%s, may repeat: %t", m.Event.Title, m.MayRepeat)
				}
				return consume.Refused(errFails)
			}
		})
	})
	r.settled(2)
	if dead := r.dead(); len(dead) != 1 || !strings.HasSuffix(dead[0], ": fails") {
		t.Errorf("dead letters %q", dead)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := []error{nil, errFails, errFails, nil}; len(r.ready) != len(want) || r.ready[0] != nil || !errors.Is(r.ready[1], errFails) || r.ready[3] != nil {
		t.Errorf("readiness %v, want %v", r.ready, want)
	}
}

// What is not finished when the loop ends is there for the next process at once,
// marked as a possible repetition.
func TestTheEndHandsBack(t *testing.T) {
	for name, end := range map[string]func(cancel func()) error{
		"of the context":     func(cancel func()) error { cancel(); return errFails },
		"by a fatal error":   func(func()) error { return consume.Fatal(errFails) },
		"by both, the error": func(cancel func()) error { cancel(); return consume.Fatal(errFails) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, time.Hour)
			for i := range 3 {
				r.publish(proto.SeverityHigh, proto.SeverityHigh, fmt.Sprint(i))
			}
			r.waiting(3)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := consume.Each(ctx, r.options(), func(_ context.Context, m consume.Message) error {
				if m.Event.Title == "0" {
					return nil
				}
				return end(cancel)
			})
			if wantErr := name != "of the context"; errors.Is(err, errFails) != wantErr {
				t.Errorf("ended with %v", err)
			}
			var again []string
			r.run(func(ctx context.Context) error {
				return consume.Each(ctx, r.options(), func(_ context.Context, m consume.Message) error {
					again = append(again, fmt.Sprint(m.Event.Title, m.MayRepeat))
					return nil
				})
			})
			r.settled(3)
			if want := []string{"1true", "2true"}; !slices.Equal(again, want) {
				t.Errorf("delivered again: %q, want %q", again, want)
			}
		})
	}
}

// While the handler works or waits, no other process gets what the loop holds.
func TestHeldMessagesStay(t *testing.T) {
	r := newRig(t, time.Second)
	for i := range 3 {
		r.publish(proto.SeverityHigh, proto.SeverityHigh, fmt.Sprint(i))
	}
	r.waiting(3)
	working, finish := make(chan struct{}), make(chan struct{})
	r.run(func(ctx context.Context) error {
		return consume.Batches(ctx, r.options(), func(_ context.Context, batch []consume.Message) error {
			if len(batch) == 3 {
				close(working)
				<-finish
			}
			return nil
		})
	})
	<-working
	// The fetch outlasts AckWait several times.
	ctx, cancel := context.WithTimeout(t.Context(), 4*r.durable.AckWait)
	defer cancel()
	msgs, err := r.other.Fetch(ctx, 3)
	if err == nil {
		t.Errorf("another process has got %d messages", len(msgs))
	}
	close(finish)
	r.settled(3)
}

// A batch is taken as a whole or not at all; the messages that are refused by
// themselves are found.
func TestBatches(t *testing.T) {
	r := newRig(t, time.Hour)
	for _, id := range []string{"a", "b", "poison", "c", "d"} {
		r.publish(proto.SeverityHigh, proto.SeverityHigh, id)
	}
	r.waiting(5)
	var taken, tried []string
	failed := false
	r.run(func(ctx context.Context) error {
		return consume.Batches(ctx, r.options(), func(_ context.Context, batch []consume.Message) error {
			tried = append(tried, titles(batch))
			if !failed {
				failed = true
				return errFails
			}
			if p := r.progress(); p.AckedThrough > uint64(len(taken)+1) {
				t.Errorf("acknowledged through %d with %q taken", p.AckedThrough, taken)
			}
			if slices.ContainsFunc(batch, func(m consume.Message) bool { return m.Event.Title == "poison" }) {
				return consume.Refused(errFails)
			}
			for _, m := range batch {
				taken = append(taken, m.Event.Title)
			}
			return nil
		})
	})
	r.settled(5)
	if got := strings.Join(taken, ""); got != "abcd" || tried[0] != "a b poison c d" || tried[1] != tried[0] {
		t.Errorf("taken %q by trying %q", got, tried)
	}
	if dead := r.dead(); len(dead) != 1 || !strings.Contains(dead[0], "poison") {
		t.Errorf("dead letters %q", dead)
	}
}

func TestRawMessagesAreNotDecoded(t *testing.T) {
	r := newRig(t, time.Hour)
	r.store(proto.SeverityLow, []byte("{broken"))
	o := r.options()
	o.Raw, o.MinSeverity = true, proto.SeverityHigh
	got := make(chan consume.Message, 1)
	r.run(func(ctx context.Context) error {
		return consume.Batches(ctx, o, func(_ context.Context, batch []consume.Message) error {
			got <- batch[0]
			return nil
		})
	})
	if m := <-got; m.Event != nil || string(m.Payload) != "{broken" {
		t.Errorf("got %+v", m)
	}
	r.settled(1)
}

// The loop outlasts a restart of the server.
func TestEachOutlastsARestart(t *testing.T) {
	r := newRig(t, time.Hour)
	got := make(chan string, 10)
	r.run(func(ctx context.Context) error {
		return consume.Each(ctx, r.options(), func(_ context.Context, m consume.Message) error {
			got <- m.Event.Title
			return nil
		})
	})
	r.publish(proto.SeverityHigh, proto.SeverityHigh, "before")
	if title := <-got; title != "before" {
		t.Errorf("got %q", title)
	}
	r.settled(1)
	r.bus.Restart(t)
	bustest.Eventually(t, "the source can publish again", func() bool {
		e := proto.Event{ID: "after", Title: "after", Time: time.Now().UTC()}
		e.SetSeverity(proto.SeverityHigh)
		subject := proto.NewSubject(bustest.Host, bustest.Suricata, "alert", proto.SeverityHigh)
		return r.source.Publish(t.Context(), &nats.Msg{Subject: subject.Ingest(), Data: e.AppendJSON(nil)}) == nil
	})
	if title := <-got; title != "after" {
		t.Errorf("got %q", title)
	}
}

func TestBindSaysWhatIsMissing(t *testing.T) {
	r := newRig(t, time.Hour)
	o := r.options()
	o.Durable.Durable = "notifier-absent"
	err := consume.Each(t.Context(), o, nil)
	var permission *bus.PermissionError
	if !errors.As(err, &permission) || !strings.Contains(err.Error(), "notifier-absent") {
		t.Errorf("got %v", err)
	}
}
