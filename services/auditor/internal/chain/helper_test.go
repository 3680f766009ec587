package chain

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// clock is one that goes on by a second at every look.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func options(dir string) Options {
	return Options{Dir: dir, Now: newClock().Now, Log: slog.New(slog.DiscardHandler)}
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // most tests have closed it
	return l
}

// record returns the record that the stream has at a sequence.
func record(streamSeq uint64) Record {
	return Record{
		ID:        fmt.Sprintf("%032x", streamSeq),
		StreamSeq: streamSeq,
		Stored:    time.Date(2026, 3, 1, 0, 0, 0, int(streamSeq)*1000, time.UTC),
		Payload:   fmt.Appendf(nil, `{"id":"%032x","text":"é &<> \u0000","n":%d}`, streamSeq, streamSeq),
	}
}

func records(from, to uint64) []Record {
	var all []Record
	for seq := from; seq <= to; seq++ {
		all = append(all, record(seq))
	}
	return all
}

func mustAppend(t testing.TB, l *Log, rs ...Record) {
	t.Helper()
	if err := l.Append(rs); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// scanAll returns what Scan yields: records, and errors.
func scanAll(dir string, from uint64) (all []Record, errs []error) {
	for r, err := range Scan(dir, from) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	return all, errs
}

func sameRecord(a, b Record) bool {
	return a.Seq == b.Seq && a.ID == b.ID && a.StreamSeq == b.StreamSeq && a.Stored.Equal(b.Stored) && bytes.Equal(a.Payload, b.Payload)
}

// numbered gives records the Seq that a log starting with them gives.
func numbered(rs []Record) []Record {
	for i := range rs {
		rs[i].Seq = uint64(i) + 1
	}
	return rs
}

// wantLog checks that the log in dir holds these records and is as it should be.
func wantLog(t testing.TB, dir string, want []Record) Result {
	t.Helper()
	got, errs := scanAll(dir, 1)
	if len(errs) > 0 {
		t.Fatalf("scanning: %v", errs)
	}
	if !slices.EqualFunc(got, numbered(want), sameRecord) {
		t.Fatalf("%d records in the log, want %d, or not the same", len(got), len(want))
	}
	r := verify1(t, dir)
	if !r.OK() {
		t.Fatalf("verifying: %v", r.Corruptions)
	}
	if r.Records != uint64(len(want)) || r.Last != uint64(len(want)) {
		t.Fatalf("verified %d records to %d, want %d", r.Records, r.Last, len(want))
	}
	return r
}

func verify1(t testing.TB, dir string, kept ...Checkpoint) Result {
	t.Helper()
	r, err := Verify(t.Context(), dir, VerifyOptions{Checkpoints: kept})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t testing.TB, content []byte, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path ...string) {
	t.Helper()
	if err := os.Remove(filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

// copyLog returns a copy of a log's directory.
func copyLog(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// lines returns the lines of a file, each with its newline.
func lines(t testing.TB, path ...string) [][]byte {
	t.Helper()
	all := bytes.SplitAfter(read(t, path...), []byte("\n"))
	return all[:len(all)-1]
}
