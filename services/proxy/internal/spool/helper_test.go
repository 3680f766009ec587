package spool

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func openSpool(t testing.TB, dir string, change ...func(*Options)) *Spool {
	t.Helper()
	s, err := tryOpen(dir, change...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryOpen(dir string, change ...func(*Options)) (*Spool, error) {
	o := Options{
		Dir:      dir,
		MaxBytes: 16 << 20,
		Host:     bustest.Host,
		Log:      slog.New(slog.DiscardHandler),
		Metrics:  prometheus.NewRegistry(),
		Now:      time.Now,
	}
	for _, c := range change {
		c(&o)
	}
	return Open(o)
}

func closeSpool(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// running is a Spool that is being drained.
type running struct {
	*Spool
	stop  context.CancelFunc
	ended chan error
}

func run(t testing.TB, s *Spool, conn *bus.Conn) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{s, cancel, make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx, conn) }()
	return r
}

// close stops draining and closes the Spool.
func (r *running) close(t testing.TB) {
	t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	closeSpool(t, r.Spool)
}

func (s *Spool) waiting() int64 {
	return s.audits.queue.Stats().Waiting + s.alerts.queue.Stats().Waiting
}

func (s *Spool) drained() bool { return s.waiting() == 0 }

func request(id string) *proto.Audit {
	return &proto.Audit{
		ID: id, RequestID: id, Phase: proto.PhaseStart, Time: time.Unix(1764000000, 0).UTC(),
		Host: bustest.Host, Source: Source, Kind: "request", SeverityID: 1, ClassUID: proto.ClassUIDAPIActivity,
	}
}

func alert(id string) *proto.Event {
	e := &proto.Event{
		ID: id, Time: time.Unix(1764000000, 0).UTC(), Host: bustest.Host, Source: Source, Kind: "guard", Title: "A secret leaves",
	}
	e.SetSeverity(proto.SeverityHigh)
	return e
}

// add appends an audit and an alert of each id.
func add(t testing.TB, s *Spool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.AppendAudit(request(id)); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendAlert(alert(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// stored returns what a stream holds of the proxy's.
func stored(t testing.TB, b *bustest.Bus, stream string) []*bus.Stored {
	t.Helper()
	var all []*bus.Stored
	for m, err := range b.Conn(t, bus.RoleTail).History(t.Context(), stream, proto.SourceFilter(bustest.Host, Source), bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func storedIDs(t testing.TB, b *bustest.Bus, stream string) []string {
	t.Helper()
	var ids []string
	for _, m := range stored(t, b, stream) {
		ids = append(ids, m.Header.Get(proto.HeaderEventID))
	}
	return ids
}

// wantStored checks that both streams hold these records, in order, once.
func wantStored(t testing.TB, b *bustest.Bus, ids []string) {
	t.Helper()
	for _, stream := range []string{proto.StreamAudit, proto.AlertsStream(Source)} {
		if got := storedIDs(t, b, stream); !slices.Equal(got, ids) {
			t.Errorf("%s holds %d records %v, want %d: %v", stream, len(got), got, len(ids), ids)
		}
	}
}

func segments(t testing.TB, dir, name string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, name+"-*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// logged is a log to look at.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) use(o *Options) { o.Log = l.logger() }

func flipBit(t testing.TB, path string, at int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[at] ^= 0x10
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

const subject = "ingest.audit.box1.proxy.request.info"

func defaults(dir string) queueOptions {
	return queueOptions{Dir: dir, Name: "audit", MaxBytes: 4 << 20, Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

func opened(t testing.TB, o queueOptions) *queue {
	t.Helper()
	q, err := openQueue(o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func sample(id string) record {
	return record{Subject: subject, ID: id, Payload: []byte(`{"id":"` + id + `"}`)}
}

func put(t testing.TB, q *queue, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := q.Append(sample(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func readFrom(t testing.TB, q *queue, position string) (*reader, bool) {
	t.Helper()
	r, found, err := q.ReadFrom(position)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, found
}

// waiting reads all that waits, a few records at a time.
func waiting(t testing.TB, r *reader) []entry {
	t.Helper()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	var all []entry
	for {
		entries, err := r.Next(done, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		all = append(all, entries...)
	}
}

func ids(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ID)
	}
	return all
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
