package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
)

// Batches are from a half to all of what the auditor fetches at once.
const (
	minBatch = 512
	maxBatch = 2048
)

// segmentBytes makes several segments of the records, so that some are compressed.
const segmentBytes = 16 << 20

// disk measures log and index without a bus, in an auditor's directory.
func (b *bench) disk(ctx context.Context, dir string) error {
	records, err := prepare(b.records)
	if err != nil {
		return err
	}
	var payloads int
	for _, r := range records {
		payloads += len(r.Payload)
	}
	began := time.Now()
	logged, err := write(ctx, dir, records)
	if err != nil {
		return err
	}
	perSecond := float64(len(records)) / time.Since(began).Seconds()
	result("records_per_s", perSecond, "records/s")
	result("log_records_per_s", float64(len(records))/logged.Seconds(), "records/s")
	result("payload_bytes_per_record", float64(payloads)/float64(len(records)), "B")

	single, err := baseline(filepath.Join(b.dir, "baseline.jsonl"), records[:min(b.baselineRecords, len(records))])
	if err != nil {
		return fmt.Errorf("measuring the baseline: %w", err)
	}
	result("baseline_records_per_s", single, "records/s")
	result("times_baseline", perSecond/single, "ratio")
	return sizeAndVerify(ctx, dir, len(records))
}

func openLog(dir string) (*chain.Log, error) {
	return chain.Open(chain.Options{Dir: filepath.Join(dir, "log"), SegmentBytes: segmentBytes, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

// write appends records to a new log and, as the auditor does, indexes each batch
// while the next is being appended. It returns how long the log alone took.
func write(ctx context.Context, dir string, records []chain.Record) (logged time.Duration, err error) {
	l, err := openLog(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	x, err := index.Open(filepath.Join(dir, "index.db"), index.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	random := rand.New(rand.NewPCG(3, 4))
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []chain.Record, 4)
	began := time.Now()
	group.Go(func() error {
		defer close(batches)
		defer func() { logged = time.Since(began) }()
		for len(records) > 0 {
			n := min(minBatch+random.IntN(maxBatch-minBatch+1), len(records))
			missing, err := l.Missing(records[:n])
			if err != nil {
				return err
			}
			if err := l.Append(missing); err != nil {
				return err
			}
			select {
			case batches <- missing:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			records = records[n:]
		}
		return nil
	})
	group.Go(func() error {
		for batch := range batches {
			if err := x.Add(ctx, indexRecords(batch)); err != nil {
				return err
			}
		}
		return nil
	})
	return logged, group.Wait()
}

func indexRecords(records []chain.Record) []index.Record {
	out := make([]index.Record, len(records))
	for i, r := range records {
		out[i] = index.Record{Seq: r.Seq, Head: "head", StreamSeq: r.StreamSeq, Stored: r.Stored, Payload: r.Payload}
	}
	return out
}

// baseline appends records to a plain file, each synced by itself, and returns how
// many it does in a second.
func baseline(path string, records []chain.Record) (perSecond float64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	began := time.Now()
	for _, r := range records {
		if _, err := f.Write(append(r.Payload[:len(r.Payload):len(r.Payload)], '\n')); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(len(records)) / time.Since(began).Seconds(), nil
}

// sizeAndVerify verifies the log, plain and compressed, with warm caches, and tells
// what a record takes on disk.
func sizeAndVerify(ctx context.Context, dir string, records int) error {
	plain, err := sizes(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	lines := plain[".jsonl"]
	if err := verify(ctx, dir, "verify_mb_s", lines, records); err != nil {
		return err
	}
	l, err := openLog(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(l.Tidy(ctx), l.Close()); err != nil {
		return err
	}
	packed, err := sizes(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	if err := verify(ctx, dir, "verify_compressed_mb_s", lines, records); err != nil {
		return err
	}
	perRecord := float64(lines) / float64(records)
	result("plain_bytes_per_record", perRecord, "B")
	if closed := lines - packed[".jsonl"]; closed > 0 {
		result("bytes_per_record", perRecord*float64(packed[".zst"])/float64(closed), "B")
	}
	all, err := sizes(dir)
	if err != nil {
		return err
	}
	result("index_bytes_per_record", float64(all[".db"])/float64(records), "B")
	return nil
}

func verify(ctx context.Context, dir, name string, lines int64, records int) error {
	var took time.Duration
	for range 2 { // the first one warms the cache
		began := time.Now()
		v, err := auditor.Reader{Dir: dir}.Verify(ctx, nil, "", nil)
		if err != nil {
			return err
		}
		if !v.OK() || v.Records != uint64(records) {
			return fmt.Errorf("the log holds %d records of %d: %v", v.Records, records, v.Faults)
		}
		took = time.Since(began)
	}
	result(name, float64(lines)/1e6/took.Seconds(), "MB/s")
	return nil
}

// sizes sums up the segments and the index in a directory by the ends of their
// names.
func sizes(dir string) (map[string]int64, error) {
	sum := make(map[string]int64)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if e.IsDir() || strings.HasPrefix(e.Name(), "checkpoints") {
			continue
		}
		sum[filepath.Ext(e.Name())] += info.Size()
	}
	return sum, nil
}
