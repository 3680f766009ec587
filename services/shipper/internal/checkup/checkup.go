// Package checkup says how the sensors stand by what their shippers have stored:
// when each was last heard of, the alarms about it, its clock, and for Suricata
// packets and rules.
package checkup

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
)

// Options say what to look at.
type Options struct {
	Bus *check.Bus
	// Expected are the names of the sensors that should be on the bus, Services those
	// of the services, which publish there too.
	Expected, Services []string
	// RulesFile is the file of Suricata's rules, empty if it cannot be seen from
	// here.
	RulesFile string
}

// Check returns the findings of all sensors, then those of their clocks.
func Check(ctx context.Context, o Options) []check.Finding {
	if !o.Bus.HasSecurity() {
		return nil
	}
	f := check.List{Hop: "sensor"}
	sources, err := readSources(ctx, o.Bus.Conn, o.Bus.State.Security(), o.Services)
	if err != nil {
		f.Unreadable("sensors", err)
		return f.All
	}
	c := &checkup{o, sources}
	return append(c.sensors(ctx), c.clocks()...)
}

// checkup is one run of Check.
type checkup struct {
	Options
	sources []*source
}

// quietLimit is after how long without a line something is the matter. Suricata
// writes statistics every minute, Tracee only what happens; of other sensors
// nothing is known.
func quietLimit(source string) (limit time.Duration, known bool) {
	switch source {
	case "suricata":
		return 5 * time.Minute, true
	case "tracee":
		return 15 * time.Minute, true
	default:
		return 0, false
	}
}

// sensors says how long ago each sensor was last heard of, and what it or its
// shipper says of its state.
func (c *checkup) sensors(ctx context.Context) []check.Finding {
	f := check.List{Hop: "sensor"}
	for _, s := range c.sources {
		c.lastLine(&f, s)
		c.alarms(ctx, &f, s)
		if s.name == "suricata" {
			c.suricata(ctx, &f, s)
		}
	}
	for _, name := range c.Expected {
		if !slices.ContainsFunc(c.sources, func(s *source) bool { return s.name == name }) {
			f.Add(name, check.Warning, "source %s: nothing has come from it yet; is the sensor running, and does its shipper find its file?", name)
		}
	}
	return f.All
}

// subject names a source in findings.
func (s *source) subject() string { return s.name + " on " + s.host }

func (c *checkup) lastLine(f *check.List, s *source) {
	if s.line == nil {
		f.Add(s.subject(), check.Warning, "no line of it is stored; is the sensor running, and does its shipper find its file?")
		return
	}
	alert := "no alert yet"
	if s.alert != nil {
		alert = "last alert " + check.Span(c.Bus.Age(s.alert)) + " ago"
	}
	age := c.Bus.Age(s.line)
	text := fmt.Sprintf("last line %s ago, %s", check.Span(age), alert)
	if limit, known := quietLimit(s.name); known && age > limit {
		f.Add(s.subject(), check.Warning, "%s; is the sensor running, does it see what it should watch, and does its shipper follow its file?", text)
		return
	}
	f.Add(s.subject(), check.Good, "%s", text)
}

// decode reads the event of a stored message.
func decode(m *bus.Stored) (*proto.Event, error) {
	var e proto.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return nil, fmt.Errorf("reading message %d of %s: %w", m.Sequence, m.Stream, err)
	}
	return &e, nil
}

// freshWithin is how new a message must be for its time to say anything of
// the sensor's clock now.
const freshWithin = 15 * time.Minute

// clocks compares the sensors' clocks with the server's.
func (c *checkup) clocks() []check.Finding {
	f := check.List{Hop: "clock"}
	for _, s := range c.sources {
		if s.line == nil || c.Bus.Age(s.line) > freshWithin {
			continue
		}
		e, err := decode(s.line)
		if err != nil {
			f.Add(s.subject(), check.Warning, "%v", err)
			continue
		}
		if slices.Contains(e.Tags, "no-time") {
			continue // the shipper's clock
		}
		judgeEventTime(&f, s.subject(), e.Time.Sub(s.line.Time))
	}
	return f.All
}

// judgeEventTime judges how far a line's own time is ahead of when it was
// stored. A line from the future comes of a clock alone; one from the past may
// also come late, out of a backlog or a recording, and is never a fault.
func judgeEventTime(f *check.List, subject string, ahead time.Duration) {
	switch {
	case ahead > check.SkewFault:
		f.Add(subject, check.Fault, "its last line is from %s after it was stored: set the sensor's clock and the server's by NTP", check.Span(ahead))
	case ahead > check.SkewTold:
		f.Add(subject, check.Warning, "its last line is from %s after it was stored: set the sensor's clock and the server's by NTP", check.Span(ahead))
	case ahead < -check.SkewTold:
		f.Add(subject, check.Warning, "its last line was stored %s after its own time: its shipper is catching up, or the sensor's clock is behind the server's", check.Span(-ahead))
	default:
		f.Add(subject, check.Good, "its last line was stored within %s of its own time", check.SkewTold)
	}
}
