package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
)

const (
	skewTold  = 5 * time.Second
	skewFault = time.Minute
	// freshWithin is how new a message must be for its time to say anything of
	// the sensor's clock now.
	freshWithin = 15 * time.Minute
)

// clocks compares the clocks along the way. An alert with a wrong time is looked
// for in the wrong place, and a window such as --since 15m misses it.
func (c *checkup) clocks(context.Context) []Finding {
	f := findings{hop: "clock"}
	if c.bus.stream(proto.StreamSecurity).Err != nil {
		return nil // told by the hop of the streams
	}
	judgeSkew(&f, "server", c.bus.ahead, c.bus.within)
	for _, s := range c.bus.sources {
		if s.line == nil || c.bus.age(s.line) > freshWithin {
			continue
		}
		e, err := decode(s.line)
		if err != nil {
			f.add(s.subject(), Warning, "%v", err)
			continue
		}
		if slices.Contains(e.Tags, "no-time") {
			continue // the shipper's clock
		}
		judgeEventTime(&f, s.subject(), e.Time.Sub(s.line.Time))
	}
	return f.all
}

// judgeSkew judges how far a server's clock is ahead of this machine's.
func judgeSkew(f *findings, subject string, ahead, within time.Duration) {
	// As small as it can be: the question's way may have taken all of the time.
	least := max(ahead.Abs()-within, 0)
	which := "ahead of"
	if ahead < 0 {
		which = "behind"
	}
	switch {
	case least > skewFault:
		f.add(subject, Fault, "its clock is %s %s this machine's: set both by NTP", span(least), which)
	case least > skewTold:
		f.add(subject, Warning, "its clock is %s %s this machine's: set both by NTP", span(least), which)
	default:
		f.add(subject, Good, "its clock agrees with this machine's")
	}
}

// judgeEventTime judges how far a line's own time is ahead of when it was
// stored. A line from the future comes of a clock alone; one from the past may
// also come late, out of a backlog or a recording, and is never a fault.
func judgeEventTime(f *findings, subject string, ahead time.Duration) {
	switch {
	case ahead > skewFault:
		f.add(subject, Fault, "its last line is from %s after it was stored: set the sensor's clock and the server's by NTP", span(ahead))
	case ahead > skewTold:
		f.add(subject, Warning, "its last line is from %s after it was stored: set the sensor's clock and the server's by NTP", span(ahead))
	case ahead < -skewTold:
		f.add(subject, Warning, "its last line was stored %s after its own time: its shipper is catching up, or the sensor's clock is behind the server's", span(-ahead))
	default:
		f.add(subject, Good, "its last line was stored within %s of its own time", skewTold)
	}
}
