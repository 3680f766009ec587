// Command benchauditor measures the audit log, from the disk up:
//
//	records    prepared records ─▶ log, synced ─▶ index            and how long verifying them takes
//	baseline   the same records ─▶ a file, each synced by itself
//	pipeline   JetStream ─▶ auditor ─▶ log, synced ─▶ acknowledged   in processes of their own, over loopback
//	report     an index of a million records ─▶ sums
//
// All of it happens in one run, in one directory.
//
//	go run ./services/auditor/internal/benchauditor
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// childRole in the environment makes the binary one of the measured processes.
const childRole = "BENCHAUDITOR_ROLE"

func main() {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	var b bench
	flag.IntVar(&b.records, "records", 100_000, "records for the log and the pipeline, an even number")
	flag.IntVar(&b.baselineRecords, "baseline-records", 2000, "records for the baseline")
	flag.IntVar(&b.indexed, "indexed", 1_000_000, "records in the index that reports are made of; 0 leaves it out")
	flag.StringVar(&b.dir, "dir", "", "directory on the disk to measure; a temporary one by default")
	flag.Parse()
	if err := b.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "benchauditor:", err)
		os.Exit(1)
	}
}

type bench struct {
	records, baselineRecords, indexed int
	dir                               string
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp(b.dir, "benchauditor-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()

	if err := b.disk(ctx, filepath.Join(b.dir, "log")); err != nil {
		return fmt.Errorf("measuring the log: %w", err)
	}
	if err := b.pipeline(ctx, filepath.Join(b.dir, "pipeline")); err != nil {
		return fmt.Errorf("measuring the pipeline: %w", err)
	}
	if b.indexed > 0 {
		if err := b.report(ctx, filepath.Join(b.dir, "index.db")); err != nil {
			return fmt.Errorf("measuring reports: %w", err)
		}
	}
	return nil
}

func result(name string, value float64, unit string) {
	fmt.Printf("result %s %.4g %s\n", name, value, unit)
}
