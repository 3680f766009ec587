// Package auditor keeps the record of LLM requests: a log that proves itself, and
// an index of it for questions.
//
//	SECURITY_AUDIT ─▶ fetch ─▶ new ones ─▶ log, synced ─▶ ack
//	                                        │   └─▶ signed checkpoints ─▶ SECURITY (…auditor.checkpoint.info)
//	                                        └─▶ index (SQLite) ─▶ replies (query.audit.>)
//	                                        └─▶ watch ─▶ alerts (…auditor.first-seen.low)
//
// The log is the truth: a record is acknowledged once it is synced to disk, and
// is in it once, however often it comes. The index can be thrown away; it is
// built again from the log.
package auditor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// Role is the identity that the auditor connects as.
const Role = bus.RoleAuditor

const (
	fetchSize   = 2048
	appendBytes = chain.MaxBatchBytes / 2 // of payloads in one append, which the log's own words come to
	tidyEvery   = time.Minute
	lookEvery   = 10 * time.Second
	minBackoff  = 200 * time.Millisecond
	maxBackoff  = 10 * time.Second
	fullRetry   = 5 * time.Second // until a full disk is tried again
)

type auditor struct {
	cfg     Config
	host    string
	log     *chain.Log
	index   *index.Index
	past    past
	conn    *bus.Conn
	out     *slog.Logger
	ready   *daemon.Readiness
	metrics *metrics
	counts  prometheus.Registerer
	prices  *price.Table
	indexed chan indexing // what has been logged, for the index

	// problem is why records are not logged, or not indexed; nil if they are.
	problem struct{ log, index atomic.Pointer[string] }
}

// indexing is a batch that is in the log.
type indexing struct {
	records []chain.Record
	head    string // the chain's value after it
}

// Run keeps the log until ctx is done. It waits out an absent bus and a full
// disk; it returns an error if the bus refuses for good, if another auditor has
// the log, or if the log is not as it was written.
func Run(ctx context.Context, cfg Config, rt daemon.Runtime) (err error) {
	rt.Ready.Expect("nats", "log")
	key, err := cfg.NATS.Key()
	if err != nil {
		return err
	}
	a := &auditor{
		cfg: cfg, host: config.HostName(cfg.Host), out: rt.Log, ready: rt.Ready,
		metrics: newMetrics(rt.Metrics), counts: rt.Metrics, indexed: make(chan indexing, 4),
	}
	if a.cfg.LookEvery <= 0 {
		a.cfg.LookEvery = lookEvery
	}
	if a.prices, err = cfg.Prices.Load(); err != nil {
		return err
	}
	if a.log, err = openLog(cfg, rt.Log); err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	defer func() { err = errors.Join(err, a.log.Close()) }()
	if a.index, a.past, err = openIndex(ctx, cfg.Dir, a.log.Last(), rt.Log); err != nil {
		return fmt.Errorf("opening the index of the audit log: %w", err)
	}
	defer func() { err = errors.Join(err, a.index.Close()) }()
	a.ready.Set("log", nil)

	a.conn, err = bus.Connect(ctx, bus.Options{
		URL: cfg.NATS.URL, Key: key, Role: Role, Log: rt.Log,
		OnState: func(err error) { rt.Ready.Set("nats", err) },
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	defer a.conn.Close()
	// A bus that has no streams yet has nothing to read again.
	if _, err := a.conn.AwaitBind(ctx, proto.StreamAudit, proto.DurableAuditor); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	last := a.log.Last()
	a.out.Info("keeping the audit log", "dir", cfg.Dir, "log", last.Log, "records", last.Seq)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(a.indexed)
		if err := a.readAgain(ctx); err != nil {
			return err
		}
		return a.logRecords(ctx)
	})
	group.Go(func() error { return a.follow(ctx) })
	group.Go(func() error { return a.sign(ctx) })
	group.Go(func() error { return a.watchRoom(ctx) })
	group.Go(func() error { return a.tidy(ctx) })
	group.Go(func() error { return a.answer(ctx) })
	group.Go(func() error {
		progress.Heart{
			Conn: a.conn, Host: a.host, Source: Role, Log: a.out,
			Problem: func() error { return a.ready.Reason("log") },
		}.Run(ctx)
		return nil
	})
	return group.Wait()
}

func openLog(cfg Config, log *slog.Logger) (*chain.Log, error) {
	return chain.Open(chain.Options{
		Dir: logDir(cfg.Dir), KeyFile: cfg.KeyFile, SegmentBytes: cfg.SegmentBytes,
		KeepFor: cfg.KeepFor, KeepBytes: cfg.KeepBytes, Now: time.Now, Log: log,
	})
}

