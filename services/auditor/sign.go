package auditor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// KindCheckpoint is the kind of the events that hold a signed state of the log.
const KindCheckpoint = "checkpoint"

// lastSigning bounds the attempt to publish a checkpoint at the end.
const lastSigning = 2 * time.Second

// Kinds of alerts about the log itself.
const (
	KindNewLog = "new-log" // the bus knows another log than the auditor's
	KindCutLog = "cut-log" // the log is shorter than what was signed, or ends otherwise
)

// sign signs the log and publishes what it signed, at intervals while the log
// grows, until ctx is done. A copy of one of these statements shows if the log is
// rewritten, even by somebody who has the key. A checkpoint that the bus has lost, with
// streams that were made anew, is published again.
func (a *auditor) sign(ctx context.Context) error {
	for {
		err := a.signOnce(ctx)
		switch {
		case ctx.Err() != nil:
		case bus.Permanent(err):
			return fmt.Errorf("publishing a checkpoint of the audit log: %w", err)
		case err != nil:
			a.out.Warn("a checkpoint of the audit log is delayed", "err", err)
		}
		if retry.Sleep(ctx, a.cfg.SignEvery) != nil {
			a.signLast(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// signLast publishes a checkpoint of a log that is about to be closed, so that it can
// be verified before it grows again: closing signs it.
func (a *auditor) signLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastSigning)
	defer cancel()
	if err := a.signOnce(ctx); err != nil {
		a.out.Warn("the last checkpoint of the audit log is published with the next start", "err", err)
	}
}

// signOnce publishes a checkpoint unless the last one on the bus is of the log as it
// is. Before it replaces one that does not fit, it raises an alert.
func (a *auditor) signOnce(ctx context.Context) error {
	known, err := a.lastCheckpoint(ctx)
	if err != nil {
		return err
	}
	end := a.log.Last()
	if known != nil {
		if alert := a.misfit(*known, end); alert != nil {
			a.out.Error("the log is not the one that was published", "title", alert.Title)
			if err := a.publish(ctx, alert); err != nil {
				return err
			}
		}
	}
	if end.Seq == 0 && known == nil || known != nil && known.Log == end.Log && known.Seq == end.Seq && known.Head == end.Hash {
		a.metrics.signed.Set(float64(end.Seq))
		return nil
	}
	c, err := a.log.Checkpoint()
	if err != nil {
		return err
	}
	if err := a.publish(ctx, a.checkpoint(c)); err != nil {
		return err
	}
	a.metrics.signed.Set(float64(c.Seq))
	return nil
}

// lastCheckpoint is the last one on the bus, nil if there is none.
func (a *auditor) lastCheckpoint(ctx context.Context) (*chain.Checkpoint, error) {
	streams, err := a.conn.SecurityStreams(ctx)
	if err != nil {
		return nil, err
	}
	m, err := a.conn.LastUnder(ctx, checkpointFilter, holdingCheckpoints(streams)...)
	if err != nil || m == nil {
		return nil, err
	}
	c, ok := readCheckpoint(m)
	if !ok {
		return nil, nil // the next one stands behind it
	}
	return &c, nil
}

// misfit is an alert if a log that ends with end cannot be the one of which known was
// published; else nil. Its id depends on what was found alone.
func (a *auditor) misfit(known chain.Checkpoint, end chain.Head) *proto.Event {
	var kind, title string
	switch {
	case known.Log != end.Log:
		kind = KindNewLog
		title = fmt.Sprintf("The audit log %s is not the one that the bus knows, %.64s with %d records: was it begun anew, or put in its place?", end.Log, known.Log, known.Seq)
	case known.Seq > end.Seq:
		kind = KindCutLog
		title = fmt.Sprintf("The audit log %s ends at record %d, and %d were signed: was it set back?", end.Log, end.Seq, known.Seq)
	case known.Seq == end.Seq && known.Head != end.Hash:
		kind = KindCutLog
		title = fmt.Sprintf("Record %d of the audit log %s is not the one that was signed: was the log written anew?", end.Seq, end.Log)
	default:
		return nil
	}
	e := &proto.Event{
		ID: proto.AuditID(fmt.Sprintf("%s %d %s %d", known.Log, known.Seq, end.Log, end.Seq), proto.Phase(kind)), Time: time.Now().UTC(),
		Host: a.host, Source: bus.RoleAuditor, Kind: kind, ClassUID: proto.ClassUIDDetectionFinding, Title: title,
		Rule: &proto.Rule{ID: kind, Name: "The audit log is not the one that was published", Category: "Audit"},
	}
	e.SetSeverity(proto.SeverityHigh)
	return e
}

func (a *auditor) checkpoint(c chain.Checkpoint) *proto.Event {
	e := &proto.Event{
		ID:       proto.AuditID(fmt.Sprintf("%s %d %s", c.Log, c.Seq, c.Head), KindCheckpoint),
		Time:     time.Now().UTC(),
		Host:     a.host,
		Source:   bus.RoleAuditor,
		Kind:     KindCheckpoint,
		ClassUID: proto.ClassUIDAppLifecycle,
		Title:    fmt.Sprintf("Audit log %s holds %d records", c.Log, c.Seq),
	}
	e.SetSeverity(proto.SeverityInfo)
	if raw, err := json.Marshal(c); err == nil { // strings, numbers and bytes can always be encoded
		e.Raw = raw
	}
	return e
}
