package normalize

import (
	"bytes"
	"cmp"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
)

// Tags of an event whose record was not in order; the package comment says when.
const (
	TagDuplicateKeys   = "duplicate-keys"
	TagMalformedUTF8   = "malformed-utf8"
	TagMappingMismatch = "mapping-mismatch"
	TagNoTime          = "no-time"
	TagClipped         = "clipped" // by [Oversize]
)

// kindUnknown is the kind of a record that does not name its event.
const kindUnknown = "unknown"

// jsonSpace is the white space of RFC 8259.
const jsonSpace = " \t\r\n"

// Sensor knows one sensor's records.
//
// Decode reads one JSON object with the given options and sets e's Time, Kind,
// Severity, ClassUID, Title and whatever else the record tells; what it cannot
// find it leaves alone. It fills e with all that it could read even when it
// returns an error, which means that the object breaks the options' rules or
// holds a value of a type that the sensor is not known to write. It keeps
// neither line nor e, and may be called concurrently.
type Sensor interface {
	Decode(line []byte, e *proto.Event, opts ...json.Options) error
}

// Normalizer makes events of one source's lines. It holds no state of its own
// and may be used concurrently.
type Normalizer struct {
	Host, Source string // for every event, and part of its id
	Sensor       Sensor
	Now          func() time.Time // for records without a time
}

// Event makes *e the event that text, one line without its newline, stands for;
// the package comment says which. Whatever *e held is dropped. e.Raw aliases
// text: it is valid until the caller changes text.
func (n *Normalizer) Event(e *proto.Event, text []byte, origin proto.Origin) {
	if reason := n.decode(e, text, origin); reason != "" {
		n.Unparsed(e, text, int64(len(text)), reason, origin)
	}
}

// decode returns the flaw that keeps text from being decoded, or "".
func (n *Normalizer) decode(e *proto.Event, text []byte, origin proto.Origin) string {
	record := bytes.Trim(text, jsonSpace)
	if len(record) == 0 || record[0] != '{' || mayBeTooDeep(record) {
		if reason := flaw(text); reason != "" {
			return reason
		}
	}

	n.begin(e, text, origin)
	if n.Sensor.Decode(record, e) != nil {
		if reason := flaw(text); reason != "" {
			return reason
		}
		n.begin(e, text, origin)
		n.decodeTolerantly(e, record)
	}
	if e.Line == nil {
		e.Raw = record
	}

	if e.Kind == "" {
		e.Kind = kindUnknown
		e.Severity = max(e.Severity, proto.SeverityLow)
		e.Title = "Record of " + n.Source + " that does not name its event"
		addTag(e, TagMappingMismatch)
	}
	e.Title = cmp.Or(oneLine(e.Title), oneLine(e.Kind), oneLine("Record of "+n.Source))
	e.SetSeverity(e.Severity)
	n.setTime(e)
	return ""
}

// begin resets *e to what every event of the source has.
func (n *Normalizer) begin(e *proto.Event, text []byte, origin proto.Origin) {
	*e = proto.Event{
		ID:     proto.EventID(n.Host, n.Source, origin.Generation, origin.Offset, text),
		Host:   n.Host,
		Source: n.Source,
		Origin: &origin,
	}
}

// setTime makes e.Time a time that RFC 3339 can write.
func (n *Normalizer) setTime(e *proto.Event) {
	t := e.Time.UTC()
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		t = n.Now().UTC()
		addTag(e, TagNoTime)
	}
	e.Time = t
}

func addTag(e *proto.Event, tag string) {
	for _, t := range e.Tags {
		if t == tag {
			return
		}
	}
	e.Tags = append(e.Tags, tag)
}