// readAgain reads from the stream what a crash has cut off the log, and for a new
// log all that the stream has: the stream may take it for delivered. It waits out
// an absent bus and a full disk.
func (a *auditor) readAgain(ctx context.Context) error {
	if a.log.Stats().TornBytes == 0 && a.log.Last().Seq > 0 {
		return nil
	}
	policy := retry.Policy{Min: minBackoff, Max: maxBackoff, OnRetry: func(err error, wait time.Duration) {
		a.logging(err)
		a.out.Warn("reading again what the log lacks is delayed", "err", err, "retry_in", wait)
	}}
	err := retry.Do(ctx, policy, func(ctx context.Context) error {
		err := a.tryReadAgain(ctx)
		if bus.Permanent(err) || !errors.Is(err, chain.ErrNoSpace) && errors.Is(err, errAppend) {
			return retry.Permanent(err)
		}
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// tryReadAgain makes one attempt.
func (a *auditor) tryReadAgain(ctx context.Context) error {
	var batch []chain.Record
	flush := func() error {
		err := a.append(ctx, batch)
		batch = batch[:0]
		return err
	}
	for m, err := range a.conn.History(ctx, proto.StreamAudit, proto.StoredPrefix+".>", bus.Start{Sequence: a.log.Last().StreamSeq}) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading again what a crash has cut off: %w", err)
		}
		batch = append(batch, record(m.Header.Get(proto.HeaderEventID), m.Sequence, m.Time, m.Data))
		if len(batch) == fetchSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// logRecords puts what is fetched into the log until ctx is done. A batch is acknowledged
// when it is on the disk; while the disk is full it is held.
func (a *auditor) logRecords(ctx context.Context) error {
	options := consume.Options{
		Conn: a.conn, Durable: proto.AuditConsumer(), Fetch: fetchSize, Raw: true,
		Ready: a.logging, Log: a.out, Metrics: a.counts,
	}
	return consume.Batches(ctx, options, func(ctx context.Context, batch []consume.Message) error {
		records := make([]chain.Record, len(batch))
		for i, m := range batch {
			records[i] = record(m.Header.Get(proto.HeaderEventID), m.Sequence, m.Stored, m.Data)
		}
		err := a.append(ctx, records)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, chain.ErrNoSpace):
			return consume.Later(err, fullRetry)
		case ctx.Err() != nil:
			return err // handed back; what is in the log already is recognized
		}
		return consume.Fatal(err)
	})
}

// logging records whether records can be logged, for readiness and [audit.Status].
func (a *auditor) logging(err error) {
	a.ready.Set("log", err)
	a.problem.log.Store(nil)
	if err != nil {
		text := err.Error()
		a.problem.log.Store(&text)
	}
}

// errAppend is wrapped by errors of the log, as opposed to those of the bus.
var errAppend = errors.New("appending to the audit log")

// append puts those of records that are new into the log, and hands them to the
// index.
func (a *auditor) append(ctx context.Context, records []chain.Record) error {
	fresh, err := a.log.Missing(records)
	if err != nil {
		return fmt.Errorf("looking for what is new: %w", err)
	}
	a.metrics.repeated.Add(float64(len(records) - len(fresh)))
	for len(fresh) > 0 {
		n, size := 0, 0
		for n < min(len(fresh), chain.MaxBatch) && (n == 0 || size+len(fresh[n].Payload) <= appendBytes) {
			size += len(fresh[n].Payload)
			n++
		}
		if err := a.log.Append(fresh[:n]); err != nil {
			return fmt.Errorf("%w: %w", errAppend, err)
		}
		a.metrics.logged.Add(float64(n))
		select {
		case a.indexed <- indexing{append([]chain.Record(nil), fresh[:n]...), headText(a.log.Last())}:
		case <-ctx.Done():
			// The index catches up with the log at the next start.
			if n < len(fresh) {
				return context.Cause(ctx)
			}
		}
		fresh = fresh[n:]
	}
	return nil
}

// record is a message as the log takes it. What has no usable id gets one from
// its place, so that it is kept all the same.
func record(id string, sequence uint64, stored time.Time, payload []byte) chain.Record {
	if !usable(id) {
		// A sequence can be used again after a crash; not for the same content.
		sum := sha256.Sum256(payload)
		id = fmt.Sprintf("stream-%d-%x", sequence, sum[:6])
	}
	return chain.Record{ID: id, StreamSeq: sequence, Stored: stored, Payload: payload}
}

// usable reports whether an id is one that the log can hold.
func usable(id string) bool {
	if id == "" || len(id) > chain.MaxID {
		return false
	}
	for _, c := range []byte(id) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '.' && c != '_' && c != ':' {
			return false
		}
	}
	return true
}

// tidy compresses and removes files of the log until ctx is done.
func (a *auditor) tidy(ctx context.Context) error {
	for {
		if err := a.log.Tidy(ctx); err != nil && ctx.Err() == nil {
			a.out.Error("tidying the audit log", "err", err)
		}
		if retry.Sleep(ctx, tidyEvery) != nil {
			return nil
		}
	}
}

type metrics struct {
	logged   prometheus.Counter
	repeated prometheus.Counter
	indexed  prometheus.Counter
	signed   prometheus.Gauge
	stream   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		logged:   prometheus.NewCounter(prometheus.CounterOpts{Name: "auditor_records_logged_total", Help: "Records appended to the log and synced."}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{Name: "auditor_records_repeated_total", Help: "Records that came again and were in the log already."}),
		indexed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "auditor_records_indexed_total", Help: "Records handed to the index."}),
		signed:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "auditor_checkpoint_record", Help: "Number of the last record that a published checkpoint covers."}),
		stream:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "auditor_stream_used_ratio", Help: "How much of its max bytes the stream of audit records holds; at 1 it refuses new ones."}),
	}
	r.MustRegister(m.logged, m.repeated, m.indexed, m.signed, m.stream)
	return m
}
