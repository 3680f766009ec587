package doctor

import (
	"context"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// unsignedTold is for how long a record may be without a signature over it. The
// auditor signs every ten minutes by default while the log grows.
const unsignedTold = 30 * time.Minute

// audit says whether the record of LLM requests is signed. What waits for the
// auditor is told with the other consumers.
func (c *checkup) audit(ctx context.Context) []Finding {
	f := findings{hop: "audit"}
	if c.bus.stream(proto.StreamSecurity).Err != nil || c.bus.stream(proto.StreamAudit).Err != nil {
		return nil // told by the hop of the streams
	}
	checkpoints := proto.StoredPrefix + "." + string(proto.ClassEvent) + ".*." + bus.RoleAuditor + "." + auditor.KindCheckpoint + ".*"
	signed, err := c.Conn.Last(ctx, proto.StreamSecurity, checkpoints)
	if err != nil {
		f.unreadable("signature", err)
		return f.all
	}
	var behind bus.Start
	if signed != nil {
		behind.Time = signed.Time
	}
	unsigned, err := c.Conn.First(ctx, proto.StreamAudit, ">", behind)
	if err != nil {
		f.unreadable("signature", err)
		return f.all
	}
	judgeSignature(&f, signed, unsigned, c.bus.now())
	return f.all
}

// judgeSignature judges the last signed statement about the log, and the first
// record behind it. Either is nil if there is none.
func judgeSignature(f *findings, signed, unsigned *bus.Stored, now time.Time) {
	text := "nothing has been signed yet"
	if signed != nil {
		text = "the log was signed " + span(now.Sub(signed.Time)) + " ago"
	}
	if unsigned != nil && now.Sub(unsigned.Time) > unsignedTold {
		f.add("signature", Warning, "%s, and a record of %s ago has no signature: is the auditor running, and is AUDIT_CHECKPOINT_EVERY short enough?", text, span(now.Sub(unsigned.Time)))
		return
	}
	if signed == nil {
		f.add("signature", Good, "%s, and no record has waited long for it", text)
		return
	}
	f.add("signature", Good, "%s; `secbus audit verify` holds it against the record", text)
}
