package checkup

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
)

// alarm is what a shipper has said last of one condition of its sensor.
type alarm struct {
	*proto.Event
	stored *bus.Stored
	over   bool
}

// alarms reports the active alarms of a shipper's sensor. A process does not end
// the alarms of an earlier process, but raises those again that it finds itself.
// An alarm of a process before the one that publishes now is
// history.
func (c *checkup) alarms(ctx context.Context, f *check.List, s *source) {
	if !s.alarmed {
		return
	}
	last, err := c.lastAlarms(ctx, s)
	if err != nil {
		f.Unreadable(s.subject()+" alarms", err)
		return
	}
	for _, condition := range slices.Sorted(maps.Keys(last)) {
		a := last[condition]
		if a.over || proto.SourceInstance(a.stored.Header) != proto.SourceInstance(s.newest.Header) {
			continue
		}
		state := check.Warning
		if a.Severity >= proto.SeverityHigh {
			state = check.Fault
		}
		f.Add(s.subject()+" "+condition, state, "an alarm stands since %s ago: %s", check.Span(c.Bus.Age(a.stored)), a.Title)
	}
}

// lastAlarms returns the last alarm of each condition. There are few: a
// condition is reported once when it begins and once when it ends, or at most a
// few times an hour.
func (c *checkup) lastAlarms(ctx context.Context, s *source) (map[string]alarm, error) {
	filter := proto.StoredPrefix + ".*." + s.host + "." + s.name + "." + proto.KindSensor + ".*"
	last := make(map[string]alarm)
	for m, err := range c.Bus.Conn.MergedHistory(ctx, c.Bus.State.Security(), filter, bus.Start{}) {
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
