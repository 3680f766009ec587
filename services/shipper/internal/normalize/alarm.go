package normalize

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
)

// Alarm is what the shipper has to say of its sensor: that it is silent, or
// blind, or is so no more.
type Alarm struct {
	Condition string // in one word; it becomes the event's rule id
	Over      bool   // the condition has ended
	Severity  proto.Severity
	Text      string    // what is the matter and what to check, in one line
	Since     time.Time // when the condition began
	At        time.Time // when it was noticed
}

// Values of alarmRecord.State.
const (
	stateRaised = "raised"
	stateOver   = "over"
)

// alarmRecord is an alarm as a machine reads it; it is the event's Raw.
type alarmRecord struct {
	Condition string    `json:"condition"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
}

// categoryHealth is the rule category of every alarm, so that a silence or a
// local rule can distinguish them from a sensor's own detections.
const categoryHealth = "sensor health"

// Alarm makes *e the event for an alarm. It has no Origin, because no line stands
// for it. Its id follows from the condition and when that began: the same alarm
// found again after a restart has the same id. What *e held before is dropped.
func (n *Normalizer) Alarm(e *proto.Event, a Alarm) {
	state := stateRaised
	if a.Over {
		state = stateOver
	}
	since, at := a.Since.UTC(), a.At.UTC()
	raw, err := json.Marshal(alarmRecord{a.Condition, state, since})
	if err != nil { // a clock outside the years that JSON can hold
		raw = nil
	}
	*e = proto.Event{
		ID:     proto.EventID(n.Host, n.Source, "", since.UnixNano(), fmt.Appendf(nil, "\nsensor %s %s", a.Condition, state)),
		Time:   at,
		Host:   n.Host,
		Source: n.Source,
		Kind:   proto.KindSensor,
		Title:  oneLine(a.Text),
		Rule:   &proto.Rule{ID: a.Condition, Category: categoryHealth},
		Raw:    raw,
	}
	e.SetSeverity(a.Severity)
	e.ClassUID = proto.ClassUIDBaseEvent
	n.setTime(e)
}

// ReadAlarm reads the event that [Normalizer.Alarm] made, from its JSON form. It
// reports false for any other event.
func ReadAlarm(data []byte) (Alarm, bool) {
	var e proto.Event
	var r alarmRecord
	if json.Unmarshal(data, &e) != nil || e.Kind != proto.KindSensor || e.Origin != nil || json.Unmarshal(e.Raw, &r) != nil {
		return Alarm{}, false
	}
	return Alarm{
		Condition: r.Condition,
		Over:      r.State == stateOver,
		Severity:  e.Severity,
		Text:      e.Title,
		Since:     r.Since,
		At:        e.Time,
	}, true
}
