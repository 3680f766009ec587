package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/clock"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

const chatName = "fake"

// fastClock runs faster than time does: the delivery's minutes pass while the
// bus, which is real, does real work.
type fastClock struct {
	speed int64
	start time.Time
}

func newFastClock(speed int64) fastClock { return fastClock{speed, time.Now()} }

func (c fastClock) Now() time.Time {
	return c.start.Add(time.Since(c.start) * time.Duration(c.speed))
}

func (c fastClock) Uptime() (string, time.Duration) {
	return "boot", time.Since(c.start) * time.Duration(c.speed)
}

func (c fastClock) Timer(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d / time.Duration(c.speed))
	return t.C, func() { t.Stop() }
}

// text is what the fake chat's messages say.
type text struct {
	Kind    proto.DeliveryKind
	Level   int
	Titles  []string // of the cards, or of the digest's groups
	Counts  []int
	Total   int
	Text    string
	Notices []string
	Silent  bool
}

// sent is one request to the fake chat.
type sent struct {
	text
	raw       string
	at        time.Time
	where     sink.Place
	mayRepeat bool
	accepted  bool // by the chat, whatever it answered
}

// fakeChat does what its script says.
type fakeChat struct {
	clock   clock.Clock
	address string
	limits  sink.Limits
	levels  int
	onSend  func(n int, s *sent) error // n from 0; sets s.accepted
	onProbe func() error

	mu  sync.Mutex
	log []sent
}

var _ sink.Chat = (*fakeChat)(nil)

func (*fakeChat) Name() string          { return chatName }
func (c *fakeChat) Address() string     { return c.address }
func (c *fakeChat) Limits() sink.Limits { return c.limits }

func (c *fakeChat) Render(b sink.Batch, level int) (sink.Message, bool) {
	if level >= c.levels {
		return nil, false
	}
	t := text{Kind: b.Kind, Level: level, Text: b.Text, Notices: b.Notices, Silent: b.Silent}
	for _, a := range b.Alerts {
		t.Titles, t.Counts = append(t.Titles, a.Event.Title), append(t.Counts, a.Count)
		t.Total += a.Count
	}
	if b.Digest != nil {
		t.Total = b.Digest.Total
		for _, g := range b.Digest.Groups {
			t.Titles, t.Counts = append(t.Titles, g.Rule), append(t.Counts, g.Count)
		}
	}
	m, err := json.Marshal(t)
	return m, err == nil
}

