package auditor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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

// mostMissed bounds the records that are looked at once more at the start.
const mostMissed = 10_000

// past is what an auditor that starts knows of the past, and what it has not
// told of yet: records that an earlier one had logged and not noticed when it
// died.
type past struct {
	state  trail.State
	missed []chain.Record
}

// openIndex opens the index and brings it up to the end of the log, which nobody
// appends to meanwhile. One that cannot be used is built again.
func openIndex(ctx context.Context, dir string, end chain.Head, log *slog.Logger) (*index.Index, past, error) {
	var before past
	x, err := index.Open(indexFile(dir), index.Options{})
	if err == nil {
		if before.state, err = trail.Past(ctx, x, time.Now()); err == nil {
			err = catchUp(ctx, x, dir, end, log, &before.missed)
		}
		if err == nil {
			return x, before, nil
		}
		err = errors.Join(err, x.Close())
	}
	if !errors.Is(err, index.ErrRebuild) {
		return nil, past{}, err
	}
	log.Warn("the index is built again from the log", "err", err)
	if err := index.Discard(indexFile(dir)); err != nil {
		return nil, past{}, err
	}
	if x, err = index.Open(indexFile(dir), index.Options{}); err != nil {
		return nil, past{}, err
	}
	if err = catchUp(ctx, x, dir, end, log, nil); err == nil {
		before = past{}
		before.state, err = trail.Past(ctx, x, time.Now())
	}
	if err != nil {
		return nil, past{}, errors.Join(err, x.Close())
	}
	return x, before, nil
}

// catchUp feeds the index what the log has beyond it. An index of another log,
// or of a log that was longer, is one to build again. missed, if it is not nil,
// takes the records.
func catchUp(ctx context.Context, x *index.Index, dir string, end chain.Head, log *slog.Logger, missed *[]chain.Record) error {
	position, head := x.Position()
	another := position > 0 && !strings.HasPrefix(head, end.Log)
	if another || position > end.Seq || position == end.Seq && position > 0 && head != headText(end) {
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
		if missed != nil && len(*missed) < mostMissed {
			*missed = append(*missed, r)
		}
		if len(batch) < indexBatch || r.Seq == end.Seq {
			continue
		}
		batch[len(batch)-1].Head = end.Log
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
	batch[len(batch)-1].Head = headText(end)
	return x.Add(ctx, batch)
}

// headText is what the index keeps of the log's end: it begins with the log's id, so
// that the index of another log is known even if that is shorter.
func headText(end chain.Head) string { return end.Log + " " + end.Hash.String() }

func indexRecord(r chain.Record, head string) index.Record {
	return index.Record{Seq: r.Seq, Head: head, StreamSeq: r.StreamSeq, Stored: r.Stored, Payload: r.Payload}
}

// follow indexes what has been logged, and notices what is new in it, until
// there is no more to come.
func (a *auditor) follow(ctx context.Context) error {
	watch := trail.New(a.host, a.past.state)
	for _, r := range a.past.missed {
		a.notice(ctx, watch, r)
	}
	a.past = past{}
	failed := false
	for batch := range a.indexed {
		records := make([]index.Record, len(batch.records))
		for i, r := range batch.records {
			records[i] = indexRecord(r, batch.head)
		}
		// Records that are logged are indexed even while the auditor stops.
		if !failed {
			err := a.index.Add(context.WithoutCancel(ctx), records)
			if failed = err != nil; failed {
				// The log goes on; the index catches up from its last record at the
				// next start, so that there must be nothing behind the hole.
				a.out.Error("the index does not follow the log", "err", err)
			} else {
				a.metrics.indexed.Add(float64(len(records)))
			}
		}
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
