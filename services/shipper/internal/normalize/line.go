package normalize

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
)

// maxUnparsed bounds the bytes kept of a line that is not a record.
const maxUnparsed = 16 << 10

// Damaged makes *e the event for a line that the file does not hold whole: text is
// as much of it as there is, length the whole line's in bytes, reason says in words
// what is wrong with it. What *e held before is dropped.
func (n *Normalizer) Damaged(e *proto.Event, text []byte, length int64, reason string, origin proto.Origin) {
	if length == int64(len(text)) && n.decode(e, text, origin) == "" {
		addTag(e, TagUnterminated)
		return
	}
	n.lenient(e, text, length, reason, origin)
}

// lenient makes *e the event for a line that is not a record: of what can be read
// of it, or else one that says so.
func (n *Normalizer) lenient(e *proto.Event, text []byte, length int64, reason string, origin proto.Origin) {
	if !n.salvage(e, text, length, reason, origin) {
		n.unparsed(e, text, length, reason, origin)
	}
}

func (n *Normalizer) unparsed(e *proto.Event, text []byte, length int64, reason string, origin proto.Origin) {
	n.begin(e, text, origin)
	e.Kind = proto.KindUnparsed
	e.SetSeverity(proto.SeverityLow)
	if len(bytes.Trim(text, jsonSpace+"\x00")) > 0 {
		e.SetSeverity(max(e.Severity, n.Sensor.Unread(&proto.Event{})))
	}
	e.ClassUID = proto.ClassUIDBaseEvent
	e.Title = oneLine("Line of " + n.Source + " that cannot be read: " + reason)
	n.setTime(e)
	n.keep(e, text, length, reason)
}

// keep makes e.Line of a line that cannot be carried as Raw.
func (n *Normalizer) keep(e *proto.Event, text []byte, length int64, reason string) {
	kept := text
	if !n.Verbatim {
		var found bool
		if kept, found = secret.Bytes(text); found {
			addTag(e, TagRedacted)
			if length == int64(len(text)) {
				redacted(e, text)
			}
		}
	}
	e.Line = line(kept, length, reason, maxUnparsed)
}

// Gap makes *e the event for bytes that were gone before they could be read.
// What *e held before is dropped.
func (n *Normalizer) Gap(e *proto.Event, g proto.Gap, origin proto.Origin) {
	// A line holds no newline, so no line can have this id.
	n.begin(e, fmt.Appendf(nil, "\ngap %d-%d", g.From, g.To), origin)
	e.Kind = proto.KindGap
	e.SetSeverity(proto.SeverityMedium)
	e.ClassUID = proto.ClassUIDBaseEvent
	lost := "an unknown number of bytes"
	if size := g.To - g.From; size == 1 {
		lost = "1 byte"
	} else if size > 1 {
		lost = fmt.Sprintf("%d bytes", size)
	}
	e.Title = oneLine(fmt.Sprintf("Lost before it could be read: %s of %s from %s (%s)", lost, origin.File, n.Source, g.Reason))
	e.Gap = &g
	e.Time = n.Now().UTC()
}

// line keeps up to limit bytes of text.
func line(text []byte, length int64, reason string, limit int) *proto.Line {
	l := &proto.Line{Reason: reason, Length: length}
	kept := text[:min(len(text), limit)]
	if int64(len(kept)) < length {
		kept = trimPartialRune(kept)
	}
	if utf8.Valid(kept) {
		l.Text = string(kept)
	} else {
		l.Base64 = base64.StdEncoding.EncodeToString(kept)
	}
	return l
}

// trimPartialRune drops the beginning of a character that a cut has left behind.
func trimPartialRune(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}