func (c *fakeChat) Send(ctx context.Context, m sink.Message, where sink.Place, mayRepeat bool) (sink.Receipt, error) {
	s := sent{raw: string(m), at: c.clock.Now(), where: where, mayRepeat: mayRepeat}
	if err := json.Unmarshal(m, &s.text); err != nil {
		return sink.Receipt{}, &sink.Error{Class: sink.Refused, Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if s.accepted = c.onSend == nil; !s.accepted {
		err = c.onSend(len(c.log), &s)
		s.accepted = s.accepted || err == nil
	}
	c.log = append(c.log, s)
	if err != nil {
		return sink.Receipt{}, err
	}
	return sink.Receipt{Chat: "chat", MessageID: fmt.Sprint(len(c.log))}, nil
}

func (c *fakeChat) Probe(context.Context, sink.Place) error {
	if c.onProbe == nil {
		return nil
	}
	return c.onProbe()
}

func (c *fakeChat) requests() []sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

func (c *fakeChat) accepted() []sent {
	return slices.DeleteFunc(c.requests(), func(s sent) bool { return !s.accepted })
}

func failure(class sink.Class) *sink.Error {
	return &sink.Error{Class: class, Err: errors.New("the chat says " + class.String())}
}

// rig is a bus with a source of alerts and a chat.
type rig struct {
	t      testing.TB
	bus    *bustest.Bus
	lanes  []proto.Consumer // of all streams
	added  []proto.Stream   // those that not every bus has
	source *bus.Fence
	stream string // of the source's alerts
	chat   *fakeChat
	clock  fastClock
	change func(*Options)
	ready  chan error // the last one reported, if any

	published uint64
	reader    *bus.Conn // see operator
}

// operator returns a connection that reads what is stored.
func (g *rig) operator() *bus.Conn {
	g.t.Helper()
	if g.reader == nil {
		g.reader = g.bus.Conn(g.t, bus.RoleOperator)
	}
	return g.reader
}

// speed is how many seconds pass for the delivery in one of the bus.
const speed = 300

func newRig(t testing.TB, opts ...bustest.Option) *rig {
	return newRigWith(t, 30*time.Second, bus.ProvisionConfig{}, opts...)
}

func newRigWith(t testing.TB, ackWait time.Duration, plan bus.ProvisionConfig, opts ...bustest.Option) *rig {
	t.Helper()
	return newRigOf(t, ackWait, plan, bustest.AlertStreams(), opts...)
}

// newRigOf starts a rig whose chat has its durables in these streams.
func newRigOf(t testing.TB, ackWait time.Duration, plan bus.ProvisionConfig, streams []string, opts ...bustest.Option) *rig {
	t.Helper()
	var lanes []proto.Consumer
	for _, stream := range streams {
		lanes = append(lanes, lanesOf(stream, ackWait)...)
	}
	plan.Consumers = lanes
	// The plan before the others: they may add streams to it.
	b := bustest.Start(t, append([]bustest.Option{bustest.Durables(lanes...), bustest.Provision(plan)}, opts...)...)
	g := &rig{t: t, bus: b, lanes: lanes, added: plan.Streams, stream: proto.AlertsStream(bustest.Suricata), clock: newFastClock(speed), ready: make(chan error, 1)}
	g.chat = &fakeChat{clock: g.clock, levels: 2, limits: sink.Limits{PerMinute: 10, Gap: 1100 * time.Millisecond}}
	g.source = bus.NewFence(b.Conn(t, bus.ShipperRole(bustest.Suricata)), g.stream, proto.SourceFilter(bustest.Host, bustest.Suricata))
	if _, err := g.source.Last(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// lanesOf are the chat's durables in a stream.
func lanesOf(stream string, ackWait time.Duration) []proto.Consumer {
	lanes := proto.LaneConsumers(chatName, stream)
	for i := range lanes {
		lanes[i].AckWait = ackWait
	}
	return lanes
}

// alert is an alert whose id, title and entity are its own.
func alert(severity proto.Severity, title string) *nats.Msg {
	return event(severity, title, title)
}

func event(severity proto.Severity, id, title string) *nats.Msg {
	e := proto.Event{ID: id, Time: time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC), Host: bustest.Host, Source: bustest.Suricata, Kind: "alert", Title: title, Raw: json.RawMessage(`{"a":1}`)}
	e.SetSeverity(severity)
	m := nats.NewMsg(proto.NewSubject(bustest.Host, bustest.Suricata, "alert", severity).Ingest())
	m.Header.Set(proto.HeaderEventID, id)
	m.Data = e.AppendJSON(nil)
	return m
}

// numbered are n alerts of one severity with titles from prefix0 on.
func numbered(severity proto.Severity, prefix string, n int) []*nats.Msg {
	var msgs []*nats.Msg
	for i := range n {
		msgs = append(msgs, alert(severity, fmt.Sprint(prefix, i)))
	}
	return msgs
}

func (g *rig) publish(msgs ...*nats.Msg) {
	g.t.Helper()
	for batch := range slices.Chunk(msgs, proto.MaxBatch) {
		if err := g.source.Publish(g.t.Context(), batch); err != nil {
			g.t.Fatal(err)
		}
	}
	g.published += uint64(len(msgs))
}

// options are those of a delivery on a connection of its own.
func (g *rig) options() Options {
	o := Options{
		Conn:    g.bus.Conn(g.t, bus.RoleNotifier),
		Chat:    g.chat,
		Min:     proto.SeverityLow,
		Log:     bustest.Log(g.t),
		Metrics: prometheus.NewRegistry(),
		Clock:   g.clock,
		Ready: func(err error) {
			select {
			case <-g.ready:
			default:
			}
			g.ready <- err
		},
	}
	if g.change != nil {
		g.change(&o)
	}
	return o
}

// errKilled is how a delivery ends that a test has killed.
var errKilled = errors.New("killed")

// run runs d until ctx ends, or until at panics with errKilled, which is as near to
// SIGKILL as a process can come with itself: nothing is handed back or stored.
func run(ctx context.Context, d *Delivery) (err error) {
	defer func() {
		if p := recover(); p == errKilled { //nolint:errorlint // thrown as it is
			err = errKilled
		} else if p != nil {
			panic(p)
		}
	}()
	return d.Run(ctx)
}

// start runs a delivery until stop is called or the test ends.
func (g *rig) start() (d *Delivery, stop func()) {
	g.t.Helper()
	d = New(g.options())
	return d, g.background(d)
}

func (g *rig) background(d *Delivery) (stop func()) {
	ctx, cancel := context.WithCancel(g.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, d) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				g.t.Errorf("the delivery ended with %v", err)
			}
		})
	}
	g.t.Cleanup(stop)
	return stop
}

