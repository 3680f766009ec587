package auditor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// KindStreamFull is the kind of alerts about a SECURITY_AUDIT that is nearly full. It
// keeps what it has and refuses what is new, so that somebody has to make room.
const KindStreamFull = "audit-stream-full"

// Shares of the stream's limit in percent at which an alert is raised. Below
// roomClear it is over.
const (
	roomWarning  = 80
	roomCritical = 95
	roomClear    = 75
)

// room is how full the stream of records was when it was last looked at.
type room struct {
	alerted int // the share of the last alert, 0 if it is over
}

// watchRoom looks at intervals how full the stream of records is, until ctx is done,
// and raises an alert before it refuses records.
func (a *auditor) watchRoom(ctx context.Context) error {
	a.ready.Expect("audit_stream")
	a.ready.Set("audit_stream", nil)
	var r room
	for {
		stream, err := a.conn.Stream(ctx, proto.StreamAudit)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			err = stream.Err
		}
		if err != nil {
			a.out.Warn("the room of the stream of audit records is unknown", "err", err)
		} else {
			a.judgeRoom(ctx, &r, stream)
		}
		if retry.Sleep(ctx, a.cfg.LookEvery) != nil {
			return nil
		}
	}
}

func (a *auditor) judgeRoom(ctx context.Context, r *room, stream bus.StreamState) {
	if stream.MaxBytes <= 0 {
		return // without a limit
	}
	share := int(stream.Bytes * 100 / uint64(stream.MaxBytes))
	a.metrics.stream.Set(float64(stream.Bytes) / float64(stream.MaxBytes))
	var full error
	if share >= roomCritical {
		full = fmt.Errorf("%s holds %d %% of its limit and refuses new records when it is full", proto.StreamAudit, share)
	}
	a.ready.Set("audit_stream", full)
	step := r.step(share)
	if step == 0 {
		return
	}
	alert := a.fullAlert(step, share, stream)
	a.out.Warn("the stream of audit records is nearly full", "percent", share, "bytes", stream.Bytes, "max_bytes", stream.MaxBytes)
	if err := a.publish(ctx, alert); err != nil {
		r.alerted = 0 // once more the next time
		a.out.Error("an alert about the stream of audit records is not published", "err", err)
	}
}

// step takes how full the stream is, in percent, and returns the step of the alert that
// is due, 0 if none is.
func (r *room) step(share int) int {
	switch {
	case share < roomClear:
		r.alerted = 0
	case share >= roomCritical && r.alerted < roomCritical:
		r.alerted = roomCritical
		return roomCritical
	case share >= roomWarning && r.alerted < roomWarning:
		r.alerted = roomWarning
		return roomWarning
	}
	return 0
}

// fullAlert is the alert of a step. Its id is the same all day, so that an auditor that
// starts again says nothing twice.
func (a *auditor) fullAlert(step, share int, stream bus.StreamState) *proto.Event {
	now := time.Now().UTC()
	e := &proto.Event{
		ID: proto.AuditID(fmt.Sprintf("%s %d %s", stream.Name, step, now.Format(time.DateOnly)), KindStreamFull), Time: now,
		Host: a.host, Source: bus.RoleAuditor, Kind: KindStreamFull, ClassUID: proto.ClassUIDDetectionFinding,
		Title: fmt.Sprintf("The stream of audit records is %d %% full: when it is full, records wait on the proxy's disk, and then LLM requests are refused. Raise SECURITY_AUDIT_MAX_BYTES or lower SECURITY_AUDIT_MAX_AGE", share),
		Rule:  &proto.Rule{ID: KindStreamFull, Name: "The stream of audit records is nearly full", Category: "Audit"},
	}
	e.SetSeverity(proto.SeverityMedium)
	if step == roomCritical {
		e.SetSeverity(proto.SeverityHigh)
	}
	if raw, err := json.Marshal(map[string]any{"stream": stream.Name, "bytes": stream.Bytes, "max_bytes": stream.MaxBytes, "messages": stream.Messages}); err == nil {
		e.Raw = raw
	}
	return e
}
