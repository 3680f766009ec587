package vigil

import (
	"fmt"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// The conditions.
const (
	Silent     = "silent"
	NoPackets  = "no-packets"
	NoRules    = "no-rules"
	Drops      = "drops"
	LostEvents = "lost-events"
)

// Conditions are all conditions, in the order of the package comment.
func Conditions() []string {
	return []string{Silent, NoPackets, NoRules, Drops, LostEvents}
}

// severityOf is how bad a condition is. A blind sensor is worse than one that
// misses a part.
func severityOf(condition string) proto.Severity {
	switch condition {
	case Drops, LostEvents:
		return proto.SeverityMedium
	}
	return proto.SeverityHigh
}

// severityOver is the severity of every alarm's end; the package comment says why.
const severityOver = proto.SeverityMedium

// Config says what is watched.
type Config struct {
	Sensor  string        // its name in sentences, "Suricata"
	Path    string        // where it writes, in sentences
	Silence time.Duration // how long it may be silent or see no packet; 0 for ever
}

// Vigil is the watch over one sensor. It is not safe for concurrent use.
type Vigil struct {
	cfg      Config
	standing map[string]normalize.Alarm // as raised last, by condition
	alarms   []normalize.Alarm          // not taken yet

	quiet   time.Time // since when the shipper has waited for a line
	packets packets
	rules   rules
	lost    lost
}

// New begins a watch. Nothing that was before now counts as silence.
func New(cfg Config, now time.Time) *Vigil {
	return &Vigil{
		cfg:      cfg,
		standing: make(map[string]normalize.Alarm),
		quiet:    now,
		packets:  packets{dropping: burst{every: dropsEvery}},
		lost:     lost{losing: burst{every: lostEvery}},
	}
}

// Take returns the alarms that have come up since it was called last, in order.
func (v *Vigil) Take() []normalize.Alarm {
	alarms := v.alarms
	v.alarms = nil
	return alarms
}

// Stands reports whether the condition holds at present.
func (v *Vigil) Stands(condition string) bool {
	_, stands := v.standing[condition]
	return stands
}

// Standing returns what is the matter at present, sorted.
func (v *Vigil) Standing() []string {
	var texts []string
	for _, a := range v.standing {
		texts = append(texts, a.Text)
	}
	slices.Sort(texts)
	return texts
}

// raise raises the alarm, or raises it again.
func (v *Vigil) raise(condition string, since, at time.Time, format string, args ...any) {
	a := normalize.Alarm{
		Condition: condition,
		Severity:  severityOf(condition),
		Text:      v.cfg.Sensor + fmt.Sprintf(format, args...),
		Since:     since,
		At:        at,
	}
	v.standing[condition] = a
	v.alarms = append(v.alarms, a)
}

// end ends the alarm if it stands.
func (v *Vigil) end(condition string, at time.Time, format string, args ...any) {
	raised, stands := v.standing[condition]
	if !stands {
		return
	}
	delete(v.standing, condition)
	v.alarms = append(v.alarms, normalize.Alarm{
		Condition: condition,
		Over:      true,
		Severity:  severityOver,
		Text:      v.cfg.Sensor + fmt.Sprintf(format, args...),
		Since:     raised.Since,
		At:        at,
	})
}

// length is how long something has lasted, as it is told.
func length(since, at time.Time) time.Duration {
	return max(0, at.Sub(since)).Round(time.Second)
}

// clock is a time as it is told.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