// killAt runs a delivery that is killed when it comes to a step for the nth
// time, and waits for that.
func (g *rig) killAt(step string, nth int) {
	g.t.Helper()
	d := New(g.options())
	d.at = func(s string) {
		if s == step {
			if nth--; nth == 0 {
				panic(errKilled)
			}
		}
	}
	if err := run(g.t.Context(), d); !errors.Is(err, errKilled) {
		g.t.Fatalf("not killed: %v", err)
	}
}

// settled waits until the lanes have nothing left to do.
func (g *rig) settled() {
	g.t.Helper()
	g.stored()
	conn := g.bus.Conn(g.t, bus.RoleNotifier)
	bustest.Eventually(g.t, "everything is acknowledged", func() bool {
		for _, def := range g.lanes {
			c, err := conn.Bind(g.t.Context(), def.Stream, def.Durable)
			if err != nil {
				return false
			}
			p, err := c.Progress(g.t.Context())
			if err != nil || p.Pending > 0 || p.Unacked > 0 {
				return false
			}
		}
		return true
	})
}

// stored waits until the streams of alerts have got what was published.
func (g *rig) stored() {
	g.t.Helper()
	conn := g.operator()
	// In parts, so that what is waited for is that the copying goes on: how fast
	// it is depends on the disk, and on what else the machine does.
	const part = 500
	for from := uint64(0); from < g.published; from += part {
		g.storedThrough(conn, min(from+part, g.published))
	}
}

func (g *rig) storedThrough(conn *bus.Conn, published uint64) {
	g.t.Helper()
	bustest.Eventually(g.t, "the alerts are stored", func() bool {
		o, err := conn.Overview(g.t.Context(), g.added...)
		if err != nil {
			return false
		}
		stored := uint64(0)
		for _, s := range o.Streams {
			if slices.ContainsFunc(g.lanes, func(c proto.Consumer) bool { return c.Stream == s.Name }) {
				stored += s.Last
			}
		}
		return stored >= published
	})
}

// ledger is what was recorded, the records of a message as one.
func (g *rig) ledger() []proto.Delivery {
	g.t.Helper()
	var all []proto.Delivery
	for m, err := range g.operator().History(g.t.Context(), proto.StreamDeliveries, proto.DeliveriesPrefix+".>", bus.Start{}) {
		if err != nil {
			g.t.Fatal(err)
		}
		var d proto.Delivery
		if err := json.Unmarshal(m.Data, &d); err != nil {
			g.t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(other proto.Delivery) bool { return other.MessageID == d.MessageID })
		if i < 0 {
			all = append(all, d)
			continue
		}
		for _, run := range d.Ranges {
			if !slices.Contains(all[i].Ranges, run) {
				all[i].Ranges = append(all[i].Ranges, run)
			}
		}
	}
	return all
}

// titles are all that the accepted messages show, with how often.
func (g *rig) titles() map[string]int {
	titles := make(map[string]int)
	for _, s := range g.chat.accepted() {
		for i, title := range s.Titles {
			titles[title] += s.Counts[i]
		}
	}
	return titles
}

// checkRate fails the test if the requests were too many in a window, or too close.
func (g *rig) checkRate() {
	g.t.Helper()
	requests, limits := g.chat.requests(), g.chat.limits
	for i, r := range requests {
		if i > 0 && r.at.Sub(requests[i-1].at) < limits.Gap {
			g.t.Errorf("requests %d and %d are %s apart", i-1, i, r.at.Sub(requests[i-1].at))
		}
		if n := limits.PerMinute; i >= n && r.at.Sub(requests[i-n].at) < time.Minute {
			g.t.Errorf("requests %d to %d, more than %d, came within %s", i-n, i, n, r.at.Sub(requests[i-n].at))
		}
	}
}

func eventually(g *rig, what string, holds func([]sent) bool) []sent {
	g.t.Helper()
	var got []sent
	bustest.Eventually(g.t, what, func() bool {
		got = g.chat.accepted()
		return holds(got)
	})
	return got
}

// notices are all that the accepted messages told beside alerts.
func notices(messages []sent) (all []string) {
	for _, s := range messages {
		all = append(all, s.Notices...)
	}
	return all
}
