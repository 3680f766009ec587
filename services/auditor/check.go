package auditor

import (
	"context"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/service"
)

// unsignedTold is for how long a record may be without a signature over it. The
// auditor signs every ten minutes by default while the log grows.
const unsignedTold = 30 * time.Minute

// checkup says whether the record of LLM requests is signed. Doctor itself reports
// what waits for the auditor.
func checkup(ctx context.Context, c service.Checkup) []check.Finding {
	f := check.List{Hop: "audit"}
	if !c.Bus.Has(proto.StreamAudit) || !c.Bus.HasSecurity() {
		return nil
	}
	checkpoints := proto.StoredPrefix + "." + string(proto.ClassEvent) + ".*." + Role + "." + KindCheckpoint + ".*"
	signed, err := c.Bus.Conn.LastIn(ctx, c.Bus.State.Security(), checkpoints)
	if err != nil {
		f.Unreadable("signature", err)
		return f.All
	}
	var behind bus.Start
	if signed != nil {
		behind.Time = signed.Time
	}
	unsigned, err := c.Bus.Conn.First(ctx, proto.StreamAudit, ">", behind)
	if err != nil {
		f.Unreadable("signature", err)
		return f.All
	}
	judgeSignature(&f, signed, unsigned, c.Bus.Now())
	return f.All
}

// judgeSignature judges the last signed statement about the log, and the first
// record behind it. Either is nil if there is none.
func judgeSignature(f *check.List, signed, unsigned *bus.Stored, now time.Time) {
	text := "nothing has been signed yet"
	if signed != nil {
		text = "the log was signed " + check.Span(now.Sub(signed.Time)) + " ago"
	}
	if unsigned != nil && now.Sub(unsigned.Time) > unsignedTold {
		f.Add("signature", check.Warning, "%s, and a record of %s ago has no signature: is the auditor running, and is AUDIT_CHECKPOINT_EVERY short enough?", text, check.Span(now.Sub(unsigned.Time)))
		return
	}
	if signed == nil {
		f.Add("signature", check.Good, "%s, and no record has waited long for it", text)
		return
	}
	f.Add("signature", check.Good, "%s; `secbus audit verify` holds it against the record", text)
}
