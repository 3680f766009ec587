package auditor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/auditor/internal/trail"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// indexBatch is how many records of the log are indexed in one transaction when
// the index catches up.
const indexBatch = 2000

// progressEvery is how often an index that is being built says how far it is.
const progressEvery = 5 * time.Second

// openIndex opens the index and brings it up to the end of the log, which nobody
// appends to meanwhile. One that cannot be used is built again.
func openIndex(ctx context.Context, dir string, end chain.Head, log *slog.Logger) (*index.Index, error) {
	x, err := index.Open(indexFile(dir), index.Options{})
	if err == nil {
		if err = catchUp(ctx, x, dir, end, log); err == nil {
			return x, nil
		}
		err = errors.Join(err, x.Close())
	}
	if !errors.Is(err, index.ErrRebuild) {
		return nil, err
	}
	log.Warn("the index is built again from the log", "err", err)
	if err := index.Discard(indexFile(dir)); err != nil {
		return nil, err
	}
	if x, err = index.Open(indexFile(dir), index.Options{}); err != nil {
		return nil, err
	}
	if err := catchUp(ctx, x, dir, end, log); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// catchUp feeds the index what the log has beyond it. An index of another log,
// or of a log that was longer, is one to build again.
func catchUp(ctx context.Context, x *index.Index, dir string, end chain.Head, log *slog.Logger) error {
	position, head := x.Position()
	if position > end.Seq || position == end.Seq && position > 0 && head != end.Hash.String() {
		return fmt.Errorf("%w: it is of %d records of another log", index.ErrRebuild, position)
	}
	var batch []index.Record
	told := time.Now()
	for r, err := range chain.Scan(logDir(dir), max(position, 1)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			return fmt.Errorf("reading the log for the index: %w", err)
		}
		if r.Seq <= position {
			continue
		}
		batch = append(batch, indexRecord(r, ""))
		if len(batch) < indexBatch || r.Seq == end.Seq {
			continue
		}
		if err := x.Add(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
		if time.Since(told) > progressEvery {
			told = time.Now()
			log.Info("indexing the audit log", "record", r.Seq)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	batch[len(batch)-1].Head = end.Hash.String()
	return x.Add(ctx, batch)
}

func indexRecord(r chain.Record, head string) index.Record {
	return index.Record{Seq: r.Seq, Head: head, StreamSeq: r.StreamSeq, Stored: r.Stored, Payload: r.Payload}
}

// follow indexes what has been logged, and notices what is new in it, until
// there is no more to come.
func (a *auditor) follow(ctx context.Context) error {
	past, err := trail.Past(ctx, a.index, time.Now())
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("reading what tools have been called: %w", err)
	}
	watch := trail.New(a.host, past)
	failed := false
	for batch := range a.indexed {
		records := make([]index.Record, len(batch.records))
		for i, r := range batch.records {
			records[i] = indexRecord(r, batch.head)
		}
		// Records that are logged are indexed even while the auditor stops.
		err := a.index.Add(context.WithoutCancel(ctx), records)
		if err != nil && !failed {
			// The log goes on; the index catches up at the next start.
			a.out.Error("the index does not follow the log", "err", err)
		}
		failed = failed || err != nil
		a.metrics.indexed.Add(float64(len(records)))
		for _, r := range batch.records {
			a.notice(ctx, watch, r)
		}
	}
	return nil
}

// notice tells the bus what there is to tell of a record.
func (a *auditor) notice(ctx context.Context, watch *trail.Watch, r chain.Record) {
	var audit proto.Audit
	if json.Unmarshal(r.Payload, &audit) != nil || audit.Phase != proto.PhaseEnd {
		return
	}
	for _, e := range watch.End(r.Stored, &audit) {
		if err := a.publish(ctx, e); err != nil {
			a.out.Warn("telling of what was noticed", "err", err, "title", e.Title)
		}
	}
}

// publish publishes an event of the auditor's own.
func (a *auditor) publish(ctx context.Context, e *proto.Event) error {
	msg := &nats.Msg{Subject: e.Subject().Ingest(), Data: e.AppendJSON(nil), Header: nats.Header{}}
	msg.Header.Set(proto.HeaderEventID, e.ID)
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := a.conn.Publish(ctx, msg)
		if err == nil || bus.Permanent(err) || ctx.Err() != nil {
			return err
		}
		// It has the same id if it was stored after all.
		if !sleep(ctx, wait) {
			return err
		}
	}
}
