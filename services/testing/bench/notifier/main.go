// Command benchnotifier measures the way of an alert to the owner's chat:
//
//	latency   eve.json ─▶ shipper ─▶ NATS server ─▶ notifier ─▶ stand-in for Telegram
//	storm     100,000 alerts ─▶ NATS server ─▶ notifier ─▶ stand-in for Telegram
//	naive     100,000 alerts ─▶ NATS server ─▶ subscription ─▶ stand-in for Telegram
//
// Latency is the time from the write of a line to the arrival of the request to
// send it, of one line at a time on an otherwise idle system. The storm is
// published within a minute, at the notifier's default of 10 messages a minute,
// with one critical alert in its middle. The naive notifier is what one would
// write first: a message for each alert, at once.
//
// All but the source of a storm and the stand-in, which are in this process, are
// processes of their own; the server syncs every write before it acknowledges it,
// and the stand-in keeps to the limits that Telegram documents.
//
//	go run ./services/testing/bench/notifier
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// The roles of the other processes.
const (
	roleShipper  = "shipper"
	roleNotifier = "notifier"
	roleNaive    = "naive"
)

func main() {
	childproc.Main(childproc.Roles{
		roleShipper:        func() int { return service.Main(shipper.Spec(), shipper.Run, nil) },
		roleNotifier:       func() int { return service.Main(notifier.Spec(), notifier.Run, nil) },
		roleNaive:          childproc.Func(tellNaively),
		bustest.ServerRole: bustest.Serve,
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b bench
	flag.IntVar(&b.lines, "lines", 40, "lines for the latency; 0 leaves it out")
	flag.DurationVar(&b.every, "every", 1500*time.Millisecond, "time between two lines: more than what a chat bears between two messages")
	flag.IntVar(&b.alerts, "alerts", 100_000, "alerts in a storm; 0 leaves the storms out")
	flag.DurationVar(&b.burst, "burst", 55*time.Second, "how long a storm is published")
	flag.DurationVar(&b.drain, "drain", 2*time.Minute, "how long after it the notifier may take")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchnotifier:", err)
		os.Exit(1)
	}
}

type bench struct {
	lines  int
	every  time.Duration
	alerts int
	burst  time.Duration
	drain  time.Duration
	dir    string
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "benchnotifier-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.lines > 0 {
		p50, p99, err := b.latency(ctx)
		if err != nil {
			return fmt.Errorf("measuring latency: %w", err)
		}
		result("alert_p50_ms", p50, "ms")
		result("alert_p99_ms", p99, "ms")
	}
	if b.alerts == 0 {
		return nil
	}
	ours, err := b.storm(ctx)
	if err != nil {
		return fmt.Errorf("measuring a storm: %w", err)
	}
	naive, err := b.naive(ctx)
	if err != nil {
		return fmt.Errorf("measuring the naive notifier: %w", err)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "storm of %d alerts\trequests\tmessages\talerts reported\tlost or waiting\t\n", b.alerts)
	fmt.Fprintf(table, "notifier\t%d\t%d\t%d\t%d\t\n", ours.requests, ours.messages, ours.alerts-ours.uncovered, ours.uncovered)
	fmt.Fprintf(table, "naive\t%d\t%d\t%d\t%d\t\n", naive.requests, naive.messages, naive.messages, b.alerts-naive.messages)
	if err := table.Flush(); err != nil {
		return err
	}
	result("storm_messages", float64(ours.messages), "messages")
	result("storm_published_s", ours.published.Seconds(), "s")
	result("storm_drain_s", ours.drained.Seconds(), "s")
	result("storm_uncovered", float64(ours.uncovered), "alerts")
	result("critical_delay_s", ours.critical.Seconds(), "s")
	result("peak_rss_mb", float64(ours.peakRSS)/(1<<20), "MiB")
	result("naive_lost", float64(b.alerts-naive.messages), "alerts")
	return nil
}

func result(name string, value float64, unit string) {
	fmt.Printf("result %s %.4g %s\n", name, value, unit)
}
