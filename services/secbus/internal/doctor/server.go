package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/render"
)

// The version of nats-server that the bus is made for, and the least: before it
// every message of a batch was synced to disk by itself.
const serverMajor, serverMinor = 2, 15

const (
	// slowRoundTrip is when a server counts as far: what a shipper or the proxy
	// publishes is held up by as much, each time.
	slowRoundTrip = 250 * time.Millisecond
	// fillTold and fillFault are shares of a limit beyond which nothing more is
	// stored.
	fillTold  = 0.80
	fillFault = 0.95
)

// clock compares the server's clock with this machine's. An alert with a wrong
// time is looked for in the wrong place, and a window such as --since 15m misses
// it.
func (c *checkup) clock(context.Context) []check.Finding {
	f := check.List{Hop: "clock"}
	if !c.bus.HasSecurity() {
		return nil
	}
	judgeSkew(&f, "server", c.bus.Ahead, c.bus.Within)
	return f.All
}

// judgeSkew judges how far a server's clock is ahead of this machine's.
func judgeSkew(f *check.List, subject string, ahead, within time.Duration) {
	// As small as it can be: the question's way may have taken all of the time.
	least := max(ahead.Abs()-within, 0)
	which := "ahead of"
	if ahead < 0 {
		which = "behind"
	}
	switch {
	case least > check.SkewFault:
		f.Add(subject, check.Fault, "its clock is %s %s this machine's: set both by NTP", check.Span(least), which)
	case least > check.SkewTold:
		f.Add(subject, check.Warning, "its clock is %s %s this machine's: set both by NTP", check.Span(least), which)
	default:
		f.Add(subject, check.Good, "its clock agrees with this machine's")
	}
}

// server asks the NATS server how it is.
func (c *checkup) server(ctx context.Context) []check.Finding {
	f := check.List{Hop: "server"}
	h, err := c.Conn.Health(ctx)
	if err != nil {
		f.Unreadable("NATS", err)
		return f.All
	}
	judgeServer(&f, h)
	return f.All
}

func judgeServer(f *check.List, h bus.Health) {
	text := fmt.Sprintf("nats-server %s, %s away", check.Quote(h.Version), h.RoundTrip.Round(10*time.Microsecond))
	switch {
	case !recent(h.Version):
		f.Add("NATS", check.Warning, "%s: upgrade it to %d.%d or newer", text, serverMajor, serverMinor)
	case h.RoundTrip > slowRoundTrip:
		f.Add("NATS", check.Warning, "%s: that is slow; is the machine or the way to it overloaded?", text)
	default:
		f.Add("NATS", check.Good, "%s", text)
	}
	text = fmt.Sprintf("%s used, %s set aside for the streams", render.Size(h.Used), render.Size(h.Reserved))
	if h.Limit <= 0 {
		f.Add("store", check.Good, "%s, no limit of the account", text)
		return
	}
	text += fmt.Sprintf(", limit %s", render.Size(uint64(h.Limit)))
	judgeFill(f, "store", text, h.Used, uint64(h.Limit), "raise the account's limit, or lower those of the streams")
}

// judgeFill judges how much of a limit is taken that nothing passes beyond.
func judgeFill(f *check.List, subject, text string, used, limit uint64, advice string) {
	switch share := float64(used) / float64(limit); {
	case share > fillFault:
		f.Add(subject, check.Fault, "%s: what comes is refused once it is full; %s", text, advice)
	case share > fillTold:
		f.Add(subject, check.Warning, "%s: what comes is refused once it is full; %s", text, advice)
	default:
		f.Add(subject, check.Good, "%s", text)
	}
}

// recent reports whether a server is of the least version or newer.
func recent(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	minor, minorErr := strconv.Atoi(parts[1])
	if err != nil || minorErr != nil {
		return false
	}
	return major > serverMajor || major == serverMajor && minor >= serverMinor
}
