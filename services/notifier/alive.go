package notifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Conditions of readiness.
const (
	condNATS    = "nats"
	condStoring = "heartbeat"     // the bus stores the notifier's own heartbeat
	condOutward = "heartbeat_url" // NOTIFIER_HEARTBEAT_URL answers
)

// beatAndTell beats for the notifier, on the bus and outward, until ctx is done.
func beatAndTell(ctx context.Context, cfg Config, conn *bus.Conn, rt daemon.Runtime) error {
	shared := cfg.shared()
	shared.Now, shared.Log = time.Now, rt.Log
	sinks, err := cfg.Sinks.open(shared)
	if err != nil {
		return err
	}
	if cfg.Stdout.Enabled(len(sinks) > 0) {
		sinks = append(sinks, sink.Opened{Sinks: []sink.Sink{cfg.printer()}})
	}
	outward := newOutward(cfg.Heartbeat, names(sinks), rt)
	o := newOutage(config.HostName(cfg.Host), sinks, rt)
	defer progress.Heart{
		Conn: conn, Host: o.host, Source: Role, Log: rt.Log,
		Problem: func() error { return nil },
		Report:  func(err error) { o.beat(ctx, err) },
	}.Start(ctx)()
	outward.run(ctx)
	<-ctx.Done()
	return nil
}

// outwardEvery is how often a service elsewhere hears from the notifier, and its first
// wait: a process that ends again and again soon after its start is not alive.
const outwardEvery = time.Minute

// outward asks a URL at intervals while alerts can be delivered. A service elsewhere
// (healthchecks.io, Uptime Kuma and their like) tells the owner when it is not asked any
// more, which nothing on this machine could: a dead man's switch.
type outward struct {
	url   config.Secret
	needs []string // conditions that must hold
	http  *sink.HTTP
	rt    daemon.Runtime
	asked *prometheus.CounterVec
	held  bool // the last time it was not asked
}

func newOutward(url config.Secret, sinks []string, rt daemon.Runtime) *outward {
	o := &outward{
		url: url, needs: append([]string{condNATS, condStoring}, sinks...), http: sink.NewHTTP(), rt: rt,
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_heartbeats_total",
			Help: "What became of requests to NOTIFIER_HEARTBEAT_URL: sent, failed, or withheld because alerts cannot be delivered.",
		}, []string{"outcome"}),
	}
	rt.Metrics.MustRegister(o.asked)
	return o
}

// run asks until ctx is done; without a URL it returns at once.
func (o *outward) run(ctx context.Context) {
	if o.url.IsZero() {
		return
	}
	for retry.Sleep(ctx, outwardEvery) == nil {
		o.ask(ctx)
	}
}

// ask asks once, if alerts can be delivered.
func (o *outward) ask(ctx context.Context) {
	var reasons []error
	for _, condition := range o.needs {
		if err := o.rt.Ready.Reason(condition); err != nil {
			reasons = append(reasons, fmt.Errorf("%s: %w", condition, err))
		}
	}
	if len(reasons) > 0 {
		if !o.held {
			o.rt.Log.Warn("NOTIFIER_HEARTBEAT_URL is not asked while alerts cannot be delivered", "err", errors.Join(reasons...))
		}
		o.held = true
		o.asked.WithLabelValues("withheld").Inc()
		return
	}
	o.held = false
	err := o.http.Get(ctx, o.url.Reveal())
	if ctx.Err() != nil {
		return
	}
	outcome := "sent"
	if err != nil {
		outcome = "failed"
		o.rt.Log.Warn("NOTIFIER_HEARTBEAT_URL does not accept the heartbeat", "err", err)
	}
	o.asked.WithLabelValues(outcome).Inc()
	o.rt.Ready.Set(condOutward, err)
}
