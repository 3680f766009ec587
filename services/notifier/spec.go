package notifier

import (
	"context"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Spec declares the notifier.
func Spec() service.Spec { return spec(sinks()) }

// spec declares a notifier with the sinks of a table.
func spec(table []sink.Spec) service.Spec {
	shared := []any{config.NATS{}}
	var groups []config.Group
	for _, s := range table {
		settings := s.Settings()
		shared = append(shared, settings)
		groups = append(groups, config.NewGroup(s.Title, "Read by `notifier` and `secbus up`; by `secbus provision` too, as each sink has durables of its own.", settings))
	}
	load := func(d service.Deployment) (Config, error) {
		cfg := Config{Sinks: Sinks{table: table}}
		return cfg, config.Load(&cfg, d.Environ)
	}
	spec := service.Spec{
		Name:        "notifier",
		Description: "deliver alerts from the bus to their owner",
		Settings: append([]config.Group{
			config.NewGroup("Notifier", "Read by `notifier` and `secbus up`.", Config{Sinks: Sinks{table: table}}, shared...),
		}, groups...),
		Publishes: func(service.Deployment) ([]proto.SourceName, error) { return []proto.SourceName{{Name: Role}}, nil },
		Layout: func(d service.Deployment) (service.Layout, error) {
			cfg, err := load(d)
			if err != nil {
				return service.Layout{}, err
			}
			return cfg.layout(d), nil
		},
		Check: func(ctx context.Context, c service.Checkup) []check.Finding {
			cfg, err := load(c.Deployment)
			if err != nil {
				return nil // the settings have been refused before
			}
			return slices.Concat(checkDelivery(ctx, c.Bus), cfg.checkHeartbeat(), cfg.check(ctx, c.OpenClaw))
		},
	}
	if service.Embeds {
		spec.Embed = func(d service.Deployment) (service.Start, error) {
			cfg, err := load(d)
			if err != nil {
				return nil, err
			}
			return cfg.start, nil
		}
	}
	return spec
}

// layout is a role with a durable for standard output, and those of the sinks
// that are configured. Besides fetching, the notifier stores its plans, records
// its deliveries, fetches the operator's requests and silences, tries dead
// letters again, and for the daily report reads the streams of events and asks the
// auditor.
func (c Config) layout(d service.Deployment) service.Layout {
	streams := d.AlertStreams()
	var durables []proto.Consumer
	for _, stream := range streams {
		d := proto.SinkConsumer("stdout", stream)
		d.Standby = true // alerts are printed while no other sink gets them
		durables = append(durables, d)
	}
	durables = append(durables, c.Consumers(streams)...)
	read := d.SecurityStreams()
	for _, stream := range streams {
		if !slices.Contains(read, stream) {
			read = append(read, stream)
		}
	}
	state := []string{"delivery.>", proto.KeyRequest(Role, ">"), proto.KeySilences}
	return service.Layout{
		Durables: durables,
		Roles: []bus.Role{{
			Name:        Role,
			Description: "Delivers alerts and gives up what it cannot deliver",
			Serves:      Role,
			Publish: slices.Concat(
				bus.GrantConsume(durables...),
				c.deliveries(),
				[]string{audit.Subjects},
				bus.GrantState(state...),
				bus.GrantReadState(state...),
				bus.GrantRead(proto.StreamDead),
				bus.GrantRead(read...),
				[]string{bus.GrantStreamNames()},
				progressGrants(d), // with the state of all streams
			),
			Subscribe: []string{
				proto.StateChangeSubject(proto.KeySilences),
				proto.StateChangeSubject(proto.KeyRequest(Role, ">")),
			},
		}},
	}
}

// deliveries are the subjects under which the chats record what was delivered.
func (c Config) deliveries() []string {
	var subjects []string
	for _, chat := range c.Chats() {
		subjects = append(subjects, proto.DeliveriesSubject(chat))
	}
	return subjects
}

// start implements [service.Start].
func (c Config) start(_ context.Context, h *service.Host) (_ []daemon.Service, err error) {
	if c.NATS, err = h.Connect(Role); err != nil {
		return nil, err
	}
	c.Out, c.standby = h.Stdout, true
	return []daemon.Service{{
		Name: Role,
		Run:  func(ctx context.Context, rt daemon.Runtime) error { return Run(ctx, c, rt) },
	}}, nil
}

// progressGrants are to watch the progress of the bus: to read the state of all streams
// and durables and the heartbeats of all sources, to publish alarms and to remember
// which stand.
func progressGrants(d service.Deployment) []string {
	var streams []string
	for _, s := range d.Streams {
		streams = append(streams, s.Name)
	}
	return slices.Concat(
		bus.GrantInfo(streams...),
		bus.GrantDurables(streams...),
		bus.GrantIngest(d.Host, Role, proto.ClassAlert, progress.Conditions()...),
		bus.GrantState(proto.KeyAlarms),
		bus.GrantReadState(proto.KeyAlarms, proto.HeartbeatPrefix+".>"),
		bus.GrantHeartbeat(d.Host, Role),
	)
}
