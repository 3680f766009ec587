package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/testing/bench/auditor/records"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// The benchmarks of this file print what docs/measurements.md names. TEST_RECORDS,
// TEST_BASELINE and TEST_INDEXED are their sizes; make bench-auditor runs them.

func result(name string, value float64, unit string) {
	fmt.Printf("result %s %.4g %s\n", name, value, unit)
}

// Batches are from a half to all of what the auditor fetches at once.
const (
	minBatch = 512
	maxBatch = 2048
)

// benchSegment makes several segments of the records, so that some are compressed.
const benchSegment = 16 << 20

// BenchmarkLog appends prepared records to a log while they are indexed, beside
// writing them to a file that is synced after each. Then it verifies the log.
func BenchmarkLog(b *testing.B) {
	n := testenv.Count(b, "TEST_RECORDS", 100_000)
	prepared, payloads := prepare(b, n)
	for b.Loop() {
		dir := b.TempDir()
		began := time.Now()
		logged := write(b, dir, prepared)
		perSecond := float64(n) / time.Since(began).Seconds()
		result("records_per_s", perSecond, "records/s")
		result("log_records_per_s", float64(n)/logged.Seconds(), "records/s")
		result("payload_bytes_per_record", float64(payloads)/float64(n), "B")
		single := baseline(b, prepared[:min(testenv.Count(b, "TEST_BASELINE", 2000), n)])
		result("baseline_records_per_s", single, "records/s")
		result("times_baseline", perSecond/single, "ratio")
		sizeAndVerify(b, dir, n)
	}
}

// prepare returns n records and how long their payloads are together.
func prepare(b *testing.B, n int) (all []chain.Record, payloads int) {
	b.Helper()
	g := records.New(n)
	all = make([]chain.Record, n)
	for i := range all {
		all[i] = next(b, g)
		payloads += len(all[i].Payload)
	}
	return all, payloads
}

func next(b *testing.B, g *records.Generator) chain.Record {
	b.Helper()
	r, err := g.Next()
	if err != nil {
		b.Fatal(err)
	}
	return chain.Record{ID: r.ID, StreamSeq: r.Seq, Stored: r.Time, Payload: r.Payload}
}

func benchLog(b *testing.B, dir string) *chain.Log {
	b.Helper()
	l, err := openLog(Config{Dir: dir, SegmentBytes: benchSegment}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// write appends records to a new log and, as the auditor does, indexes each batch
// while the next is being appended. It returns how long the log alone took.
func write(b *testing.B, dir string, records []chain.Record) (logged time.Duration) {
	b.Helper()
	l := benchLog(b, dir)
	x, err := index.Open(indexFile(dir), index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	group, ctx := errgroup.WithContext(b.Context())
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
	if err := errors.Join(group.Wait(), l.Close(), x.Close()); err != nil {
		b.Fatal(err)
	}
	return logged
}

func indexRecords(records []chain.Record) []index.Record {
	out := make([]index.Record, len(records))
	for i, r := range records {
		out[i] = indexRecord(r, "head")
	}
	return out
}

// baseline appends records to a plain file, each synced by itself, and returns how
// many it does in a second.
func baseline(b *testing.B, records []chain.Record) (perSecond float64) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "baseline.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for _, r := range records {
		_, err := f.Write(append(r.Payload[:len(r.Payload):len(r.Payload)], '\n'))
		if err := errors.Join(err, f.Sync()); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(began)
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return float64(len(records)) / took.Seconds()
}

// sizeAndVerify verifies the log, plain and compressed, with warm caches, and tells
// what a record takes on disk.
func sizeAndVerify(b *testing.B, dir string, records int) {
	b.Helper()
	lines := sizes(b, logDir(dir))[".jsonl"]
	verify(b, dir, "verify_mb_s", lines, records)
	l := benchLog(b, dir)
	if err := errors.Join(l.Tidy(b.Context()), l.Close()); err != nil {
		b.Fatal(err)
	}
	packed := sizes(b, logDir(dir))
	verify(b, dir, "verify_compressed_mb_s", lines, records)
	perRecord := float64(lines) / float64(records)
	result("plain_bytes_per_record", perRecord, "B")
	if closed := lines - packed[".jsonl"]; closed > 0 {
		result("bytes_per_record", perRecord*float64(packed[".zst"])/float64(closed), "B")
	}
	result("index_bytes_per_record", float64(sizes(b, dir)[".db"])/float64(records), "B")
}

func verify(b *testing.B, dir, name string, lines int64, records int) {
	b.Helper()
	var took time.Duration
	for range 2 { // the first one warms the cache
		began := time.Now()
		v, err := Reader{Dir: dir}.Verify(b.Context(), nil, VerifyOptions{})
		if err != nil || !v.OK() || v.Records != uint64(records) {
			b.Fatalf("of %d records: %+v, %v", records, v, err)
		}
		took = time.Since(began)
	}
	result(name, float64(lines)/1e6/took.Seconds(), "MB/s")
}

// sizes sums up the segments and the index in a directory by the ends of their
// names.
func sizes(b *testing.B, dir string) map[string]int64 {
	b.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	sum := make(map[string]int64)
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), "checkpoints") {
			continue
		}
		info, err := e.Info()
		if err != nil {
			b.Fatal(err)
		}
		sum[filepath.Ext(e.Name())] += info.Size()
	}
	return sum
}

// BenchmarkReports fills an index and measures how long summing all of it up takes,
// by each of the ways to. The first answer counts, as for somebody who asks once.
func BenchmarkReports(b *testing.B) {
	n := testenv.Count(b, "TEST_INDEXED", 1_000_000)
	for b.Loop() {
		dir := b.TempDir()
		x, err := index.Open(indexFile(dir), index.Options{})
		if err != nil {
			b.Fatal(err)
		}
		g := records.New(n)
		began := time.Now()
		for at := 0; at < n; {
			batch := make([]chain.Record, min(maxBatch, n-at))
			for i := range batch {
				at++
				batch[i] = next(b, g)
				batch[i].Seq = uint64(at)
			}
			if err := x.Add(b.Context(), indexRecords(batch)); err != nil {
				b.Fatal(err)
			}
		}
		result("indexed_per_s", float64(n)/time.Since(began).Seconds(), "records/s")
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
		var slowest time.Duration
		var slowestBy audit.By
		for _, by := range []audit.By{audit.ByDay, audit.ByHour, audit.ByModel, audit.ByClient, audit.ByTool} {
			began := time.Now()
			r, err := Reader{Dir: dir}.Report(b.Context(), by, audit.Filter{})
			if err != nil || r.Total.Requests != int64(n/2) {
				b.Fatalf("the report by %s: %+v, %v", by, r, err)
			}
			if took := time.Since(began); took > slowest {
				slowest, slowestBy = took, by
			}
		}
		fmt.Printf("The slowest report is that by %s.\n", slowestBy)
		result("report_1m_s", slowest.Seconds(), "s")
	}
}
