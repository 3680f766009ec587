// Package normalize turns the lines that sensors write into events of the bus.
//
//	line ─▶ Normalizer.Event ─▶ secrets out ─▶ Sensor.Decode ─▶ proto.Event ─▶ publish
//	            │                               (suricata, tracee, …)
//	            └─ not a JSON object ─▶ secrets out ─▶ an "unparsed" event
//
// It never fails and never skips: each line becomes exactly one event. Sensors
// report what an attacker sends, so a line must not vanish, nor lose what it
// says about a detection, because part of it is malformed. Strict decoding into
// Go types is the fast path; a line that it refuses is decoded again, tolerantly.
//
//	line                                  result
//	────────────────────────────────────  ─────────────────────────────────────────────
//	a JSON object                         the event; Raw is the object, byte for byte
//	  a name occurs twice in an object    tag "duplicate-keys"; the last value wins,
//	                                      two objects are merged; Raw
//	  malformed UTF-8                     tag "malformed-utf8"; U+FFFD in strings; no
//	                                      Raw, the line's bytes in Line (64 KiB)
//	  half a surrogate pair, escaped      tag "malformed-utf8"; U+FFFD in strings; Raw
//	  a value of an unexpected type       tag "mapping-mismatch"; only that value is
//	                                      missing from the normalized fields; Raw
//	  no readable event name              tag "mapping-mismatch"; kind "unknown", at
//	                                      least severity low; Raw
//	  no readable time                    tag "no-time"; Time is when it was read; Raw
//	text before the object: BOM, "@cee:"  tag "prefixed"; Raw is the object
//	no newline at the end of the file     tag "unterminated"; Raw
//	no end of the object: torn, longer    tag "cut-off"; what its beginning says; Line
//	than the follower reads               says why and where, with the first 16 KiB
//	control characters, malformed         tag "damaged"; they are replaced in the
//	escapes, numbers or words, nesting    normalized fields; Line
//	deeper than 512
//	several objects, side by side or one  tag "joined"; the most severe, and its title
//	after the torn beginning of another   names the other detections; Line
//	no record that names itself           kind "unparsed", tag "no-time"; Line
//
// Secrets of known shapes are taken out of the line before it is decoded, so that
// no field holds one; the event then has the tag "redacted" and the hash of the
// line. A line without one is not copied.
//
// What cannot be read may hide a detection. So of these lines each is at least
// low, which keeps it with the alerts, and medium if it may be a record of a
// detection: an alert keeps its own severity.
//
// Length never makes a line unreadable here; [Normalizer.Oversize] is for events that do
// not fit a message.
package normalize

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
)

// Tags of an event whose record was not in order; the package comment says when.
const (
	TagDuplicateKeys   = "duplicate-keys"
	TagMalformedUTF8   = "malformed-utf8"
	TagMappingMismatch = "mapping-mismatch"
	TagNoTime          = "no-time"
	TagRedacted        = "redacted" // secrets have been taken out of Raw or Line
	TagClipped         = "clipped"  // by [Oversize]

	TagPrefixed     = "prefixed"     // other bytes stand before the record
	TagUnterminated = "unterminated" // the file ends with the record, without a newline
	TagCutOff       = "cut-off"      // a record has no end: its beginning has been read
	TagDamaged      = "damaged"      // bytes of the record have been replaced to read it
	TagJoined       = "joined"       // of several records in the line, this is the most severe
)

// kindUnknown is the kind of a record that does not name its event.
const kindUnknown = "unknown"

// jsonSpace is the white space of RFC 8259.
const jsonSpace = " \t\r\n"

// Sensor knows one sensor's records.
//
// Decode reads one JSON object with the given options and sets e's Time, Kind,
// Severity, ClassUID, Title and what else the record says; what it cannot
// find it leaves alone. It fills e with all that it could read even when it
// returns an error, which means that the object breaks the options' rules or
// holds a value of a type that the sensor is not known to write. It keeps
// neither line nor e, and may be called concurrently.
//
// Unread returns the lowest severity of a record of which no more could be read
// than e says, which may be nothing: what is missing may be a detection.
type Sensor interface {
	Decode(line []byte, e *proto.Event, opts ...json.Options) error
	Unread(e *proto.Event) proto.Severity
}

