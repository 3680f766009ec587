package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
)

// Plan is how a deployment wants the streams of package proto. The zero Plan is
// one replica and the default limits.
type Plan struct {
	// Replicas of each stream; 0 means 1.
	Replicas int
	// Limits by stream name, where they are not the defaults.
	Limits map[string]Limits
	// AllowShrink allows a smaller MaxBytes, MaxAge or number of replicas than a
	// stream has, which can delete messages.
	AllowShrink bool
	// Consumers are the durables beside those of [proto.Consumers]: those of the
	// sinks that are configured.
	Consumers []proto.Consumer
	// Wait is how long servers that answer nothing yet are asked again: those of
	// a cluster that have not found each other.
	Wait time.Duration
}

// Limits bound a stream. Zero values mean the stream's defaults.
type Limits struct {
	MaxBytes int64
	MaxAge   time.Duration
}

// Report lists what Provision found and did, streams before durables.
type Report []Provisioned

// Provisioned is one stream or durable and what became of it.
type Provisioned struct {
	Kind    string // "stream" or "durable"
	Name    string
	Action  string   // "created", "updated" or "unchanged"
	Changes []string // of an update, such as "max_age: 24h0m0s → 720h0m0s"
}

// Provision creates the streams and durables of package proto and brings
// existing ones to the plan. It can be repeated, and run by a later version on
// what an earlier one made. Other streams and settings that package proto does
// not define stay as they are; durables keep their place.
//
// It looks at everything before it changes anything, and changes nothing if a
// stream or durable is of a newer schema version or not this project's
// ([*SchemaError]), if a setting would have to change that the server cannot
// change, or if something would shrink without plan.AllowShrink.
//
// Definitions are the whole migration as long as the server can update one into
// the other. A schema version for which that is not so puts its step between
// planning and applying, where the versions found are known.
func (c *Conn) Provision(ctx context.Context, plan Plan) (Report, error) {
	if err := plan.validate(); err != nil {
		return nil, err
	}
	until := time.Now().Add(plan.Wait)
	var streams []step
	err := whenReady(ctx, until, func(ctx context.Context) (err error) {
		streams, err = c.planStreams(ctx, plan)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("planning the streams: %w", err)
	}
	durables, err := c.planDurables(ctx, append(proto.Consumers(), plan.Consumers...))
	if err != nil {
		return nil, fmt.Errorf("planning the durables: %w", err)
	}
	var report Report
	for _, s := range append(streams, durables...) {
		if s.apply != nil {
			if err := whenReady(ctx, until, s.apply); err != nil {
				return report, fmt.Errorf("provisioning %s %s: %w", s.Kind, s.Name, err)
			}
		}
		report = append(report, s.Provisioned)
	}
	return report, nil
}

// step is what is to be done about one stream or durable; apply is nil where
// nothing is.
type step struct {
	Provisioned
	apply func(context.Context) error
}

func (p Plan) validate() error {
	known := make(map[string]bool)
	for _, s := range proto.Streams() {
		known[s.Name] = true
	}
	for name := range p.Limits {
		if !known[name] {
			return fmt.Errorf("limits for stream %q, which the bus does not have", name)
		}
	}
	return nil
}

func (c *Conn) planStreams(ctx context.Context, plan Plan) ([]step, error) {
	var steps []step
	var faults []error
	for _, def := range proto.Streams() {
		info, err := c.streamInfo(ctx, def.Name)
		switch {
		case errors.Is(err, ErrNotProvisioned):
			want := streamConfig(def, plan, jetstream.StreamConfig{})
			steps = append(steps, step{
				Provisioned: Provisioned{Kind: "stream", Name: def.Name, Action: "created"},
				apply: c.request("$JS.API.STREAM.CREATE."+def.Name, func(ctx context.Context) error {
					_, err := c.js.CreateStream(ctx, want)
					return err
				}),
			})
			continue
		case err != nil:
			return nil, err
		}
		if err := checkUpgradable("stream "+def.Name, info.Config.Metadata); err != nil {
			return nil, err
		}
		want := streamConfig(def, plan, info.Config)
		changes, err := compare(streamSettings(info.Config), streamSettings(want), plan.AllowShrink)
		if err != nil {
			faults = append(faults, fmt.Errorf("stream %s: %w", def.Name, err))
			continue
		}
		steps = append(steps, update("stream", def.Name, changes, c.request("$JS.API.STREAM.UPDATE."+def.Name, func(ctx context.Context) error {
			_, err := c.js.UpdateStream(ctx, want)
			return err
		})))
	}
	return steps, errors.Join(faults...)
}

func (c *Conn) planDurables(ctx context.Context, defs []proto.Consumer) ([]step, error) {
	var steps []step
	var faults []error
	after, err := c.sinksPosition(ctx)
	if err != nil {
		return nil, err
	}
	for _, def := range defs {
		create := "$JS.API.CONSUMER.CREATE." + def.Stream + "." + def.Durable
		info, err := c.consumerInfo(ctx, def.Stream, def.Durable)
		switch {
		case errors.Is(err, ErrNotProvisioned):
			start := uint64(0)
			if def.Stream == proto.StreamAlerts {
				start = after
			}
			want := consumerConfig(def, jetstream.ConsumerConfig{}, start)
			steps = append(steps, step{
				Provisioned: Provisioned{Kind: "durable", Name: def.Durable, Action: "created"},
				apply: c.request(create, func(ctx context.Context) error {
					_, err := c.js.CreateConsumer(ctx, def.Stream, want)
					return err
				}),
			})
			continue
		case err != nil:
			return nil, err
		}
		if err := checkUpgradable("durable "+def.Durable, info.Config.Metadata); err != nil {
			return nil, err
		}
		want := consumerConfig(def, info.Config, 0)
		changes, err := compare(consumerSettings(info.Config), consumerSettings(want), true)
		if err != nil {
			faults = append(faults, fmt.Errorf("durable %s: %w", def.Durable, err))
			continue
		}
		steps = append(steps, update("durable", def.Durable, changes, c.request(create, func(ctx context.Context) error {
			_, err := c.js.UpdateConsumer(ctx, def.Stream, want)
			return err
		})))
	}
	return steps, errors.Join(faults...)
}

func update(kind, name string, changes []string, apply func(context.Context) error) step {
	if len(changes) == 0 {
		return step{Provisioned: Provisioned{Kind: kind, Name: name, Action: "unchanged"}}
	}
	return step{Provisioned: Provisioned{Kind: kind, Name: name, Action: "updated", Changes: changes}, apply: apply}
}

// request makes a JetStream request on subject out of do.
func (c *Conn) request(subject string, do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, end := c.beginOn(ctx, subject)
		defer end()
		if err := do(ctx); err != nil {
			return c.missing(ctx, err)
		}
		return nil
	}
}

func checkUpgradable(name string, metadata map[string]string) error {
	if have := schemaVersion(metadata); have == 0 || have > proto.SchemaVersion {
		return &SchemaError{Name: name, Have: have, Want: proto.SchemaVersion}
	}
	return nil
}

// String renders the report for a person, a line for each stream and durable.
func (r Report) String() string {
	var b strings.Builder
	for _, p := range r {
		fmt.Fprintf(&b, "%-8s %-18s %s\n", p.Kind, p.Name, p.Action)
		for _, change := range p.Changes {
			fmt.Fprintf(&b, "         %s\n", change)
		}
	}
	return b.String()
}
