package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

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
func (c *checkup) sensors(ctx context.Context) []Finding {
	f := findings{hop: "sensor"}
	if c.bus.stream(proto.StreamSecurity).Err != nil {
		return nil // told by the hop of the streams
	}
	for _, s := range c.bus.sources {
		c.lastLine(&f, s)
		c.alarms(ctx, &f, s)
		if s.name == "suricata" {
			c.suricata(ctx, &f, s)
		}
	}
	for _, name := range c.Sources {
		if !slices.ContainsFunc(c.bus.sources, func(s *source) bool { return s.name == name }) {
			f.add(name, Warning, "source %s: nothing has come from it yet; is the sensor running, and does its shipper find its file?", name)
		}
	}
	return f.all
}

// subject names a source in findings.
func (s *source) subject() string { return s.name + " on " + s.host }

func (c *checkup) lastLine(f *findings, s *source) {
	if s.line == nil {
		f.add(s.subject(), Warning, "no line of it is stored; is the sensor running, and does its shipper find its file?")
		return
	}
	alert := "no alert yet"
	if s.alert != nil {
		alert = "last alert " + span(c.bus.age(s.alert)) + " ago"
	}
	age := c.bus.age(s.line)
	text := fmt.Sprintf("last line %s ago, %s", span(age), alert)
	if limit, known := quietLimit(s.name); known && age > limit {
		f.add(s.subject(), Warning, "%s; is the sensor running, does it see what it should watch, and does its shipper follow its file?", text)
		return
	}
	f.add(s.subject(), Good, "%s", text)
}

// decode reads the event of a stored message.
func decode(m *bus.Stored) (*proto.Event, error) {
	var e proto.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return nil, fmt.Errorf("reading message %d of %s: %w", m.Sequence, m.Stream, err)
	}
	return &e, nil
}
