// Command benchshipper measures how fast events get from a file into durable
// storage, beside two others in the same run:
//
//	ours      file ─▶ shipper ────────────────────────────────▶ JetStream
//	baseline  file ─▶ hpcloud/tail, encoding/json, PublishAsync ▶ JetStream
//	ceiling   prepared payloads ─▶ fenced batches ─────────────▶ JetStream
//
// Server and publisher are processes of their own, connected over loopback; the
// server syncs every write before it acknowledges it. It then measures how long
// a line takes from being written to being seen on security.> at 100 a second,
// and how much memory the shipper needs to drain a large backlog.
//
//	go run ./services/testing/bench/shipper
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

const (
	host        = bustest.Host
	sourceBench = shipper.SourceSuricata
	patience    = 30 * time.Second
)

// The roles of the processes that are measured.
const (
	roleShipper  = "shipper"
	roleBaseline = "baseline"
	roleCeiling  = "ceiling"
)

func main() {
	childproc.Main(childproc.Roles{
		roleShipper: counted(func() int {
			debug.SetGCPercent(50) // as the shipper's own main does
			return service.Main(shipper.Spec(), shipper.Run, nil)
		}),
		roleBaseline:       counted(childproc.Func(publishBaseline)),
		roleCeiling:        counted(childproc.Func(publishCeiling)),
		bustest.ServerRole: bustest.Serve,
	})
	var b bench
	flag.IntVar(&b.events, "events", 300_000, "events for ours and the ceiling")
	flag.IntVar(&b.baselineEvents, "baseline-events", 20_000, "events for the baseline")
	flag.DurationVar(&b.latencyTime, "latency-time", 20*time.Second, "how long latency is measured at 100 events a second; 0 leaves it out")
	flag.Int64Var(&b.backlog, "backlog", 1<<30, "bytes of the backlog for the memory measurement; 0 leaves it out")
	flag.Parse()
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchshipper:", err)
		os.Exit(1)
	}
}

type bench struct {
	events, baselineEvents int
	latencyTime            time.Duration
	backlog                int64
	dir                    string
}

func (b *bench) run() (err error) {
	if b.dir, err = os.MkdirTemp("", "benchshipper-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)

	prepared, err := b.prepare()
	if err != nil {
		return fmt.Errorf("preparing the ceiling: %w", err)
	}
	ceiling, err := b.throughput(roleCeiling, b.events, preparedVar+"="+prepared)
	if err != nil {
		return fmt.Errorf("measuring the ceiling: %w", err)
	}
	ours, err := b.throughput(roleShipper, b.events)
	if err != nil {
		return fmt.Errorf("measuring the shipper: %w", err)
	}
	baseline, err := b.throughput(roleBaseline, b.baselineEvents)
	if err != nil {
		return fmt.Errorf("measuring the baseline: %w", err)
	}
	result("events_per_s", ours.eventsPerSecond(), "events/s")
	result("mb_per_s", ours.megabytesPerSecond(), "MB/s")
	result("ceiling_events_per_s", ceiling.eventsPerSecond(), "events/s")
	result("baseline_events_per_s", baseline.eventsPerSecond(), "events/s")
	result("of_ceiling", ours.eventsPerSecond()/ceiling.eventsPerSecond(), "ratio")
	result("times_baseline", ours.eventsPerSecond()/baseline.eventsPerSecond(), "ratio")
	result("cpu_us_per_event", ours.cpuPerEvent(), "us")
	result("baseline_cpu_us_per_event", baseline.cpuPerEvent(), "us")
	result("allocs_per_event", ours.allocsPerEvent(), "allocations")

	if b.latencyTime > 0 {
		p50, p99, err := b.latency(b.latencyTime)
		if err != nil {
			return fmt.Errorf("measuring latency: %w", err)
		}
		result("latency_p50_ms", p50, "ms")
		result("latency_p99_ms", p99, "ms")
	}
	if b.backlog > 0 {
		drained, err := b.throughput(roleShipper, int(b.backlog/meanLine()))
		if err != nil {
			return fmt.Errorf("draining the backlog: %w", err)
		}
		result("backlog_gb", float64(drained.bytes)/1e9, "GB")
		result("backlog_events_per_s", drained.eventsPerSecond(), "events/s")
		result("peak_rss_mb", float64(drained.peakRSS)/(1<<20), "MiB")
	}
	return nil
}

func result(name string, value float64, unit string) {
	fmt.Printf("result %s %.4g %s\n", name, value, unit)
}

// subdir makes a fresh directory for one measurement.
func (b *bench) subdir(name string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	return filepath.Clean(dir), err
}

// start starts a server, provisions it, and makes the process that is to publish
// the lines of path.
func start(ctx context.Context, dir, role, path string, environ ...string) (*bustest.Server, *childproc.Process, error) {
	s, err := bustest.StartServer(dir, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := s.Provision(ctx, bus.ProvisionConfig{}); err != nil {
		return nil, nil, errors.Join(err, s.Stop())
	}
	return s, &childproc.Process{Role: role, Env: slices.Concat(s.Environ(bus.ShipperRole(sourceBench)), environ,
		// Without a limit on alerts: the report of a flood would be one message too many,
		// and alerts that are folded would not be alerts.
		[]string{"SHIPPER_SOURCE=" + sourceBench, "SHIPPER_PATH=" + path, "ADMIN_ADDR=", "LOG_LEVEL=warn", "ALERT_FLOOD=0"})}, nil
}

// counted has a role print at its end how much was allocated.
func counted(play func() int) func() int {
	return func() int {
		code := play()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		fmt.Println(memory.Mallocs)
		return code
	}
}
