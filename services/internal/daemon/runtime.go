package daemon

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// Runtime is what a process lends to the service that it runs.
type Runtime struct {
	// Log is where the service logs.
	Log *slog.Logger
	// Metrics is where the service registers what it counts.
	Metrics prometheus.Registerer
	// Ready is where the service says whether it can work.
	Ready *Readiness

	// root is the Runtime that this one was named from, or nil.
	root *Runtime
}

// Discard returns a Runtime whose log, metrics and readiness nobody reads, for
// tests and for embedding a service.
func Discard() Runtime {
	return Runtime{
		Log:     slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(),
		Ready:   NewReadiness(),
	}
}

// Named returns the Runtime for one service of the process: log lines and
// metrics carry service="…", conditions begin with service/. Services of the
// same kind can so share a registry. Naming again replaces the name.
func (r Runtime) Named(service string) Runtime {
	root := r
	if r.root != nil {
		root = *r.root
	}
	return Runtime{
		Log:     root.Log.With("service", service),
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, root.Metrics),
		Ready:   root.Ready.named(service),
		root:    &root,
	}
}

// A Service is one of several that run in a process.
type Service struct {
	// Name tells it from the others; see [Runtime.Named].
	Name string
	// Run works until ctx is done and then returns within [ServiceGrace].
	Run func(ctx context.Context, rt Runtime) error
}

// RunAll runs services at the same time, each with a Runtime of its name, and
// returns when all have returned. The first to fail stops the others; one that
// returns nil has done its work and stops nothing. The error joins all that
// failed, each by its name, and names the services that were still running
// [ServiceGrace] after they were told to stop; those are abandoned.
func (r Runtime) RunAll(ctx context.Context, services ...Service) error {
	var tasks []task
	for _, service := range services {
		rt := r.Named(service.Name)
		tasks = append(tasks, task{service.Name, func(ctx context.Context) error { return service.Run(ctx, rt) }})
	}
	return supervise(ctx, ServiceGrace, tasks...)
}
