package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
)

const (
	freeTold       = 0.10
	freeFault      = 0.02
	freeFaultBytes = 200 << 20
)

// errNoStatfs reports that free space cannot be asked for on this system.
var errNoStatfs = errors.New("free space cannot be asked for on this system")

// space is what a file system has for programs without privileges, in bytes.
type space struct{ free, total uint64 }

// disks says how much space is left where the data are.
func (c *checkup) disks(context.Context) []Finding {
	f := findings{hop: "disk"}
	for i, dir := range c.Disks {
		s, err := statfs(dir)
		switch {
		case errors.Is(err, errNoStatfs):
			f.add(dir, Good, "unknown: %v", err)
		case err != nil:
			f.unreadable(dir, err)
		default:
			var room uint64
			if i == 0 && c.bus != nil {
				room = growth(c.bus.overview.Streams)
			}
			judgeSpace(&f, dir, s, room)
		}
	}
	return f.all
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
func judgeSpace(f *findings, dir string, s space, room uint64) {
	text := fmt.Sprintf("%s free of %s", render.Size(s.free), render.Size(s.total))
	share := float64(s.free) / float64(max(s.total, 1))
	switch {
	case share < freeFault || s.free < freeFaultBytes:
		f.add(dir, Fault, "%s: nothing will be stored soon; make room", text)
	case s.free < room:
		f.add(dir, Warning, "%s, and the streams may still grow by %s: make room, or lower their limits", text, render.Size(room))
	case share < freeTold:
		f.add(dir, Warning, "%s: make room", text)
	default:
		f.add(dir, Good, "%s", text)
	}
}