// Normalizer makes events of one source's lines. It holds no state of its own
// and may be used concurrently.
type Normalizer struct {
	Host, Source string // for every event, and part of its id
	Sensor       Sensor
	Now          func() time.Time // for records without a time
	Verbatim     bool             // Raw and Line keep their secrets; no other field does
}

// Event makes *e the event that text, one line without its newline, stands for;
// the package comment says which. What *e held before is dropped. e.Raw aliases
// text if there is no secret in it: it is valid until the caller changes text.
func (n *Normalizer) Event(e *proto.Event, text []byte, origin proto.Origin) {
	if reason := n.decode(e, text, origin); reason != "" {
		n.lenient(e, text, int64(len(text)), reason, origin)
	}
}

// Own reports whether a line is a record of the sensor: a JSON object, behind a prefix
// perhaps, with a time that names its event and says more of it.
func (n *Normalizer) Own(line []byte) bool {
	record := line[max(bytes.IndexByte(line, '{'), 0):]
	if flaw(record) != "" {
		return false
	}
	var e proto.Event
	n.decodeTolerantly(&e, bytes.Trim(record, jsonSpace))
	if e.Kind == "" || e.Time.IsZero() {
		return false
	}
	// What a mapping says of any object.
	e.Kind, e.Time, e.Severity, e.SeverityID, e.ClassUID, e.Tags = "", time.Time{}, 0, 0, 0, nil
	return !reflect.ValueOf(e).IsZero()
}

// decode returns the flaw that keeps text from being decoded, or "".
func (n *Normalizer) decode(e *proto.Event, text []byte, origin proto.Origin) string {
	record, prefixed := bytes.Trim(text, jsonSpace), false
	if len(record) == 0 || record[0] != '{' || mayBeTooDeep(record) {
		if reason := flaw(text); reason != "" {
			i := max(bytes.IndexByte(record, '{'), 0)
			if prefixed = i > 0 && flaw(record[i:]) == ""; !prefixed {
				return reason
			}
			record = record[i:]
		}
	}

	// Every field is made of what is left without the secrets.
	clean, found := secret.JSON(record)
	n.begin(e, text, origin)
	strict := n.Sensor.Decode(clean, e) == nil
	if !strict {
		if !prefixed {
			if reason := flaw(text); reason != "" {
				return reason
			}
		}
		n.begin(e, text, origin)
		n.decodeTolerantly(e, clean)
	}
	kept := clean
	if n.Verbatim {
		kept = record
	}
	at := -1
	if !strict || found { // else it has been found to be UTF-8
		at = malformed(kept)
	}
	if at >= 0 {
		addTag(e, TagMalformedUTF8)
		e.Line = line(kept, int64(len(record)), fmt.Sprintf("malformed UTF-8 at byte %d", at), maxMalformed)
	} else {
		e.Raw = kept
	}
	if found && !n.Verbatim {
		redacted(e, text)
	}
	if prefixed {
		addTag(e, TagPrefixed)
	}
	n.finish(e)
	return ""
}

// finish gives every event what a sensor may have left empty.
func (n *Normalizer) finish(e *proto.Event) {
	if e.Kind == "" {
		e.Kind = kindUnknown
		e.Severity = max(e.Severity, proto.SeverityLow)
		e.Title = "Record of " + n.Source + " that does not name its event"
		addTag(e, TagMappingMismatch)
	}
	e.Title = cmp.Or(oneLine(e.Title), oneLine(e.Kind), oneLine("Record of "+n.Source))
	e.SetSeverity(e.Severity)
	n.setTime(e)
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

// redacted notes that what e keeps of the line lacks its secrets.
func redacted(e *proto.Event, line []byte) {
	e.RawSHA256 = sha256Of(line)
	addTag(e, TagRedacted)
}

func sha256Of(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func addTag(e *proto.Event, tag string) {
	for _, t := range e.Tags {
		if t == tag {
			return
		}
	}
	e.Tags = append(e.Tags, tag)
}
