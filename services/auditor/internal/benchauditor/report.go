package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/price"
)

// report fills an index and measures how long summing all of it up takes, by each of
// the ways to. The first answer counts, as for somebody who asks once.
func (b *bench) report(ctx context.Context, path string) (err error) {
	x, err := index.Open(path, index.Options{})
	if err != nil {
		return err
	}
	g := newGenerator(b.indexed)
	began := time.Now()
	for at := 0; at < b.indexed; {
		batch := make([]chain.Record, min(maxBatch, b.indexed-at))
		for i := range batch {
			if batch[i], err = g.next(); err != nil {
				return errors.Join(err, x.Close())
			}
			at++
			batch[i].Seq = uint64(at)
		}
		if err := x.Add(ctx, indexRecords(batch)); err != nil {
			return errors.Join(err, x.Close())
		}
	}
	result("indexed_per_s", float64(b.indexed)/time.Since(began).Seconds(), "records/s")
	if err := x.Close(); err != nil {
		return err
	}
	var slowest time.Duration
	var slowestBy index.By
	for _, by := range []index.By{index.ByDay, index.ByHour, index.ByModel, index.ByClient, index.ByTool} {
		took, err := ask(ctx, path, by, int64(b.indexed/2))
		if err != nil {
			return err
		}
		if took > slowest {
			slowest, slowestBy = took, by
		}
	}
	fmt.Printf("The slowest report is that by %s.\n", slowestBy)
	result("report_1m_s", slowest.Seconds(), "s")
	return nil
}

// ask opens the index and asks for a report, as a command does.
func ask(ctx context.Context, path string, by index.By, requests int64) (took time.Duration, err error) {
	began := time.Now()
	x, err := index.Open(path, index.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	r, err := x.Report(ctx, by, index.Filter{}, price.Shipped(), time.UTC)
	if err != nil {
		return 0, err
	}
	if r.Total.Requests != requests {
		return 0, fmt.Errorf("the report by %s has %d requests, not %d", by, r.Total.Requests, requests)
	}
	return time.Since(began), nil
}
