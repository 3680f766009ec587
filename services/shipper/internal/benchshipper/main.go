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
//	go run ./services/shipper/internal/benchshipper
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// childRole in the environment makes the binary one of the measured processes.
const childRole = "BENCHSHIPPER_ROLE"

func main() {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
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

	ceiling, err := b.throughput("ceiling", b.events)
	if err != nil {
		return fmt.Errorf("measuring the ceiling: %w", err)
	}
	ours, err := b.throughput("shipper", b.events)
	if err != nil {
		return fmt.Errorf("measuring the shipper: %w", err)
	}
	baseline, err := b.throughput("baseline", b.baselineEvents)
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
		drained, err := b.throughput("shipper", int(b.backlog/meanLine()))
		if err != nil {
			return fmt.Errorf("draining the backlog: %w", err)
		}
		result("backlog_gb", float64(drained.bytes)/1e9, "GB")
		result("backlog_events_per_s", drained.eventsPerSecond(), "events/s")
		result("peak_rss_mb", drained.stats.PeakRSS/(1<<20), "MiB")
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
