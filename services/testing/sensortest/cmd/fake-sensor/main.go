// Command fake-sensor writes a recording of a sensor's output into a file, line
// by line with the time at which it is written, as the sensor would, and then
// waits to be told to stop. It stands in for a sensor that cannot run, in tests
// and demonstrations.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openclaw-security/bus/services/testing/sensortest"
	"github.com/openclaw-security/bus/suricata"
	"github.com/openclaw-security/bus/tracee"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "fake-sensor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fake-sensor", flag.ContinueOnError)
	sensor := flags.String("sensor", "tracee", "whose `recording`: suricata or tracee")
	path := flags.String("file", "", "`file` to append to")
	times := flags.Int("times", 1, "how often to play it")
	longest := flags.Duration("pace", 300*time.Millisecond, "longest `pause` between two lines")
	if err := flags.Parse(args); err != nil {
		return err
	}
	recording := sensortest.Recording{Path: *path, Pace: sensortest.Pace{Max: *longest}}
	switch *sensor {
	case "suricata":
		recording.Lines = suricata.Recording()
	case "tracee":
		recording.Lines = tracee.Recording()
	default:
		return fmt.Errorf("no recording of %q", *sensor)
	}
	lines := 0
	for range *times {
		n, err := recording.Play(ctx)
		lines += n
		if err != nil {
			return err
		}
	}
	fmt.Printf("%d lines written to %s\n", lines, *path)
	<-ctx.Done()
	return nil
}
