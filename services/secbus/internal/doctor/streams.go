package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/render"
)

// streams says of each stream whether it is what this program expects, and how
// full it is.
func (c *checkup) streams(context.Context) []check.Finding {
	f := check.List{Hop: "stream"}
	for _, s := range c.bus.State.Streams {
		judgeStream(&f, s)
	}
	return f.All
}

func judgeStream(f *check.List, s bus.StreamState) {
	if s.Err != nil {
		f.Add(s.Name, check.Fault, "%v", s.Err)
		return
	}
	for _, replica := range s.Copies {
		switch {
		case replica.Offline:
			f.Add(s.Name+" copy", check.Warning, "the copy on %s is offline: is that server running?", check.Quote(replica.Server))
		case !replica.Current:
			f.Add(s.Name+" copy", check.Warning, "the copy on %s is behind: if it stays so, see that server's log", check.Quote(replica.Server))
		}
	}
	if s.MaxBytes <= 0 {
		f.Add(s.Name, check.Warning, "%d messages, %s, without a limit: it may fill the disk; run `secbus provision`", s.Messages, render.Size(s.Bytes))
		return
	}
	text := fmt.Sprintf("%d messages, %s of %s", s.Messages, render.Size(s.Bytes), render.Size(uint64(s.MaxBytes)))
	if !s.DiscardsOld {
		judgeFill(f, s.Name, text, s.Bytes, uint64(s.MaxBytes), "raise its limit and run `secbus provision`")
		return
	}
	// One that drops its oldest messages is full for most of its life; for how
	// long it keeps one is told by the hop of retention.
	f.Add(s.Name, check.Good, "%s", text)
}

const (
	day = 24 * time.Hour
	// keptTold is for how long a stream should keep what it gets, so that a
	// weekend's news can still be read on Monday.
	keptTold = 3 * day
	// rateOver is the time over which the rate is taken, and rateLeast the least
	// that says anything.
	rateOver  = day
	rateLeast = time.Hour
)

// retention says for how long the streams that drop their oldest messages will
// keep a new one if as much comes as of late.
func (c *checkup) retention(ctx context.Context) []check.Finding {
	f := check.List{Hop: "retention"}
	names := c.bus.State.Security()
	for _, name := range c.bus.State.Alerts() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		s := c.bus.Stream(name)
		if s.Messages == 0 || s.MaxBytes <= 0 || !s.DiscardsOld {
			continue
		}
		from, err := c.Conn.First(ctx, name, ">", bus.Start{Time: c.bus.Now().Add(-rateOver)})
		if err != nil {
			f.Unreadable(name, err)
			continue
		}
		judgeRetention(&f, s, from, c.bus.Now())
	}
	return f.All
}

// judgeRetention judges a stream by its first message of the last day, nil if
// there is none.
func judgeRetention(f *check.List, s bus.StreamState, from *bus.Stored, now time.Time) {
	if from == nil || from.Sequence > s.Last {
		f.Add(s.Name, check.Good, "nothing has come in a day")
		return
	}
	over := now.Sub(from.Time)
	if over < rateLeast {
		f.Add(s.Name, check.Good, "less than an hour of it is stored: too little to tell for how long it keeps what comes")
		return
	}
	each := float64(s.Bytes) / float64(s.Messages)
	perDay := each * float64(s.Last-from.Sequence+1) / over.Hours() * 24
	days := float64(s.MaxBytes) / perDay
	limit := s.MaxAge.Hours() / 24
	rate := render.Size(uint64(perDay))
	switch {
	case limit > 0 && days >= limit:
		f.Add(s.Name, check.Good, "keeps the full %.0f days at this rate, %s a day", limit, rate)
	case days < keptTold.Hours()/24:
		f.Add(s.Name, check.Warning, "keeps only about %.1f days at this rate, %s a day (limit %.0f days): raise its limit of bytes and run `secbus provision`, or have the sensor write less telemetry", days, rate, limit)
	default:
		f.Add(s.Name, check.Good, "keeps about %.0f days at this rate, %s a day (limit %.0f days)", days, rate, limit)
	}
}
