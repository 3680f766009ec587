package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
)

// waitTold is for how long an alert may wait for a consumer.
const waitTold = 5 * time.Minute

// consumers says of each durable whether somebody works on it, and what waits.
func (c *checkup) consumers(ctx context.Context) []check.Finding {
	f := check.List{Hop: "consumer"}
	for _, d := range c.bus.State.Expect(c.Durables) {
		if d.Err != nil {
			f.Add(d.String(), check.Fault, "%v", d.Err)
			continue
		}
		if d.Unused != "" {
			f.Add(d.String(), check.Good, "not in use: %s", d.Unused)
			continue
		}
		var waited time.Duration
		oldest, err := c.Conn.Oldest(ctx, d)
		if err != nil {
			f.Unreadable(d.String(), err)
			continue
		}
		if oldest != nil {
			waited = c.bus.Age(oldest)
		}
		judgeConsumer(&f, d, waited)
	}
	return f.All
}

// judgeConsumer judges a durable whose oldest message has waited for so long.
// That nobody fetches at the moment of looking is a fault only if something has
// waited for longer than a restart takes.
func judgeConsumer(f *check.List, d bus.DurableState, waited time.Duration) {
	if d.Evicted > 0 {
		f.Add(d.String(), check.Fault, "%d messages were removed by the limits of %s before they were acknowledged: they are lost to it; raise those limits", d.Evicted, d.Stream)
	}
	waiting := d.Progress.Pending + uint64(max(d.Progress.Unacked, 0))
	text := "nothing waits"
	if waiting > 0 {
		text = fmt.Sprintf("%d messages wait, the oldest for %s", waiting, check.Span(waited))
	}
	service := bus.ConsumerRole(d.Name)
	switch {
	case !d.Active() && waited > waitTold:
		f.Add(d.String(), check.Fault, "nobody is fetching from it, and %s: is the %s running?", text, service)
	case !d.Active():
		f.Add(d.String(), check.Warning, "nobody is fetching from it; %s: is the %s running?", text, service)
	case waited > waitTold:
		f.Add(d.String(), check.Warning, "%s: quiet hours, a limit of the chat, or a destination that does not answer; the %s's log says which", text, service)
	default:
		f.Add(d.String(), check.Good, "%s", text)
	}
}

// deadFor is for how long a dead letter is news.
const deadFor = 7 * day

// deadLetters reports what consumers have given up.
func (c *checkup) deadLetters(ctx context.Context) []check.Finding {
	f := check.List{Hop: "delivery"}
	if c.bus.Has(proto.StreamDead) {
		c.judgeDead(ctx, &f)
	}
	return f.All
}

func (c *checkup) judgeDead(ctx context.Context, f *check.List) {
	s := c.bus.Stream(proto.StreamDead)
	if s.Messages == 0 {
		f.Add("dead letters", check.Good, "none")
		return
	}
	last, err := c.Conn.Last(ctx, proto.StreamDead, proto.DeadPrefix+".>")
	if err != nil {
		f.Unreadable("dead letters", err)
		return
	}
	if last == nil {
		f.Add("dead letters", check.Good, "none any more")
		return
	}
	age := c.bus.Age(last)
	text := fmt.Sprintf("%d, the last one %s ago by %s: %s", s.Messages, check.Span(age),
		check.Quote(last.Header.Get(proto.HeaderDeadConsumer)), check.Quote(last.Header.Get(proto.HeaderDeadReason)))
	if age > deadFor {
		f.Add("dead letters", check.Good, "%s", text)
		return
	}
	f.Add("dead letters", check.Warning, "%s; `secbus dead list` shows them, `secbus dead retry` sends them", text)
}
