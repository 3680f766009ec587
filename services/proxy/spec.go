package proxy

import (
	"context"
	"slices"
	"strconv"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
)

// Spec declares the proxy.
func Spec() service.Spec {
	spec := service.Spec{
		Name:        "proxy",
		Description: "forward LLM requests, guard them and record each",
		Settings: []config.Group{
			config.NewGroup("LLM providers", "Read by `proxy` and `secbus up`.", LLM{}),
			config.NewGroup("LLM proxy", "Read by `proxy` and `secbus up`.", struct {
				Config Config
				Checks Checks
			}{}, config.NATS{}, LLM{}, Guard{}),
			config.NewGroup("Guard", "Read by `proxy` and `secbus up`.", Guard{}),
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

func layout(d service.Deployment) (service.Layout, error) {
	return service.Layout{Roles: []bus.Role{{
		Name:        Role,
		Description: "Publishes the LLM proxy's audit records and alerts on " + d.Host,
		Publish: slices.Concat(
			bus.GrantIngest(d.Host, Role, proto.ClassAudit, kindRequest),
			bus.GrantIngest(d.Host, Role, proto.ClassAlert, kindGuard, spool.KindGap, proto.KindFlood),
			bus.GrantSource(d.Host, Role, proto.ClassAudit, proto.ClassAlert),
			bus.GrantHeartbeat(d.Host, Role),
		),
	}}}, nil
}

// unknownGuard stands for the URL of the shipped guard until it is known.
const unknownGuard = "http://guard.invalid/scan"

// embedEnviron are the settings for a proxy beside the other services: a guard
// that is enabled and not said to be elsewhere is the shipped one.
func embedEnviron(d service.Deployment) []string {
	enabled, err := strconv.ParseBool(config.Lookup(d.Environ, "GUARD_ENABLED"))
	if err == nil && enabled && config.Lookup(d.Environ, "GUARD_URL") == "" {
		return append(slices.Clone(d.Environ), "GUARD_URL="+unknownGuard)
	}
	return d.Environ
}

// embed runs the proxy if it is to have an address.
func embed(d service.Deployment) (service.Start, error) {
	var cfg Config
	if err := config.Load(&cfg, embedEnviron(d)); err != nil {
		return nil, err
	}
	if cfg.Addr == "" {
		return nil, nil
	}
	return func(ctx context.Context, h *service.Host) (_ []daemon.Service, err error) {
		cfg := cfg
		if cfg.NATS, err = h.Connect(Role); err != nil {
			return nil, err
		}
		cfg.AuditDir = h.Path(cfg.AuditDir)
		if cfg.Guard.URL == unknownGuard {
			cfg.Guard.URL = "http://" + h.Addr("guard-stub") + "/scan"
		}
		if cfg.Listener, err = h.Listen(ctx, "proxy", cfg.Addr); err != nil {
			return nil, err
		}
		h.Note("LLM proxy: http://%s, which README.md says how to have OpenClaw use.", h.Addr("proxy"))
		return []daemon.Service{{
			Name: Role,
			Run:  func(ctx context.Context, rt daemon.Runtime) error { return Run(ctx, cfg, rt) },
		}}, nil
	}, nil
}
