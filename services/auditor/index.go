package auditor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/anomaly"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// indexBatch is how many records of the log are indexed in one transaction when
// the index catches up.
const indexBatch = 2000

// progressEvery is how often an index that is being built says how far it is.
const progressEvery = 5 * time.Second

// maxMissed bounds the records that are watched once more at the start.
const maxMissed = 10_000

// past is what an auditor that starts knows of the past, and the records that an
// earlier one had logged and not yet watched when it died.
type past struct {
	state  anomaly.State
	missed []chain.Record
}

// openIndex opens the index and brings it up to the end of the log, to which
// nothing may be appended meanwhile. One that cannot be used is built again.
func openIndex(ctx context.Context, dir string, end chain.Head, log *slog.Logger) (*index.Index, past, error) {
	var before past
	x, err := index.Open(indexFile(dir), index.Options{})
	if err == nil {
		if before.state, err = watchState(ctx, x, time.Now()); err == nil {
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
		before.state, err = watchState(ctx, x, time.Now())
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
	reported := time.Now()
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
		if missed != nil && len(*missed) < maxMissed {
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
		if time.Since(reported) > progressEvery {
			reported = time.Now()
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

// follow indexes what has been logged, and watches it for anomalies, until
// a.indexed is closed.
func (a *auditor) follow(ctx context.Context) error {
	watch := anomaly.New(a.host, a.past.state)
	for _, r := range a.past.missed {
		a.watch(ctx, watch, r)
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
				text := "the index does not follow the log until the auditor starts again: " + err.Error()
				a.problem.index.Store(&text)
				a.out.Error("the index does not follow the log", "err", err)
			} else {
				a.metrics.indexed.Add(float64(len(records)))
			}
		}
		for _, r := range batch.records {
			a.watch(ctx, watch, r)
		}
	}
	return nil
}

// watch publishes what is unusual about a record of a request's end.
func (a *auditor) watch(ctx context.Context, watch *anomaly.Watch, r chain.Record) {
	features, ended := watched(r)
	if !ended {
		return
	}
	for _, f := range watch.Add(features) {
		if err := a.publish(ctx, a.finding(f)); err != nil {
			a.out.Warn("publishing a finding", "err", err, "title", f.Title)
		}
	}
}

// watched is what the watch needs of a record; false if no request ended with it.
func watched(r chain.Record) (anomaly.Record, bool) {
	var ended proto.Audit
	if json.Unmarshal(r.Payload, &ended) != nil || ended.Phase != proto.PhaseEnd {
		return anomaly.Record{}, false
	}
	features := anomaly.Record{
		Stored: r.Stored, RequestID: ended.RequestID, Client: ended.Client, Model: cmp.Or(ended.ResponseModel, ended.RequestModel),
	}
	for _, c := range ended.ToolCalls {
		features.Tools = append(features.Tools, c.Name)
	}
	if u := ended.Usage; u != nil && !u.Stored {
		features.InputTokens, features.OutputTokens = u.Input, u.Output
	}
	return features, true
}

// finding is a finding as an event. Its id depends only on what was found, so that
// records that are read again add nothing to the stream.
func (a *auditor) finding(f anomaly.Finding) *proto.Event {
	e := &proto.Event{
		ID:       proto.AuditID(f.Key, proto.Phase(f.Kind)),
		Time:     f.Time,
		Host:     a.host,
		Source:   bus.RoleAuditor,
		Kind:     f.Kind,
		ClassUID: proto.ClassUIDDetectionFinding,
		Title:    f.Title,
		Rule:     &proto.Rule{ID: f.Kind, Name: f.Rule, Category: "Audit"},
		Raw:      f.Detail,
	}
	e.SetSeverity(f.Severity)
	return e
}

// publish publishes an event of the auditor's own.
func (a *auditor) publish(ctx context.Context, e *proto.Event) error {
	msg := &nats.Msg{Subject: e.Subject().Ingest(), Data: e.AppendJSON(nil), Header: nats.Header{}}
	msg.Header.Set(proto.HeaderEventID, e.ID)
	// It has the same id if it was stored after all.
	return retry.Do(ctx, retry.Policy{Min: minBackoff, Max: maxBackoff}, func(ctx context.Context) error {
		err := a.conn.Publish(ctx, msg)
		if bus.Permanent(err) {
			return retry.Permanent(err)
		}
		return err
	})
}

// watchState asks the index what a watch that begins now has to know: which tools
// were called, and how many tokens the last hours used. The index goes by the
// requests' own time, so that an hour can differ by the requests that took longer
// than it.
func watchState(ctx context.Context, x *index.Index, now time.Time) (anomaly.State, error) {
	var past anomaly.State
	uses, err := x.Tools(ctx, audit.Filter{})
	if err != nil {
		return past, fmt.Errorf("restoring the watch for anomalies: %w", err)
	}
	for _, u := range uses {
		if u.Tool != audit.Other {
			past.Uses = append(past.Uses, anomaly.Use{Client: u.Client, Tool: u.Tool, Last: u.Last})
		}
	}
	for r, err := range x.List(ctx, audit.Filter{}, audit.Order{OldestFirst: true, Limit: 1}) {
		if err != nil {
			return past, fmt.Errorf("restoring the watch for anomalies: %w", err)
		}
		past.First = r.Time
	}
	all, err := x.Report(ctx, audit.ByClient, audit.Filter{}, new(price.Table), nil)
	if err != nil {
		return past, fmt.Errorf("restoring the watch for anomalies: %w", err)
	}
	past.Requests = all.Total.Requests - all.Total.Open - all.Total.Interrupted
	// A request that claims to be of the future would make all hours old.
	recent, err := x.Report(ctx, audit.ByHour, audit.Filter{Since: now.Add(-anomaly.BurstWindow).Truncate(time.Hour), Until: now}, new(price.Table), nil)
	if err != nil {
		return past, fmt.Errorf("restoring the watch for anomalies: %w", err)
	}
	past.Hours = make(map[time.Time]int64, len(recent.Rows))
	for _, row := range recent.Rows {
		past.Hours[row.Start] = row.Input + row.Output
	}
	return past, nil
}
