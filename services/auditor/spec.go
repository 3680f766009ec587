package auditor

import (
	"context"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/anomaly"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/service"
)

// Spec declares the auditor.
func Spec() service.Spec {
	spec := service.Spec{
		Name:        "auditor",
		Description: "keep a log of LLM requests that proves itself",
		Settings: []config.Group{
			config.NewGroup("Auditor", "Read by `auditor` and `secbus up`.", Config{}, config.NATS{}),
		},
		Publishes: func(service.Deployment) ([]proto.SourceName, error) { return []proto.SourceName{{Name: Role}}, nil },
		Layout:    layout,
		Check:     checkup,
	}
	if service.Embeds {
		spec.Embed = embed
	}
	return spec
}

// layout is a durable, and a role that also reads again what a crash has cut off
// the log, publishes its checkpoints and findings, reads the last checkpoint, and
// answers questions about the log.
func layout(d service.Deployment) (service.Layout, error) {
	durable := proto.AuditConsumer()
	return service.Layout{
		Durables: []proto.Consumer{durable},
		Roles: []bus.Role{{
			Name:        Role,
			Description: "Keeps the log of LLM requests and gives up what it cannot keep",
			Publish: slices.Concat(
				bus.GrantConsume(durable),
				bus.GrantIngest(d.Host, Role, proto.ClassEvent, KindCheckpoint),
				bus.GrantIngest(d.Host, Role, proto.ClassAlert, KindNewLog, KindCutLog, KindStreamFull, anomaly.KindFirstSeen, anomaly.KindTokenBurst),
				bus.GrantRead(proto.StreamAudit),
				bus.GrantInfo(proto.StreamAudit),
				[]string{bus.GrantStreamNames()},
				bus.GrantHeartbeat(d.Host, Role),
				bus.GrantLast(checkpointFilter, holdingCheckpoints(d.SecurityStreams())...),
			),
			Answers: []string{audit.Subjects},
		}},
	}, nil
}

func embed(d service.Deployment) (service.Start, error) {
	var cfg Config
	if err := config.Load(&cfg, d.Environ); err != nil {
		return nil, err
	}
	return func(_ context.Context, h *service.Host) (_ []daemon.Service, err error) {
		cfg := cfg
		if cfg.NATS, err = h.Connect(Role); err != nil {
			return nil, err
		}
		cfg.Dir = h.Path(cfg.Dir)
		return []daemon.Service{{
			Name: Role,
			Run:  func(ctx context.Context, rt daemon.Runtime) error { return Run(ctx, cfg, rt) },
		}}, nil
	}, nil
}
