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
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func provision(t *testing.T, c *bus.Conn, plan bus.ProvisionConfig) bus.ProvisionResult {
	t.Helper()
	if plan.Consumers == nil {
		plan.Consumers = bustest.Consumers()
	}
	plan.Streams = append(bustest.SourceStreams(), plan.Streams...)
	report, err := c.Provision(deadlineContext(t), plan)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// allStreams and provisioned are what a bus has that has never been upgraded.
func allStreams() []proto.Stream { return append(proto.Streams(), bustest.SourceStreams()...) }

func provisioned() []proto.Consumer {
	return slices.DeleteFunc(bustest.Consumers(), func(c proto.Consumer) bool { return c.Stream == proto.StreamAlerts })
}

// actions are what a report says was done, each once.
func actions(r bus.ProvisionResult) []string {
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
	if err := c.CheckSchema(deadlineContext(t), eventStream); !errors.Is(err, bus.ErrNotProvisioned) || !strings.Contains(err.Error(), "secbus provision") {
		t.Errorf("before: %v", err)
	}
	if _, err := b.Conn(t, notifier).Bind(deadlineContext(t), alertStream, proto.DurableNotifierStdout); !errors.Is(err, bus.ErrNotProvisioned) {
		t.Errorf("before: %v", err)
	}
	first := provision(t, c, bus.ProvisionConfig{})
	if len(first) != len(allStreams())+len(provisioned()) || !slices.Equal(actions(first), []string{"created"}) {
		t.Errorf("first:\n%s", first)
	}
	if second := provision(t, c, bus.ProvisionConfig{}); len(second) != len(first) || !slices.Equal(actions(second), []string{"unchanged"}) {
		t.Errorf("second:\n%s", second)
	}
	for _, s := range allStreams() {
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
	publish(t, armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), alerts(5)...)
	consumer := bind(t, b)
	acknowledge(t, fetch(t, consumer, 3)...)

	changeStream(t, js, eventStream, func(s *jetstream.StreamConfig) {
		s.Description = "as an earlier version had it"
		s.MaxAge = time.Hour
		s.AllowAtomicPublish = false
		s.Metadata["owner"] = "the operator"
	})
	if _, err := js.UpdateConsumer(deadlineContext(t), alertStream, jetstream.ConsumerConfig{
		Durable:       proto.DurableNotifierStdout,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       time.Hour,
		MaxAckPending: 1,
		Metadata:      map[string]string{proto.MetadataSchema: strconv.Itoa(proto.SchemaVersion)},
	}); err != nil {
		t.Fatal(err)
	}
	report := provision(t, c, bus.ProvisionConfig{})
	changes := make(map[string]string)
	for _, p := range report {
		if p.Action == "updated" {
			changes[p.Name] = strings.Join(p.Changes, "; ")
		}
	}
	want := map[string]string{
		eventStream:                 "description: as an earlier version had it → Events of tracee; max_age: 1h0m0s → 720h0m0s; allow_atomic: false → true",
		proto.DurableNotifierStdout: "description:  → Alerts for the sink stdout; ack_wait: 1h0m0s → 30s; max_ack_pending: 1 → 8192",
	}
	if !maps.Equal(changes, want) {
		t.Errorf("report:\n%s", report)
	}
	if owner := streamConfig(t, js, eventStream).Metadata["owner"]; owner != "the operator" {
		t.Errorf("the operator's metadata is %q", owner)
	}
	if again := provision(t, c, bus.ProvisionConfig{}); !slices.Equal(actions(again), []string{"unchanged"}) {
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

// TestProvisionMigrates brings a bus of schema version 1 to this one, in place.
// Until then every other process is told what to do.
func TestProvisionMigrates(t *testing.T) {
	b := bustest.Start(t)
	js := admin(t, b)
	publish(t, armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), alerts(5)...)
	want := make(map[string]string)
	for _, def := range allStreams() {
		changeStream(t, js, def.Name, func(s *jetstream.StreamConfig) { s.Metadata[proto.MetadataSchema] = "1" })
		want[def.Name] = "openclaw_schema_version: 1 → 3"
	}
	for _, def := range provisioned() {
		durable, err := js.Consumer(deadlineContext(t), def.Stream, def.Durable)
		if err != nil {
			t.Fatal(err)
		}
		config := durable.CachedInfo().Config
		config.Metadata[proto.MetadataSchema] = "1"
		if _, err := js.UpdateConsumer(deadlineContext(t), def.Stream, config); err != nil {
			t.Fatal(err)
		}
		want[def.Durable] = "openclaw_schema_version: 1 → 3"
	}
	shipper := b.Conn(t, bus.ShipperRole(bustest.Tracee))
	var schema *bus.SchemaError
	if err := shipper.CheckSchema(deadlineContext(t), eventStream); !errors.As(err, &schema) || schema.Have != 1 || !strings.Contains(err.Error(), "secbus provision") {
		t.Errorf("before: %v", err)
	}
	changes := make(map[string]string)
	for _, p := range provision(t, b.Conn(t, bus.RoleProvisioner), bus.ProvisionConfig{}) {
		changes[p.Name] = strings.Join(p.Changes, "; ")
	}
	if !maps.Equal(changes, want) {
		t.Errorf("changes %v", changes)
	}
	if err := shipper.CheckSchema(deadlineContext(t), eventStream); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	s, err := js.Stream(deadlineContext(t), alertStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 5 {
		t.Errorf("%d messages are left of 5", n)
	}
}

// The state bucket of schema version 1 gets what a watch needs, and keeps what is in
// it but for the lists of requests, which nothing reads any more.
func TestProvisionMigratesTheBucket(t *testing.T) {
	state := proto.StateSubject(">")
	get := "$JS.API.DIRECT.GET." + proto.StreamState + ".>"
	b := bustest.Start(t, bustest.Unprovisioned(), bustest.Grant(bus.RoleProvisioner, state, get))
	js := admin(t, b)
	if _, err := js.CreateStream(deadlineContext(t), jetstream.StreamConfig{
		Name: proto.StreamState, Subjects: []string{state}, Discard: jetstream.DiscardNew, AllowDirect: true, AllowRollup: true,
		MaxBytes: 64 << 20, MaxAge: 3650 * 24 * time.Hour, MaxMsgsPerSubject: 1, DenyDelete: true,
		Metadata: map[string]string{proto.MetadataSchema: "1"},
	}); err != nil {
		t.Fatal(err)
	}
	provisioner := b.Conn(t, bus.RoleProvisioner)
	for key, value := range map[string]string{
		proto.KeySilences: "[]", proto.KeyDelivery("telegram-1"): "{}",
		"requests.telegram-1": `[{"id":"0123","kind":"test","created":"2026-11-22T07:09:03Z"}]`, "requests.telegram-2": "[]",
		"requests.notifier.4711": `{"id":"4711","kind":"test"}`,
	} {
		if _, err := js.Publish(deadlineContext(t), inState(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	report := provision(t, provisioner, bus.ProvisionConfig{})
	for _, key := range []string{"requests.telegram-1", "requests.telegram-2", "requests.notifier.4711"} {
		if !slices.ContainsFunc(report, func(p bus.Provisioned) bool { return p.Kind == "key" && p.Name == key && p.Action == "removed" }) {
			t.Errorf("%s is not removed:\n%s", key, report)
		}
	}
	for key, want := range map[string]string{
		proto.KeySilences: "[]", proto.KeyDelivery("telegram-1"): "{}", "requests.telegram-1": "", "requests.telegram-2": "", "requests.notifier.4711": "",
	} {
		m, err := provisioner.LastUnder(deadlineContext(t), inState(key), proto.StreamState)
		if err != nil || m != nil && string(m.Data) != want || m == nil && want != "" {
			t.Errorf("%s is %+v, %v; want %q", key, m, err, want)
		}
	}
	if again := provision(t, provisioner, bus.ProvisionConfig{}); !slices.Equal(actions(again), []string{"unchanged"}) {
		t.Errorf("again:\n%s", again)
	}
	if config := streamConfig(t, js, proto.StreamState); !config.AllowMsgTTL || config.RePublish == nil {
		t.Errorf("the bucket is %+v", config)
	}
}

// inState is the subject of a key of the state bucket, also of one that another bucket
// has today.
func inState(key string) string { return "$KV." + proto.BucketState + "." + key }

func TestProvisionRefuses(t *testing.T) {
	small := func(name string) bus.ProvisionConfig {
		return bus.ProvisionConfig{Limits: map[string]bus.Limits{name: {MaxBytes: 1 << 20}}}
	}
	var schema *bus.SchemaError
	for name, test := range map[string]struct {
		before func(t *testing.T, js jetstream.JetStream)
		plan   bus.ProvisionConfig
		want   func(error) bool
	}{
		"a newer bus": {
			func(t *testing.T, js jetstream.JetStream) {
				changeStream(t, js, proto.StreamAudit, func(s *jetstream.StreamConfig) {
					s.Metadata[proto.MetadataSchema] = strconv.Itoa(proto.SchemaVersion + 1)
				})
			},
			bus.ProvisionConfig{},
			func(err error) bool {
				return errors.As(err, &schema) && schema.Have == proto.SchemaVersion+1 && strings.Contains(err.Error(), "upgrade this program")
			},
		},
		"another's stream": {
			func(t *testing.T, js jetstream.JetStream) {
				changeStream(t, js, proto.StreamAudit, func(s *jetstream.StreamConfig) { s.Metadata = nil })
			},
			bus.ProvisionConfig{},
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
			bus.ProvisionConfig{Limits: map[string]bus.Limits{proto.StreamDead: {MaxAge: time.Hour}}},
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
			changeStream(t, js, eventStream, func(s *jetstream.StreamConfig) { s.Description = "untouched" })
			_, err := b.Conn(t, bus.RoleProvisioner).Provision(deadlineContext(t), test.plan)
			if !test.want(err) {
				t.Errorf("got %v", err)
			}
			if d := streamConfig(t, js, eventStream).Description; d != "untouched" {
				t.Errorf("a stream was changed: %q", d)
			}
		})
	}
	t.Run("another storage", func(t *testing.T) {
		b := bustest.Start(t, bustest.Unprovisioned())
		if _, err := admin(t, b).CreateStream(deadlineContext(t), jetstream.StreamConfig{
			Name:     proto.StreamAudit,
			Storage:  jetstream.MemoryStorage,
			Metadata: map[string]string{proto.MetadataSchema: "1"},
		}); err != nil {
			t.Fatal(err)
		}
		_, err := b.Conn(t, bus.RoleProvisioner).Provision(deadlineContext(t), bus.ProvisionConfig{})
		if err == nil || !strings.Contains(err.Error(), "storage: Memory → File: the server cannot change this") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("newer, to a service", func(t *testing.T) {
		b := bustest.Start(t)
		changeStream(t, admin(t, b), eventStream, func(s *jetstream.StreamConfig) {
			s.Metadata[proto.MetadataSchema] = strconv.Itoa(proto.SchemaVersion + 1)
		})
		err := b.Conn(t, bus.ShipperRole(bustest.Tracee)).CheckSchema(deadlineContext(t), eventStream)
		if !errors.As(err, &schema) || schema.Have != proto.SchemaVersion+1 || schema.Want != proto.SchemaVersion {
			t.Errorf("got %v", err)
		}
	})
}

func TestProvisionShrinksWhenAllowed(t *testing.T) {
	b := bustest.Start(t)
	c := b.Conn(t, bus.RoleProvisioner)
	limits := map[string]bus.Limits{eventStream: {MaxBytes: 1 << 20, MaxAge: time.Hour}}
	provision(t, c, bus.ProvisionConfig{Limits: limits, AllowShrink: true})
	config := streamConfig(t, admin(t, b), eventStream)
	if config.MaxBytes != 1<<20 || config.MaxAge != time.Hour {
		t.Errorf("max_bytes %d, max_age %s", config.MaxBytes, config.MaxAge)
	}
	// Growing needs no permission.
	if report := provision(t, c, bus.ProvisionConfig{}); !slices.Equal(actions(report), []string{"unchanged", "updated"}) {
		t.Errorf("report:\n%s", report)
	}
}

// A cancelled Provision says so and can be repeated.
func TestProvisionCancelled(t *testing.T) {
	b := bustest.Start(t, bustest.Unprovisioned())
	c := b.Conn(t, bus.RoleProvisioner)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Provision(ctx, bus.ProvisionConfig{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	provision(t, c, bus.ProvisionConfig{})
}

// A sink that is added later begins where the most advanced one stands: it
// neither floods the owner with what was delivered nor skips what was not.
func TestNewSinkBeginsWhereOthersStand(t *testing.T) {
	lanes, others := proto.LaneConsumers("telegram-1", alertStream), proto.LaneConsumers("telegram-2", alertStream)
	urgent, routine, other, otherRoutine := lanes[1], lanes[2], others[1], others[2]
	b := bustest.Start(t, bustest.Durables(urgent, routine, other, otherRoutine))
	c := b.Conn(t, bus.RoleProvisioner)
	publish(t, armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), alerts(5)...)
	acknowledge(t, fetch(t, bind(t, b), 3)...)

	first := bus.ProvisionConfig{Consumers: []proto.Consumer{urgent, routine}}
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
	provision(t, c, bus.ProvisionConfig{Consumers: []proto.Consumer{urgent, routine, other, otherRoutine}})
	if got := sequences(other); !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("the next sink gets %v", got)
	}
	overview, err := b.Conn(t, bus.RoleOperator).Overview(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range overview.Durables {
		if d.Stream != alertStream {
			continue
		}
		names = append(names, d.Name)
		if d.Err != nil || d.Evicted != 0 {
			t.Errorf("%+v", d)
		}
	}
	slices.Sort(names)
	if want := []string{proto.DurableNotifierStdout, other.Durable, otherRoutine.Durable, routine.Durable, urgent.Durable}; !slices.Equal(names, slices.Sorted(slices.Values(want))) {
		t.Errorf("durables are %v", names)
	}
}
