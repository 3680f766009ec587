package doctor

import (
	"context"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
)

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
func (c *checkup) retention(ctx context.Context) []Finding {
	f := findings{hop: "retention"}
	for _, name := range []string{proto.StreamSecurity, proto.StreamAlerts} {
		s := c.bus.stream(name)
		if s.Err != nil || s.Messages == 0 || s.MaxBytes <= 0 {
			continue
		}
		from, err := c.Conn.First(ctx, name, ">", bus.Start{Time: c.bus.now().Add(-rateOver)})
		if err != nil {
			f.unreadable(name, err)
			continue
		}
		judgeRetention(&f, s, from, c.bus.now())
	}
	return f.all
}

// judgeRetention judges a stream by its first message of the last day, nil if
// there is none.
func judgeRetention(f *findings, s bus.StreamState, from *bus.Stored, now time.Time) {
	if from == nil || from.Sequence > s.Last {
		f.add(s.Name, Good, "nothing has come in a day")
		return
	}
	over := now.Sub(from.Time)
	if over < rateLeast {
		f.add(s.Name, Good, "less than an hour of it is stored: too little to tell for how long it keeps what comes")
		return
	}
	each := float64(s.Bytes) / float64(s.Messages)
	perDay := each * float64(s.Last-from.Sequence+1) / over.Hours() * 24
	days := float64(s.MaxBytes) / perDay
	limit := s.MaxAge.Hours() / 24
	rate := render.Size(uint64(perDay))
	switch {
	case limit > 0 && days >= limit:
		f.add(s.Name, Good, "keeps the full %.0f days at this rate, %s a day", limit, rate)
	case days < keptTold.Hours()/24:
		f.add(s.Name, Warning, "keeps only about %.1f days at this rate, %s a day (limit %.0f days): raise its limit of bytes and run `secbus provision`, or have the sensor write less telemetry", days, rate, limit)
	default:
		f.add(s.Name, Good, "keeps about %.0f days at this rate, %s a day (limit %.0f days)", days, rate, limit)
	}
}
