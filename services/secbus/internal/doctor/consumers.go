package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// waitTold is for how long an alert may wait for a consumer.
const waitTold = 5 * time.Minute

// consumers says of each durable whether somebody works on it, and what waits.
func (c *checkup) consumers(ctx context.Context) []Finding {
	f := findings{hop: "consumer"}
	all := c.bus.overview.Durables
	// Standard output is where alerts go if nothing else is configured.
	elsewhere := slices.ContainsFunc(all, func(d bus.DurableState) bool {
		return d.Name != proto.DurableNotifierStdout && bus.ConsumerRole(d.Name) == bus.RoleNotifier && d.Active()
	})
	for _, d := range all {
		if d.Err != nil {
			f.add(d.Name, Fault, "%v", d.Err)
			continue
		}
		if elsewhere && d.Name == proto.DurableNotifierStdout && !d.Active() {
			f.add(d.Name, Good, "not in use: alerts go elsewhere")
			continue
		}
		var waited time.Duration
		oldest, err := c.Conn.Oldest(ctx, d)
		if err != nil {
			f.unreadable(d.Name, err)
			continue
		}
		if oldest != nil {
			waited = c.bus.age(oldest)
		}
		judgeConsumer(&f, d, waited)
	}
	return f.all
}

// judgeConsumer judges a durable whose oldest message has waited for so long.
// That nobody fetches at the moment of looking is a fault only if something has
// waited for longer than a restart takes.
func judgeConsumer(f *findings, d bus.DurableState, waited time.Duration) {
	if d.Evicted > 0 {
		f.add(d.Name, Fault, "%d messages were removed by the limits of %s before they were acknowledged: they are lost to it; raise those limits", d.Evicted, d.Stream)
	}
	waiting := d.Progress.Pending + uint64(max(d.Progress.Unacked, 0))
	text := "nothing waits"
	if waiting > 0 {
		text = fmt.Sprintf("%d messages wait, the oldest for %s", waiting, span(waited))
	}
	service := bus.ConsumerRole(d.Name)
	switch {
	case !d.Active() && waited > waitTold:
		f.add(d.Name, Fault, "nobody is fetching from it, and %s: is the %s running?", text, service)
	case !d.Active():
		f.add(d.Name, Warning, "nobody is fetching from it; %s: is the %s running?", text, service)
	case waited > waitTold:
		f.add(d.Name, Warning, "%s: quiet hours, a limit of the chat, or a destination that does not answer; the %s's log says which", text, service)
	default:
		f.add(d.Name, Good, "%s", text)
	}
}
