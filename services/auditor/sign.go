package auditor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// KindCheckpoint is the kind of the events that hold a signed state of the log.
const KindCheckpoint = "checkpoint"

// sign signs the log and publishes what it signed, at intervals while the log
// grows, until ctx is done. Who keeps one of these statements can tell if the log
// is rewritten, even by somebody who has the key.
func (a *auditor) sign(ctx context.Context) error {
	var published uint64
	for {
		if seq := a.log.Last().Seq; seq != published {
			c, err := a.log.Checkpoint()
			if err == nil {
				err = a.publish(ctx, a.checkpoint(c))
			}
			switch {
			case ctx.Err() != nil:
				return nil
			case bus.Permanent(err):
				return fmt.Errorf("publishing a checkpoint of the audit log: %w", err)
			case err != nil:
				a.out.Warn("a checkpoint of the audit log is delayed", "err", err)
			default:
				published = seq
				a.metrics.signed.Set(float64(c.Seq))
			}
		}
		if !sleep(ctx, a.cfg.SignEvery) {
			return nil
		}
	}
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
