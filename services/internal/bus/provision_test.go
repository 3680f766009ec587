package bus_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
)

func provision(t *testing.T, c *bus.Conn, plan bus.Plan) bus.Report {
	t.Helper()
	report, err := c.Provision(deadlineContext(t), plan)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// actions are what a report says was done, each once.
func actions(r bus.Report) []string {
	seen := make(map[string]bool)
	for _, p := range r {
		seen[p.Action] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// admin changes streams past Provision.
func admin(t *testing.T, b *bustest.Bus) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(b.Raw(t, bus.RoleProvisioner))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// changeStream updates a stream's configuration as edit says.
func changeStream(t *testing.T, js jetstream.JetStream, name string, edit func(*jetstream.StreamConfig)) {
	t.Helper()
	s, err := js.Stream(deadlineContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	edit(&config)
	if _, err := js.UpdateStream(deadlineContext(t), config); err != nil {
		t.Fatal(err)
	}
}

func streamConfig(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(deadlineContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

func TestProvisionIsIdempotent(t *testing.T) {
	b := bustest.Start(t, bustest.Unprovisioned())
	c := b.Conn(t, bus.RoleProvisioner)
	if err := c.CheckSchema(deadlineContext(t), proto.StreamSecurity); !errors.Is(err, bus.ErrNotProvisioned) || !strings.Contains(err.Error(), "secbus provision") {
		t.Errorf("before: %v", err)
	}
	if _, err := b.Conn(t, notifier).Bind(deadlineContext(t), proto.StreamAlerts, proto.DurableNotifierStdout); !errors.Is(err, bus.ErrNotProvisioned) {
		t.Errorf("before: %v", err)
	}
	first := provision(t, c, bus.Plan{})
	if len(first) != len(proto.Streams())+len(proto.Consumers()) || !slices.Equal(actions(first), []string{"created"}) {
		t.Errorf("first:\n%s", first)
	}
	if second := provision(t, c, bus.Plan{}); len(second) != len(first) || !slices.Equal(actions(second), []string{"unchanged"}) {
		t.Errorf("second:\n%s", second)
	}
	for _, s := range proto.Streams() {
		if err := c.CheckSchema(deadlineContext(t), s.Name); err != nil {
			t.Errorf("after: %v", err)
		}
	}
}

func TestProvisionUpgrades(t *testing.T) {
	foreign := "$JS.API.STREAM.CREATE.FOREIGN"
	b := bustest.Start(t, bustest.Grant(bus.RoleProvisioner, foreign, "$JS.API.STREAM.INFO.FOREIGN"))
	js := admin(t, b)
	c := b.Conn(t, bus.RoleProvisioner)
	if _, err := js.CreateStream(deadlineContext(t), jetstream.StreamConfig{Name: "FOREIGN", Subjects: []string{"foreign.>"}}); err != nil {
		t.Fatal(err)
	}
	publish(t, armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), alerts(5)...)
	consumer := bind(t, b)
	acknowledge(t, fetch(t, consumer, 3)...)

	changeStream(t, js, proto.StreamSecurity, func(s *jetstream.StreamConfig) {
		s.Description = "as an earlier version had it"
		s.MaxAge = time.Hour
		s.AllowAtomicPublish = false
		s.Metadata["owner"] = "the operator"
	})
	if _, err := js.UpdateConsumer(deadlineContext(t), proto.StreamAlerts, jetstream.ConsumerConfig{
		Durable:       proto.DurableNotifierStdout,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       time.Hour,
		MaxAckPending: 1,
		Metadata:      map[string]string{proto.MetadataSchema: strconv.Itoa(proto.SchemaVersion)},
	}); err != nil {
		t.Fatal(err)
	}
	report := provision(t, c, bus.Plan{})
	changes := make(map[string]string)
	for _, p := range report {
		if p.Action == "updated" {
			changes[p.Name] = strings.Join(p.Changes, "; ")
		}
	}
	want := map[string]string{
		proto.StreamSecurity:        "description: as an earlier version had it → Alerts and events, in the order each source wrote them; max_age: 1h0m0s → 720h0m0s; allow_atomic: false → true",
		proto.DurableNotifierStdout: "description:  → Alerts for the sink stdout; ack_wait: 1h0m0s → 30s; max_ack_pending: 1 → 8192",
	}
	if !maps.Equal(changes, want) {
		t.Errorf("report:\n%s", report)
	}
	if owner := streamConfig(t, js, proto.StreamSecurity).Metadata["owner"]; owner != "the operator" {
		t.Errorf("the operator's metadata is %q", owner)
	}
	if again := provision(t, c, bus.Plan{}); !slices.Equal(actions(again), []string{"unchanged"}) {
		t.Errorf("again:\n%s", again)
	}
	p, err := consumer.Progress(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if p.AckedThrough != 3 || p.Pending+uint64(p.Unacked) != 2 {
		t.Errorf("the durable's progress is %+v", p)
	}
	streamConfig(t, js, "FOREIGN")
}

func TestProvisionRefuses(t *testing.T) {
	small := func(name string) bus.Plan {
		return bus.Plan{Limits: map[string]bus.Limits{name: {MaxBytes: 1 << 20}}}
	}
	var schema *bus.SchemaError
	for name, test := range map[string]struct {
		before func(t *testing.T, js jetstream.JetStream)
		plan   bus.Plan
		want   func(error) bool
	}{
		"a newer bus": {
			func(t *testing.T, js jetstream.JetStream) {
				changeStream(t, js, proto.StreamAudit, func(s *jetstream.StreamConfig) {
					s.Metadata[proto.MetadataSchema] = strconv.Itoa(proto.SchemaVersion + 1)
				})
			},
			bus.Plan{},
			func(err error) bool {
				return errors.As(err, &schema) && schema.Have == proto.SchemaVersion+1 && strings.Contains(err.Error(), "upgrade this program")
			},
		},
		"another's stream": {
			func(t *testing.T, js jetstream.JetStream) {
				changeStream(t, js, proto.StreamAudit, func(s *jetstream.StreamConfig) { s.Metadata = nil })
			},
			bus.Plan{},
			func(err error) bool { return errors.As(err, &schema) && schema.Have == 0 },
		},
		"fewer bytes": {
			nil, small(proto.StreamAudit),
			func(err error) bool {
				return err != nil && strings.Contains(err.Error(), "SECURITY_AUDIT: max_bytes: 1073741824 → 1048576")
			},
		},
		"less time": {
			nil,
			bus.Plan{Limits: map[string]bus.Limits{proto.StreamDead: {MaxAge: time.Hour}}},
			func(err error) bool {
				return err != nil && strings.Contains(err.Error(), "SECURITY_DEAD: max_age: 2160h0m0s → 1h0m0s")
			},
		},
		"limits of no stream": {
			nil, small("SECURITY_TYPO"),
			func(err error) bool { return err != nil && strings.Contains(err.Error(), "SECURITY_TYPO") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bustest.Start(t)
			js := admin(t, b)
			if test.before != nil {
				test.before(t, js)
			}
			// What could be changed must stay too: it is all or nothing.
			changeStream(t, js, proto.StreamSecurity, func(s *jetstream.StreamConfig) { s.Description = "untouched" })
			_, err := b.Conn(t, bus.RoleProvisioner).Provision(deadlineContext(t), test.plan)
			if !test.want(err) {
				t.Errorf("got %v", err)
			}
			if d := streamConfig(t, js, proto.StreamSecurity).Description; d != "untouched" {
				t.Errorf("a stream was changed: %q", d)
			}
		})
	}
	t.Run("another storage", func(t *testing.T) {
		b := bustest.Start(t, bustest.Unprovisioned())
		if _, err := admin(t, b).CreateStream(deadlineContext(t), jetstream.StreamConfig{
			Name:     proto.StreamSecurity,
			Storage:  jetstream.MemoryStorage,
			Metadata: map[string]string{proto.MetadataSchema: "1"},
		}); err != nil {
			t.Fatal(err)
		}
		_, err := b.Conn(t, bus.RoleProvisioner).Provision(deadlineContext(t), bus.Plan{})
		if err == nil || !strings.Contains(err.Error(), "storage: Memory → File: the server cannot change this") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("newer, to a service", func(t *testing.T) {
		b := bustest.Start(t)
		changeStream(t, admin(t, b), proto.StreamSecurity, func(s *jetstream.StreamConfig) {
			s.Metadata[proto.MetadataSchema] = strconv.Itoa(proto.SchemaVersion + 1)
		})
		err := b.Conn(t, bus.ShipperRole(bustest.Tracee)).CheckSchema(deadlineContext(t), proto.StreamSecurity)
		if !errors.As(err, &schema) || schema.Have != proto.SchemaVersion+1 || schema.Want != proto.SchemaVersion {
			t.Errorf("got %v", err)
		}
	})
}

func TestProvisionShrinksWhenAllowed(t *testing.T) {
	b := bustest.Start(t)
	c := b.Conn(t, bus.RoleProvisioner)
	limits := map[string]bus.Limits{proto.StreamSecurity: {MaxBytes: 1 << 20, MaxAge: time.Hour}}
	provision(t, c, bus.Plan{Limits: limits, AllowShrink: true})
	config := streamConfig(t, admin(t, b), proto.StreamSecurity)
	if config.MaxBytes != 1<<20 || config.MaxAge != time.Hour {
		t.Errorf("max_bytes %d, max_age %s", config.MaxBytes, config.MaxAge)
	}
	// Growing needs no permission.
	if report := provision(t, c, bus.Plan{}); !slices.Equal(actions(report), []string{"unchanged", "updated"}) {
		t.Errorf("report:\n%s", report)
	}
}

// A cancelled Provision says so and can be repeated.
func TestProvisionCancelled(t *testing.T) {
	b := bustest.Start(t, bustest.Unprovisioned())
	c := b.Conn(t, bus.RoleProvisioner)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Provision(ctx, bus.Plan{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	provision(t, c, bus.Plan{})
}

// A sink that is added later begins where the most advanced one stands: it
// neither floods the owner with what was delivered nor skips what was not.
func TestNewSinkBeginsWhereOthersStand(t *testing.T) {
	urgent, routine := proto.LaneConsumers("telegram-1")
	other, otherRoutine := proto.LaneConsumers("telegram-2")
	b := bustest.Start(t, bustest.Durables(urgent, routine, other, otherRoutine))
	c := b.Conn(t, bus.RoleProvisioner)
	publish(t, armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), alerts(5)...)
	acknowledge(t, fetch(t, bind(t, b), 3)...)

	first := bus.Plan{Consumers: []proto.Consumer{urgent, routine}}
	provision(t, c, first)
	sequences := func(def proto.Consumer) []uint64 {
		t.Helper()
		consumer, err := b.Conn(t, notifier).Bind(deadlineContext(t), def.Stream, def.Durable)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, m := range fetch(t, consumer, 2) {
			got = append(got, m.Sequence)
		}
		return got
	}
	if got := sequences(urgent); !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("the new sink gets %v", got)
	}
	if again := provision(t, c, first); !slices.Equal(actions(again), []string{"unchanged"}) {
		t.Errorf("again:\n%s", again)
	}
	// telegram-1 has delivered nothing, standard output three.
	provision(t, c, bus.Plan{Consumers: []proto.Consumer{urgent, routine, other, otherRoutine}})
	if got := sequences(other); !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("the next sink gets %v", got)
	}
	overview, err := b.Conn(t, bus.RoleOperator).Overview(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range overview.Durables {
		names = append(names, d.Name)
		if d.Err != nil || d.Evicted != 0 {
			t.Errorf("%+v", d)
		}
	}
	slices.Sort(names)
	if want := []string{proto.DurableAuditor, proto.DurableNotifierStdout, other.Durable, otherRoutine.Durable, routine.Durable, urgent.Durable}; !slices.Equal(names, slices.Sorted(slices.Values(want))) {
		t.Errorf("durables are %v", names)
	}
}
