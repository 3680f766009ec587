package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
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

// server asks the NATS server how it is.
func (c *checkup) server(ctx context.Context) []Finding {
	f := findings{hop: "server"}
	h, err := c.Conn.Health(ctx)
	if err != nil {
		f.unreadable("NATS", err)
		return f.all
	}
	judgeServer(&f, h)
	return f.all
}

func judgeServer(f *findings, h bus.Health) {
	text := fmt.Sprintf("nats-server %s, %s away", quote(h.Version), h.RoundTrip.Round(10*time.Microsecond))
	switch {
	case !recent(h.Version):
		f.add("NATS", Warning, "%s: upgrade it to %d.%d or newer", text, serverMajor, serverMinor)
	case h.RoundTrip > slowRoundTrip:
		f.add("NATS", Warning, "%s: that is slow; is the machine or the way to it overloaded?", text)
	default:
		f.add("NATS", Good, "%s", text)
	}
	text = fmt.Sprintf("%s used, %s set aside for the streams", render.Size(h.Used), render.Size(h.Reserved))
	if h.Limit <= 0 {
		f.add("store", Good, "%s, no limit of the account", text)
		return
	}
	text += fmt.Sprintf(", limit %s", render.Size(uint64(h.Limit)))
	judgeFill(f, "store", text, h.Used, uint64(h.Limit), "raise the account's limit, or lower those of the streams")
}

// judgeFill judges how much of a limit is taken that nothing passes beyond.
func judgeFill(f *findings, subject, text string, used, limit uint64, advice string) {
	switch share := float64(used) / float64(limit); {
	case share > fillFault:
		f.add(subject, Fault, "%s: what comes is refused once it is full; %s", text, advice)
	case share > fillTold:
		f.add(subject, Warning, "%s: what comes is refused once it is full; %s", text, advice)
	default:
		f.add(subject, Good, "%s", text)
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
