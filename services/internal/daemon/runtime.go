package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
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

// metricsPrefix begins the names of all metrics of the project, so that they are
// found among those of other programs. The code names them without it:
// proxy_requests_total is served as secbus_proxy_requests_total.
const metricsPrefix = "secbus_"

// Named returns the Runtime for one service of the process: log lines and
// metrics carry service="…", names of metrics begin with secbus_, conditions with
// service/. Services of the same kind can so share a registry. Naming again
// replaces the name.
func (r Runtime) Named(service string) Runtime {
	root := r
	if r.root != nil {
		root = *r.root
	}
	return Runtime{
		Log:     root.Log.With("service", service),
		Metrics: prometheus.WrapRegistererWithPrefix(metricsPrefix, prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, root.Metrics)),
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

// Docker kills a container 10 s after it asked it to stop. Both bounds stay
// under that, and the process's over its services', so that the line that names
// what hangs is still written.
const (
	// ServiceGrace is how long a service may take to stop.
	ServiceGrace = 8 * time.Second
	processGrace = 9 * time.Second
)

// A task is something that runs until its context is done.
type task struct {
	name string
	run  func(ctx context.Context) error
}

// supervise runs tasks until all have returned, or until grace has passed since
// ctx was done or one of them failed. It returns what failed, joined.
func supervise(ctx context.Context, grace time.Duration, tasks ...task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	type result struct {
		name string
		err  error
	}
	// Room for every result, so that an abandoned task does not block for ever
	// once it does end.
	results := make(chan result, len(tasks))
	var running []string
	for _, t := range tasks {
		running = append(running, t.name)
		go func() { results <- result{t.name, t.run(ctx)} }()
	}

	var errs []error
	var expired <-chan time.Time
	stopped := ctx.Done()
	for len(running) > 0 {
		select {
		case r := <-results:
			i := slices.Index(running, r.name)
			running = slices.Delete(running, i, i+1)
			// That a task passes on the end of its context is no failure.
			if r.err != nil && (ctx.Err() == nil || !onlyCanceled(r.err)) {
				errs = append(errs, fmt.Errorf("running %s: %w", r.name, r.err))
				cancel()
			}
		case <-stopped:
			stopped = nil
			timer := time.NewTimer(grace)
			defer timer.Stop()
			expired = timer.C
		case <-expired:
			errs = append(errs, fmt.Errorf("%s did not stop within %s", strings.Join(running, ", "), grace))
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

// onlyCanceled reports whether err says nothing but that a context was done. An
// error that joins this with, say, one of a last flush says more.
func onlyCanceled(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !onlyCanceled(err) })
	}
	if wrapped := errors.Unwrap(err); wrapped != nil {
		return onlyCanceled(wrapped)
	}
	return err == context.Canceled
}

// NewRegistry returns a registry with what Prometheus conventionally knows of
// every process: Go runtime, operating system and build.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        metricsPrefix + "build_info",
		Help:        "Always 1; the labels say what was built, with which Go.",
		ConstLabels: prometheus.Labels{"version": Version(), "goversion": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(
		build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}
