// Command benchproxy measures what the proxy adds to a request, beside a bare
// httputil.ReverseProxy in the same run and before the same provider:
//
//	direct    client ─────────────────────────▶ provider (a local stand-in)
//	bare      client ─▶ httputil.ReverseProxy ─▶ provider
//	audit     client ─▶ proxy, detections off ─▶ provider
//	ours      client ─▶ proxy ─────────────────▶ provider
//	guarded   client ─▶ proxy ─▶ guard ────────▶ provider
//
// Each is a process of its own, and so is the NATS server that the proxies
// publish their records to. The targets take turns in short rounds, so that
// other load of the machine meets all of them. Each request says something
// new at the end of a history that has been sent before, as an agent's do.
//
//	go run ./services/testing/bench/proxy
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

func main() {
	childproc.Main(childproc.Roles{
		roleProvider:       childproc.Func(provide),
		roleBare:           childproc.Func(serveBare),
		roleGuard:          childproc.Func(judge),
		roleProxy:          childproc.Func(runProxy),
		bustest.ServerRole: bustest.Serve,
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b bench
	flag.DurationVar(&b.slice, "slice", time.Second, "how long a target is measured at a time")
	flag.IntVar(&b.rounds, "rounds", 4, "how often the targets take turns for one figure")
	flag.IntVar(&b.streams, "streams", 512, "streams at the same time for the memory figure")
	flag.IntVar(&b.idle, "idle", 10_000, "idle connections beside the streams, for the memory figure; 0 for none")
	flag.BoolVar(&b.memoryOnly, "memory", false, "measure memory alone")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchproxy:", err)
		os.Exit(1)
	}
}

// targets in the order in which they take turns.
var targets = []string{"direct", "bare", "audit", "ours", "guarded"}

type bench struct {
	slice   time.Duration
	rounds  int
	streams int

	idle       int
	memoryOnly bool
}

// crowdTime is how long streams are begun beside idle connections.
const crowdTime = 6 * time.Second

func (b *bench) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "benchproxy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newSystem(ctx, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	if b.memoryOnly {
		return b.memory(ctx, s)
	}

	fmt.Printf("%-28s", "load")
	for _, t := range targets {
		fmt.Printf("  %-25s", t)
	}
	fmt.Printf("\n%-28s", "")
	for range targets {
		fmt.Printf("  %8s %8s %7s", "p50 ms", "p99 ms", "req/s")
	}
	fmt.Println()
	all := make(map[load]map[string]sample)
	for _, stream := range []bool{false, true} {
		for _, size := range []int{1 << 10, 200 << 10} {
			for _, concurrency := range []int{1, 32, 512} {
				l := load{size, stream, concurrency}
				if all[l], err = b.measure(ctx, s, l); err != nil {
					return err
				}
				printRow(l, all[l])
			}
		}
	}
	small, large := load{1 << 10, false, 1}, load{200 << 10, false, 1}
	result("added_p50_1k_ms", all[small]["ours"].p50-all[small]["bare"].p50, "ms")
	result("added_p50_200k_ms", all[large]["ours"].p50-all[large]["bare"].p50, "ms")
	result("added_p99_1k_ms", all[small]["ours"].p99-all[small]["bare"].p99, "ms")
	result("added_p50_1k_guarded_ms", all[small]["guarded"].p50-all[small]["bare"].p50, "ms")
	busy := load{1 << 10, false, 32}
	result("of_bare_rps", all[busy]["ours"].perSecond/all[busy]["bare"].perSecond, "ratio")
	result("of_bare_rps_audit_only", all[busy]["audit"].perSecond/all[busy]["bare"].perSecond, "ratio")
	streaming := load{1 << 10, true, 1}
	result("added_first_chunk_ms", all[streaming]["ours"].first-all[streaming]["bare"].first, "ms")
	return b.memory(ctx, s)
}

// memory reports how much the proxy takes while many slow streams are open.
func (b *bench) memory(ctx context.Context, s *system) error {
	for _, target := range []string{"bare", "ours"} {
		// A fresh process: what earlier loads have left is not counted.
		if err := s.restart(ctx, target); err != nil {
			return err
		}
		if _, err := drive(ctx, s.urls[target], load{1 << 10, true, b.streams}, 6*time.Second, "#text 100x50ms"); err != nil {
			return err
		}
		usage, err := s.processes[target].Usage()
		if err != nil {
			return err
		}
		name := map[string]string{"bare": "bare_rss_512_streams_mb", "ours": "rss_512_streams_mb"}[target]
		result(name, float64(usage.PeakRSS)/(1<<20), "MiB")
	}
	if b.idle == 0 {
		return nil
	}
	return b.crowd(ctx, s)
}

// measure has the targets take turns under one load.
func (b *bench) measure(ctx context.Context, s *system, l load) (map[string]sample, error) {
	rounds := make(map[string][]sample)
	for range b.rounds {
		for _, target := range targets {
			one, err := drive(ctx, s.urls[target], l, b.slice, "")
			if err != nil {
				return nil, fmt.Errorf("%s: %w", target, err)
			}
			rounds[target] = append(rounds[target], one)
		}
	}
	middle := make(map[string]sample)
	for target, samples := range rounds {
		middle[target] = median(samples)
	}
	return middle, nil
}

func printRow(l load, row map[string]sample) {
	kind := "plain"
	if l.stream {
		kind = "streaming"
	}
	fmt.Printf("%-28s", fmt.Sprintf("%d KB, %s, %d at once", l.size>>10, kind, l.concurrency))
	for _, t := range targets {
		fmt.Printf("  %8.3f %8.3f %7.0f", row[t].p50, row[t].p99, row[t].perSecond)
	}
	fmt.Println()
}

func result(name string, value float64, unit string) {
	fmt.Printf("result %s %.4g %s\n", name, value, unit)
}
