package consume_test

import (
	"context"
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

// severalStreams is a bus with streams of alerts of made-up sources, whose durables
// are provisioned later.
type severalStreams struct {
	t    *testing.T
	bus  *bustest.Bus
	plan bus.ProvisionConfig
	nc   *nats.Conn

	mu      sync.Mutex
	handled []string
	ready   error
}

func durableIn(stream string) proto.Consumer {
	c := proto.SinkConsumer("test", stream)
	c.AckWait = time.Second
	return c
}

func newSeveralStreams(t *testing.T, sources ...string) *severalStreams {
	t.Helper()
	var streams []proto.Stream
	options := []bustest.Option{bustest.Grant(bus.RoleProvisioner, proto.StoredPrefix+".>")}
	var durables []proto.Consumer
	for _, stream := range bustest.AlertStreams() {
		durables = append(durables, durableIn(stream))
	}
	own := len(durables)
	for _, source := range sources {
		s := proto.Stream{
			Name: proto.AlertsStream(source), Subjects: []string{proto.StoredPrefix + ".alert.*." + source + ".>"},
			MaxAge: time.Hour, MaxBytes: 1 << 20, Discard: proto.DiscardOld,
		}
		streams, durables = append(streams, s), append(durables, durableIn(s.Name))
	}
	options = append(options, bustest.Durables(durables...),
		bustest.Provision(bus.ProvisionConfig{Consumers: durables[:own]}), bustest.Streams(streams...))
	b := bustest.Start(t, options...)
	return &severalStreams{
		t: t, bus: b, nc: b.Raw(t, bus.RoleProvisioner),
		plan: bus.ProvisionConfig{Streams: streams, Consumers: append(bustest.Consumers(), durables[:own]...)},
	}
}

// provision adds the durables in the streams of sources.
func (s *severalStreams) provision(sources ...string) {
	s.t.Helper()
	for _, source := range sources {
		s.plan.Consumers = append(s.plan.Consumers, durableIn(proto.AlertsStream(source)))
	}
	if _, err := s.bus.Conn(s.t, bus.RoleProvisioner).Provision(s.t.Context(), s.plan); err != nil {
		s.t.Fatal(err)
	}
}

func (s *severalStreams) store(source, id string) {
	s.t.Helper()
	e := proto.Event{ID: id, Time: time.Now(), Host: bustest.Host, Source: source, Kind: "alert", Title: id}
	e.SetSeverity(proto.SeverityHigh)
	if _, err := s.nc.Request(e.Subject().Stored(), e.AppendJSON(nil), 10*time.Second); err != nil {
		s.t.Fatal(err)
	}
}

// run handles alerts until the returned function is called, which returns the loop's
// error.
func (s *severalStreams) run(handle func(title string) error) (stop func() error) {
	r := &rig{t: s.t}
	conn, log := s.bus.Conn(s.t, bus.RoleNotifier), bustest.Log(s.t)
	return r.run(func(ctx context.Context) error {
		return consume.EachAlert(ctx, consume.Options{
			Conn: conn, Log: log, Metrics: prometheus.NewRegistry(),
			Ready: func(err error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.ready = err
			},
		}, durableIn, func(_ context.Context, m consume.Message) error {
			if err := handle(m.Event.Title); err != nil {
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.handled = append(s.handled, m.Event.Title)
			return nil
		})
	})
}

func (s *severalStreams) has(title string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.handled, title)
}

func (s *severalStreams) unready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// Alerts of all streams are handled, each once; what one of them has to repeat does
// not keep those of another back.
func TestEachAlert(t *testing.T) {
	s := newSeveralStreams(t, "cameras", "doors")
	s.provision("cameras", "doors")
	const n = 20
	for i := range n {
		s.store("cameras", fmt.Sprint("camera ", i))
		s.store("doors", fmt.Sprint("door ", i))
	}
	var mu sync.Mutex
	works := false
	stop := s.run(func(title string) error {
		mu.Lock()
		defer mu.Unlock()
		if !works && strings.HasPrefix(title, "camera") {
			return errFails
		}
		return nil
	})
	bustest.Eventually(t, "those of the other stream are handled", func() bool { return s.has(fmt.Sprint("door ", n-1)) })
	bustest.Eventually(t, "readiness says why not all are", func() bool { return errors.Is(s.unready(), errFails) })
	if s.has("camera 0") {
		t.Error("one that fails counts as handled")
	}
	mu.Lock()
	works = true
	mu.Unlock()
	bustest.Eventually(t, "all are handled", func() bool { return s.has(fmt.Sprint("camera ", n-1)) })
	bustest.Eventually(t, "all is well", func() bool { return s.unready() == nil })
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	for source, want := range map[string][]string{"camera": s.handled, "door": s.handled} {
		got := slices.DeleteFunc(slices.Clone(want), func(title string) bool { return !strings.HasPrefix(title, source) })
		for i, title := range got {
			if title != fmt.Sprint(source, " ", i) {
				t.Errorf("of %s, %q is handled in place %d", source, title, i)
			}
		}
		if len(got) != n {
			t.Errorf("%d of %s are handled, want %d", len(got), source, n)
		}
	}
}

// A stream without a durable keeps nobody back, and is read once it has one. When none
// can be read, that is an error.
func TestEachAlertOfAStreamWithoutDurable(t *testing.T) {
	t.Parallel()
	s := newSeveralStreams(t, "cameras", "doors")
	s.provision("doors")
	s.store("cameras", "camera")
	s.store("doors", "door")
	stop := s.run(func(string) error { return nil })
	bustest.Eventually(t, "that of the other stream is handled", func() bool { return s.has("door") })
	bustest.Eventually(t, "it is reported", func() bool {
		err := s.unready()
		return errors.Is(err, bus.ErrNotProvisioned) && strings.Contains(err.Error(), proto.AlertsStream("cameras"))
	})
	s.provision("cameras")
	bustest.Eventually(t, "that of the stream is handled", func() bool { return s.has("camera") })
	bustest.Eventually(t, "all is well", func() bool { return s.unready() == nil })
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}

	none := bustest.Start(t, bustest.Unprovisioned())
	err := consume.EachAlert(t.Context(), consume.Options{Conn: none.Conn(t, bus.RoleNotifier), Log: bustest.Log(t), Metrics: prometheus.NewRegistry()},
		durableIn, func(context.Context, consume.Message) error { return nil })
	if !errors.Is(err, bus.ErrNotProvisioned) {
		t.Errorf("without streams: %v", err)
	}
}
