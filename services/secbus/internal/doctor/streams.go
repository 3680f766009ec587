package doctor

import (
	"context"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
)

// streams says of each stream whether it is what this program expects, and how
// full it is.
func (c *checkup) streams(context.Context) []Finding {
	f := findings{hop: "stream"}
	for _, def := range proto.Streams() {
		judgeStream(&f, def, c.bus.stream(def.Name))
	}
	return f.all
}

func judgeStream(f *findings, def proto.Stream, s bus.StreamState) {
	if s.Err != nil {
		f.add(def.Name, Fault, "%v", s.Err)
		return
	}
	for _, replica := range s.Copies {
		switch {
		case replica.Offline:
			f.add(def.Name+" copy", Warning, "the copy on %s is offline: is that server running?", quote(replica.Server))
		case !replica.Current:
			f.add(def.Name+" copy", Warning, "the copy on %s is behind: if it stays so, see that server's log", quote(replica.Server))
		}
	}
	if s.MaxBytes <= 0 {
		f.add(def.Name, Warning, "%d messages, %s, without a limit: it may fill the disk; run `secbus provision`", s.Messages, render.Size(s.Bytes))
		return
	}
	text := fmt.Sprintf("%d messages, %s of %s", s.Messages, render.Size(s.Bytes), render.Size(uint64(s.MaxBytes)))
	if def.Discard == proto.DiscardNew {
		judgeFill(f, def.Name, text, s.Bytes, uint64(s.MaxBytes), "raise its limit and run `secbus provision`")
		return
	}
	// One that drops its oldest messages is full for most of its life; for how
	// long it keeps one is told by the hop of retention.
	f.add(def.Name, Good, "%s", text)
}
