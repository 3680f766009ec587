package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// alarm is what a shipper has said last of one condition of its sensor.
type alarm struct {
	*proto.Event
	stored *bus.Stored
	over   bool
}

// alarms tells of what stands of all that a shipper has said of its sensor. What
// one process has raised, another does not take back: it raises anew what it
// finds itself. An alarm of a process before the one that publishes now is
// history.
func (c *checkup) alarms(ctx context.Context, f *findings, s *source) {
	if !s.alarmed {
		return
	}
	last, err := c.lastAlarms(ctx, s)
	if err != nil {
		f.unreadable(s.subject()+" alarms", err)
		return
	}
	for _, condition := range slices.Sorted(maps.Keys(last)) {
		a := last[condition]
		if a.over || a.stored.Header.Get(proto.HeaderInstance) != s.newest.Header.Get(proto.HeaderInstance) {
			continue
		}
		state := Warning
		if a.Severity >= proto.SeverityHigh {
			state = Fault
		}
		f.add(s.subject()+" "+condition, state, "an alarm stands since %s ago: %s", span(c.bus.age(a.stored)), a.Title)
	}
}

// lastAlarms returns the last alarm of each condition. There are few: a
// condition is told of once when it begins and once when it ends, or at most a
// few times an hour.
func (c *checkup) lastAlarms(ctx context.Context, s *source) (map[string]alarm, error) {
	filter := proto.StoredPrefix + ".*." + s.host + "." + s.name + "." + proto.KindSensor + ".*"
	last := make(map[string]alarm)
	for m, err := range c.Conn.History(ctx, proto.StreamSecurity, filter, bus.Start{}) {
		if err != nil {
			return nil, err
		}
		e, err := decode(m)
		if err != nil {
			return nil, err
		}
		var record struct {
			State string `json:"state"`
		}
		if err := json.Unmarshal(e.Raw, &record); err != nil || e.Rule == nil {
			continue // a sensor's own kind of that name
		}
		last[cmp.Or(e.Rule.ID, "alarm")] = alarm{Event: e, stored: m, over: record.State == "over"}
	}
	return last, nil
}
