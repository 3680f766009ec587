package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// late is how long a source may be silent in these tests: long enough for heartbeats
// every few milliseconds on a busy machine.
const late = 2 * time.Second

// watched is a bus whose progress is watched.
type watched struct {
	*bustest.Bus
	t    *testing.T
	tail *bus.Conn
	rt   daemon.Runtime
}

func newWatched(t *testing.T, opts ...bustest.Option) *watched {
	b := bustest.Start(t, opts...)
	rt := daemon.Discard()
	rt.Ready.Set("nats", nil)
	return &watched{b, t, b.Conn(t, bus.RoleTail), rt}
}

// watch watches, as a notifier with the sink webhook, until stop is called.
func (w *watched) watch() (stop func()) {
	w.rt.Log, w.rt.Metrics = bustest.Log(w.t), prometheus.NewRegistry()
	n := &notifier{conn: w.Conn(w.t, bus.RoleNotifier), rt: w.rt, cfg: Config{Host: bustest.Host}}
	p := n.progressWatch([]string{"webhook", "stdout"})
	p.every, p.watch.Late = 5*time.Millisecond, late
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the watch ended with %v", err)
		}
		ended <- nil
	}
	w.t.Cleanup(stop)
	return stop
}

// alarms are what the notifier has published: condition and state, in order.
func (w *watched) alarms() (all []string) {
	w.t.Helper()
	streams, err := w.tail.SecurityStreams(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	filter := "security.alert." + bustest.Host + "." + bus.RoleNotifier + ".>"
	for m, err := range w.tail.MergedHistory(w.t.Context(), streams, filter, bus.Start{}) {
		var e proto.Event
		var raw struct{ State, Subject string }
		if err == nil {
			err = errors.Join(json.Unmarshal(m.Data, &e), json.Unmarshal(e.Raw, &raw))
		}
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %s %s %s", e.Kind, raw.Subject, raw.State, e.Severity))
	}
	return all
}

// await waits for exactly these alarms.
func (w *watched) await(want ...string) {
	w.t.Helper()
	bustest.Eventually(w.t, fmt.Sprintf("the alarms are %q", want), func() bool {
		got := w.alarms()
		if len(got) > len(want) {
			w.t.Fatalf("alarms %q, want %q", got, want)
		}
		return slices.Equal(got, want)
	})
}

// A source that ends is an alarm, which says so on /readyz too and is over when the source
// is back. One that is alive and has nothing to say is none. A watch that starts again
// repeats nothing.
func TestDeadSourceIsAnAlarm(t *testing.T) {
	w := newWatched(t)
	heart := func(source string) (stop func()) {
		return progress.Heart{
			Conn: w.Conn(t, bus.ShipperRole(source)), Host: bustest.Host, Source: source, Every: 5 * time.Millisecond,
			Problem: func() error { return nil }, Log: bustest.Log(t),
		}.Start(t.Context())
	}
	defer heart(bustest.Suricata)() // quiet, and alive
	kill := heart(bustest.Tracee)
	stop := w.watch()
	operator := w.Conn(t, bus.RoleOperator)
	bustest.Eventually(t, "both beat", func() bool {
		beats, err := progress.Beats(t.Context(), operator)
		return err == nil && len(beats) == 2
	})
	kill()
	raised := "source-silent tracee on box1 raised high"
	w.await(raised)
	bustest.Eventually(t, "/readyz says so", func() bool {
		_, ready := w.rt.Ready.Check()
		return !ready && strings.Contains(w.rt.Ready.Reason("progress").Error(), "The shipper of tracee on box1")
	})
	stop()
	stop = w.watch()
	defer stop()
	kill = heart(bustest.Tracee)
	defer kill()
	w.await(raised, "source-silent tracee on box1 over medium")
	bustest.Eventually(t, "/readyz says nothing", func() bool { return w.rt.Ready.Reason("progress") == nil })
}

// A source that is started again and again is an alarm, though it is alive each time.
func TestRestartingSourceIsAnAlarm(t *testing.T) {
	w := newWatched(t)
	w.watch()
	shipper, operator := w.Conn(t, bus.ShipperRole(bustest.Tracee)), w.Conn(t, bus.RoleOperator)
	for n := 1; n <= progress.Restarts; n++ {
		stop := progress.Heart{
			Conn: shipper, Host: bustest.Host, Source: bustest.Tracee, Every: 5 * time.Millisecond,
			Problem: func() error { return nil }, Log: bustest.Log(t),
		}.Start(t.Context())
		defer stop()
		bustest.Eventually(t, "it is alive", func() bool {
			beats, err := progress.Beats(t.Context(), operator)
			return err == nil && len(beats) == 1 && beats[0].Starts == n
		})
		if n < progress.Restarts {
			stop()
		}
	}
	w.await("source-restarts tracee on box1 raised high")
}

// What has ended too often and runs is no reason to call the notifier not ready: its
// container would be unhealthy for a quarter of an hour after the last crash.
func TestNotReady(t *testing.T) {
	standing := map[string]progress.Alarm{
		"a": {Condition: progress.SourceRestarts, Text: "one was started 5 times"},
		"b": {Condition: progress.ServerRestarts, Text: "NATS was lost 5 times"},
	}
	if err := notReady(standing); err != nil {
		t.Errorf("not ready after crashes that are over: %v", err)
	}
	standing["c"] = progress.Alarm{Condition: progress.SourceSilent, Text: "one has not reported"}
	standing["d"] = progress.Alarm{Condition: progress.Evicted, Text: "alerts are gone"}
	if err := notReady(standing); err == nil || err.Error() != "one has not reported; alerts are gone" {
		t.Errorf("the reason is %v", err)
	}
}

// A source that runs and cannot publish says so itself.
func TestBlockedSourceIsAnAlarm(t *testing.T) {
	w := newWatched(t)
	w.watch()
	defer progress.Heart{
		Conn: w.Conn(t, bus.RoleProxy), Host: bustest.Host, Source: bus.RoleProxy, Every: 5 * time.Millisecond,
		Problem: func() error { return errors.New("no places for batches") }, Log: bustest.Log(t),
	}.Start(t.Context())()
	w.await("source-blocked proxy on box1 raised high")
}

// A durable that the server gives nothing to is an alarm, though its consumer is there.
func TestPausedConsumerIsAnAlarm(t *testing.T) {
	const durable = proto.DurableAuditor
	pause := "$JS.API.CONSUMER.PAUSE." + proto.StreamAudit + "." + durable
	w := newWatched(t, bustest.Grant(bus.RoleProvisioner, pause))
	c, err := w.Conn(t, bus.RoleAuditor).Bind(t.Context(), proto.StreamAudit, durable)
	if err != nil {
		t.Fatal(err)
	}
	fetched := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // a consumer that works well
		for {
			msgs, err := c.Fetch(ctx, 10)
			if err != nil {
				fetched <- nil
				return
			}
			for _, m := range msgs {
				if err := m.Ack(); err != nil {
					fetched <- err
					return
				}
			}
		}
	}()
	admin := w.Raw(t, bus.RoleProvisioner)
	hold := func(until time.Time) {
		t.Helper()
		body, _ := json.Marshal(map[string]time.Time{"pause_until": until})
		if reply, err := admin.Request(pause, body, 10*time.Second); err != nil || strings.Contains(string(reply.Data), `"error"`) {
			t.Fatalf("pausing: %v, %s", err, reply.Data)
		}
	}
	hold(time.Now().Add(time.Hour))
	w.watch()
	w.audit(3)
	raised := "consumer-stopped auditor of SECURITY_AUDIT raised high"
	w.await(raised)
	hold(time.Now().Add(-time.Hour))
	w.await(raised, "consumer-stopped auditor of SECURITY_AUDIT over medium")
	cancel()
	if err := <-fetched; err != nil {
		t.Error(err)
	}
}

