package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/internal/daemon"
)

func TestNamed(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	root := daemon.Discard()
	root.Log = slog.New(slog.NewTextHandler(&log, nil))
	root.Metrics = registry

	// Naming a named Runtime is what happens when a program runs several
	// services: the service's name must replace the program's.
	program := root.Named("secbus")
	for _, service := range []string{"shipper", "notifier"} {
		rt := program.Named(service)
		rt.Metrics.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "lines_total", Help: "Lines."}))
		rt.Ready.Set("nats", nil)
		rt.Log.Info("message")
	}

	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		if strings.Count(line, "service=") != 1 || strings.Contains(line, "secbus") {
			t.Errorf("logged %q", line)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, metric := range families[0].GetMetric() {
		for _, label := range metric.GetLabel() {
			labels = append(labels, label.GetName()+"="+label.GetValue())
		}
	}
	if want := []string{"service=notifier", "service=shipper"}; !slices.Equal(labels, want) {
		t.Errorf("metrics have labels %q, want %q", labels, want)
	}
	conditions, ready := root.Ready.Check()
	want := []daemon.Condition{{Name: "notifier/nats"}, {Name: "shipper/nats"}}
	if !ready || !slices.Equal(conditions, want) {
		t.Errorf("conditions %v, ready %t", conditions, ready)
	}
}

func TestReadiness(t *testing.T) {
	ready := daemon.NewReadiness()
	check := func(step string, want string, wantReady bool) {
		t.Helper()
		conditions, isReady := ready.Check()
		var got []string
		for _, c := range conditions {
			reason := "ok"
			if c.Err != nil {
				reason = c.Err.Error()
			}
			got = append(got, c.Name+": "+reason)
		}
		if strings.Join(got, ", ") != want || isReady != wantReady {
			t.Errorf("%s: got %q, ready %t", step, got, isReady)
		}
	}
	check("empty", "", false)
	ready.Expect("stream", "nats")
	check("expected", "nats: not reported yet, stream: not reported yet", false)
	ready.Set("nats", nil)
	check("one holds", "nats: ok, stream: not reported yet", false)
	ready.Set("stream", errors.New("not found"))
	check("one does not", "nats: ok, stream: not found", false)
	ready.Set("stream", nil)
	check("both hold", "nats: ok, stream: ok", true)
	ready.Expect("nats")
	check("expected again", "nats: ok, stream: ok", true)
	ready.Set("nats", errors.New("disconnected"))
	check("one is lost", "nats: disconnected, stream: ok", false)
}

var (
	errDisk  = errors.New("disk full")
	errFlush = errors.New("flush lost")
)

func untilDone(ctx context.Context, _ daemon.Runtime) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestRunAll(t *testing.T) {
	fails := func(context.Context, daemon.Runtime) error { return errDisk }
	returns := func(context.Context, daemon.Runtime) error { return nil }
	failsAtTheEnd := func(ctx context.Context, _ daemon.Runtime) error {
		<-ctx.Done()
		return errors.Join(ctx.Err(), errFlush)
	}
	hangs := func(ctx context.Context, _ daemon.Runtime) error {
		<-ctx.Done()
		time.Sleep(time.Hour)
		return nil
	}
	const runFor = time.Minute // until the caller's context is done
	tests := []struct {
		name     string
		services []daemon.Service
		want     string
		after    time.Duration
	}{
		{"none", nil, "", 0},
		{"all return", []daemon.Service{{"a", returns}, {"b", returns}}, "", 0},
		{"told to stop", []daemon.Service{{"a", untilDone}, {"b", untilDone}}, "", runFor},
		{"told to stop, says so in its words", []daemon.Service{{"a", func(ctx context.Context, rt daemon.Runtime) error {
			return fmt.Errorf("consuming: %w", untilDone(ctx, rt))
		}}}, "", runFor},
		{"one returns, one goes on", []daemon.Service{{"a", returns}, {"b", untilDone}}, "", runFor},
		{"one fails", []daemon.Service{{"a", untilDone}, {"b", fails}}, "running b: disk full", 0},
		{"failure while stopping", []daemon.Service{{"a", untilDone}, {"b", failsAtTheEnd}}, "running b: context canceled\nflush lost", runFor},
		{"stuck", []daemon.Service{{"a", untilDone}, {"b", hangs}, {"c", hangs}}, "b, c did not stop within 8s", runFor + daemon.ServiceGrace},
		{"stuck after a failure", []daemon.Service{{"a", fails}, {"b", hangs}}, "running a: disk full\nb did not stop within 8s", daemon.ServiceGrace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer time.AfterFunc(runFor, stop).Stop()
				start := time.Now()
				var got string
				if err := daemon.Discard().RunAll(ctx, test.services...); err != nil {
					got = err.Error()
				}
				if took := time.Since(start); got != test.want || took != test.after {
					t.Errorf("got %q after %s, want %q after %s", got, took, test.want, test.after)
				}
				time.Sleep(2 * time.Hour) // fake: lets abandoned services end
			})
		})
	}
}
