// Package auditor keeps the record of LLM requests: a log that proves itself, and
// an index of it for questions.
//
//	SECURITY_AUDIT ─▶ fetch ─▶ new ones ─▶ log, synced ─▶ ack
//	                                        │   └─▶ signed checkpoints ─▶ SECURITY (…auditor.checkpoint.info)
//	                                        └─▶ index (SQLite), noticing ─▶ alerts (…auditor.first-seen.low)
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
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// Role is the identity that the auditor connects as.
const Role = bus.RoleAuditor

const (
	fetchSize   = 2048
	appendBytes = chain.MaxBatchBytes / 2 // of payloads in one append, which the log's own words come to
	tidyEvery   = time.Minute
	minBackoff  = 200 * time.Millisecond
	maxBackoff  = 10 * time.Second
	holdEvery   = 20 * time.Second // well within the durable's AckWait
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
	indexed chan indexing // what has been logged, for the index
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
		metrics: newMetrics(rt.Metrics), indexed: make(chan indexing, 4),
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
	consumer, err := a.conn.AwaitBind(ctx, proto.StreamAudit, proto.DurableAuditor)
	if consumer == nil {
		return err
	}
	last := a.log.Last()
	a.out.Info("keeping the audit log", "dir", cfg.Dir, "log", last.Log, "records", last.Seq)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(a.indexed)
		if err := a.recovered(ctx); err != nil {
			return err
		}
		return a.keep(ctx, consumer)
	})
	group.Go(func() error { return a.follow(ctx) })
	group.Go(func() error { return a.sign(ctx) })
	group.Go(func() error { return a.tidy(ctx) })
	return group.Wait()
}

func openLog(cfg Config, log *slog.Logger) (*chain.Log, error) {
	return chain.Open(chain.Options{
		Dir: logDir(cfg.Dir), KeyFile: cfg.KeyFile, SegmentBytes: cfg.SegmentBytes,
		KeepFor: cfg.KeepFor, KeepBytes: cfg.KeepBytes, Now: time.Now, Log: log,
	})
}

// recovered reads from the stream what a crash has cut off the log, and for a new
// log all that the stream has: the stream may take it for delivered. It waits out
// an absent bus and a full disk.
func (a *auditor) recovered(ctx context.Context) error {
	if a.log.Stats().TornBytes == 0 && a.log.Last().Seq > 0 {
		return nil
	}
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := a.recover(ctx)
		switch {
		case err == nil, ctx.Err() != nil:
			return nil
		case bus.Permanent(err), !errors.Is(err, chain.ErrNoSpace) && errors.Is(err, errAppend):
			return err
		}
		a.ready.Set("log", err)
		a.out.Warn("reading again what the log lacks is delayed", "err", err, "retry_in", wait)
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// recover makes one attempt at it.
func (a *auditor) recover(ctx context.Context) error {
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

// keep puts what comes into the log until ctx is done.
func (a *auditor) keep(ctx context.Context, consumer *bus.Consumer) error {
	for {
		msgs, err := consumer.Fetch(ctx, fetchSize)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("fetching audit records: %w", err)
		}
		records := make([]chain.Record, len(msgs))
		for i, m := range msgs {
			records[i] = record(m.Header.Get(proto.HeaderEventID), m.Sequence, m.Stored, m.Data)
		}
		held := time.Now()
		for {
			err := a.append(ctx, records)
			if err == nil {
				break
			}
			if !errors.Is(err, chain.ErrNoSpace) {
				return err
			}
			a.ready.Set("log", err)
			a.out.Error("the audit log cannot grow; nothing is acknowledged until it can", "err", err)
			if time.Since(held) > holdEvery {
				held = time.Now()
				for _, m := range msgs {
					if err := m.InProgress(); err != nil {
						break // they come again, and are known then
					}
				}
			}
			if !sleep(ctx, maxBackoff/2) {
				return nil
			}
		}
		a.ready.Set("log", nil)
		if err := acknowledge(ctx, msgs); err != nil {
			// They come again, and are known then.
			a.out.Warn("acknowledging is delayed", "err", err)
		}
		a.metrics.taken(time.Since(msgs[len(msgs)-1].Stored))
	}
}

func acknowledge(ctx context.Context, msgs []*bus.Msg) error {
	last := len(msgs) - 1
	for _, m := range msgs[:last] {
		if err := m.Ack(); err != nil {
			return err
		}
	}
	return msgs[last].DoubleAck(ctx)
}

// errAppend is wrapped by what is wrong with the log rather than with the bus.
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
			return nil // the index catches up with the log at the next start
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

// tidy compresses and removes what is to be, until ctx is done.
func (a *auditor) tidy(ctx context.Context) error {
	for {
		if err := a.log.Tidy(ctx); err != nil && ctx.Err() == nil {
			a.out.Error("tidying the audit log", "err", err)
		}
		if !sleep(ctx, tidyEvery) {
			return nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
