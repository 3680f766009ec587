package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/diskspace"
	"github.com/openclaw-security/bus/services/internal/render"
)

const (
	freeTold       = 0.10
	freeFault      = 0.02
	freeFaultBytes = 200 << 20
)

// disks says how much space is left where the data are.
func (c *checkup) disks(context.Context) []check.Finding {
	f := check.List{Hop: "disk"}
	for i, dir := range c.Disks {
		s, err := diskspace.Of(dir)
		switch {
		case errors.Is(err, diskspace.ErrUnsupported):
			f.Add(dir, check.Good, "unknown: %v", err)
		case err != nil:
			f.Unreadable(dir, err)
		default:
			var room uint64
			if i == 0 && c.bus != nil {
				room = growth(c.bus.State.Streams)
			}
			judgeSpace(&f, dir, s, room)
		}
	}
	return f.All
}

// growth is how many bytes the streams may still take.
func growth(streams []bus.StreamState) uint64 {
	var sum uint64
	for _, s := range streams {
		if limit := uint64(max(s.MaxBytes, 0)); limit > s.Bytes {
			sum += limit - s.Bytes
		}
	}
	return sum
}

// judgeSpace judges the space of dir, where streams may still grow by room.
func judgeSpace(f *check.List, dir string, s diskspace.Space, room uint64) {
	text := fmt.Sprintf("%s free of %s", render.Size(s.Free), render.Size(s.Total))
	share := float64(s.Free) / float64(max(s.Total, 1))
	switch {
	case share < freeFault || s.Free < freeFaultBytes:
		f.Add(dir, check.Fault, "%s: nothing will be stored soon; make room", text)
	case s.Free < room:
		f.Add(dir, check.Warning, "%s, and the streams may still grow by %s: make room, or lower their limits", text, render.Size(room))
	case share < freeTold:
		f.Add(dir, check.Warning, "%s: make room", text)
	default:
		f.Add(dir, check.Good, "%s", text)
	}
}