// audit publishes n records of audit.
func (w *watched) audit(n int) {
	w.t.Helper()
	proxy := w.Conn(w.t, bus.RoleProxy)
	for range n {
		m := nats.NewMsg((&proto.Audit{Host: bustest.Host, Source: bus.RoleProxy, Kind: "request"}).Subject().Ingest())
		m.Data = make([]byte, 4<<10)
		if err := proxy.Publish(w.t.Context(), m); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A stream that fills up is an alarm before it is full, and another when it nearly is.
func TestFillingStreamIsAnAlarm(t *testing.T) {
	w := newWatched(t, bustest.Provision(bus.ProvisionConfig{Limits: map[string]bus.Limits{proto.StreamState: {MaxBytes: 100 << 10}}}))
	w.watch()
	notifier := w.Conn(t, Role)
	keys := 0
	fill := func(n int) {
		t.Helper()
		for range n {
			keys++
			if _, err := notifier.Put(t.Context(), proto.KeyDelivery(fmt.Sprint(keys)), make([]byte, 4<<10), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(20)
	w.await("stream-filling KV_SECURITY_STATE raised medium")
	fill(3)
	w.await("stream-filling KV_SECURITY_STATE raised medium", "stream-filling KV_SECURITY_STATE raised high")
}

// told is a chat that keeps what is sent to it.
type told struct {
	sink.Chat
	texts  []string
	failed error
}

func (*told) Name() string { return "told" }

func (*told) Render(b sink.Batch, _ int) (sink.Message, bool) { return sink.Message(b.Text), true }

func (c *told) Send(_ context.Context, m sink.Message, _ sink.Place, _ bool) (sink.Receipt, error) {
	if c.failed == nil {
		c.texts = append(c.texts, string(m))
	}
	return sink.Receipt{}, c.failed
}

// What the bus itself cannot deliver, because it stores nothing, is sent without it,
// once and when it is over.
func TestOutageIsToldWithoutTheBus(t *testing.T) {
	c := new(told)
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	o := newOutage(bustest.Host, []sink.Opened{{Chats: []sink.Chat{c}}}, daemon.Discard())
	o.now = func() time.Time { return now }
	step := func(err error, after time.Duration, want ...string) {
		t.Helper()
		now = now.Add(after)
		o.beat(t.Context(), err)
		if reason := o.rt.Ready.Reason(condStoring); (reason != nil) != (err != nil) || testutil.ToFloat64(o.storing) == 1 != (err == nil) {
			t.Errorf("after %v: not ready because of %v, storing %v", err, reason, testutil.ToFloat64(o.storing))
		}
		if len(c.texts) != len(want) {
			t.Fatalf("told %q, want %q", c.texts, want)
		}
		for i := range want {
			if !strings.Contains(c.texts[i], want[i]) {
				t.Errorf("told %q, want %q", c.texts[i], want[i])
			}
		}
		c.texts = nil
	}
	full := fmt.Errorf("storing: %w", bus.ErrNoSpace)
	step(nil, 0)
	step(full, 20*time.Second)
	step(nil, 20*time.Second) // a restart
	step(full, 20*time.Second)
	step(full, 59*time.Second)
	c.failed = errors.New("the chat too")
	step(full, 20*time.Second)
	c.failed = nil
	step(full, 20*time.Second, "since 12:01:00 UTC (its disk or its limit is full)")
	step(bus.ErrNotConnected, time.Hour)
	step(nil, 20*time.Second, "stores again, after 1h")
	step(nil, 20*time.Second)
	step(bus.ErrNotConnected, 20*time.Second)
	step(bus.ErrNotConnected, time.Minute, "out of reach")
	step(nil, 0, "stores again")
	step(bus.ErrMaybeStored, 0)
	step(bus.ErrMaybeStored, time.Minute, "its disk may be full")
}
