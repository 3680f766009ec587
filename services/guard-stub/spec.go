package guardstub

import (
	"context"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/service"
)

// Spec declares the guard, which does not use the bus. It must come before the
// proxy in a table: the proxy asks the host for its address.
func Spec() service.Spec {
	spec := service.Spec{
		Name:        "guard-stub",
		Description: "score prompts for the proxy by a file of rules",
		Settings: []config.Group{
			config.NewGroup("Shipped guard", "Read by `guard-stub`, and by `secbus up` if GUARD_ENABLED is true and GUARD_URL is unset.", Config{}),
		},
	}
	if service.Embeds {
		spec.Embed = embed
	}
	return spec
}

// embed runs the guard if one is enabled and not said to be elsewhere.
func embed(d service.Deployment) (service.Start, error) {
	var s struct {
		Enabled bool   `env:"GUARD_ENABLED"`
		URL     string `env:"GUARD_URL"`
		Guard   Config
	}
	if err := config.Load(&s, d.Environ); err != nil {
		return nil, err
	}
	if !s.Enabled || s.URL != "" {
		return nil, nil
	}
	return func(ctx context.Context, h *service.Host) (_ []daemon.Service, err error) {
		cfg := s.Guard
		if cfg.Listener, err = h.Listen(ctx, "guard-stub", cfg.Addr); err != nil {
			return nil, err
		}
		return []daemon.Service{{
			Name: "guard-stub",
			Run:  func(ctx context.Context, rt daemon.Runtime) error { return Run(ctx, cfg, rt) },
		}}, nil
	}, nil
}
