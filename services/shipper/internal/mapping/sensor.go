// Package mapping makes a source of any JSON log: a file says where a record's
// time, kind, severity and other normalized fields stand.
//
//	time:                                   # without a readable one: tag "no-time"
//	  from: $.ts                            # an expression, see package expr
//	  layouts: [unix, rfc3339]              # tried in turn; also unix_ms, unix_ns, or one of Go's
//	kind: $._path ?? "conn"                 # becomes part of the subject: a few words, never an id
//	severity:
//	  from: $.priority                      # looked up in values; the kind if there is no from
//	  values: {Critical: critical, Notice: low}
//	  default: info
//	class_uid: {values: {conn: 4001}, default: 0}
//	title: $.rule                           # for kinds without one in titles
//	titles: {dns: '"DNS query " + $.query'}
//	fields:                                 # by their names in the event
//	  src.ip: $["id.orig_h"]
//
// What an expression finds nothing for stays empty. What it finds must fit the
// field: a text field takes a text or a number, a number field an integer in
// range, also in quotes, and a list field a list of texts or one text. Anything
// else is left out, and reported as a mismatch, but the event is never lost.
// Numbers are text until a field needs them, so 64 bits arrive whole.
package mapping

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/expr"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

var _ normalize.Sensor = (*Sensor)(nil)

// Sensor reads the records that a mapping file describes.
type Sensor struct {
	time     clock
	kind     *expr.Expr
	severity table[proto.Severity]
	classUID table[int]
	title    *expr.Expr // nil for none
	titles   map[string]*expr.Expr
	fields   []field
}

// field is one of the mapping's fields.
type field struct {
	name string
	from *expr.Expr
	set  setter
}

// Unread implements [normalize.Sensor].
func (s *Sensor) Unread(*proto.Event) proto.Severity {
	highest := s.severity.fallback
	for _, severity := range s.severity.values {
		highest = max(highest, severity)
	}
	return min(max(highest, proto.SeverityLow), proto.SeverityMedium)
}

// Decode implements [normalize.Sensor].
func (s *Sensor) Decode(line []byte, e *proto.Event, opts ...json.Options) error {
	record, err := expr.Decode(line, opts...)
	if err != nil {
		return err
	}
	d := decoding{record: record}
	e.Time = s.time.read(d.value("time", s.time.from))
	e.Kind = d.text("kind", s.kind)
	e.Severity = lookUp(&d, "severity", s.severity, e.Kind)
	e.ClassUID = lookUp(&d, "class_uid", s.classUID, e.Kind)
	for _, f := range s.fields {
		if v := d.value(f.name, f.from); v != nil && !f.set(e, v) {
			d.mismatch(f.name)
		}
	}
	if title := s.titles[e.Kind]; title != nil {
		e.Title = d.text("title", title)
	} else if s.title != nil {
		e.Title = d.text("title", s.title)
	}
	return d.err()
}

// decoding is one record being read.
type decoding struct {
	record     map[string]any
	mismatches []string
}

func (d *decoding) mismatch(field string) { d.mismatches = append(d.mismatches, field) }

func (d *decoding) err() error {
	if len(d.mismatches) == 0 {
		return nil
	}
	return fmt.Errorf("record does not fit the mapping of %s", strings.Join(d.mismatches, ", "))
}

// value evaluates an expression; nil means that there is nothing.
func (d *decoding) value(field string, from *expr.Expr) any {
	v, err := from.Value(d.record)
	if err != nil {
		d.mismatch(field)
		return nil
	}
	return v
}

// text evaluates an expression to a text or a number's text.
func (d *decoding) text(field string, from *expr.Expr) string {
	v := d.value(field, from)
	text, ok := textOf(v)
	if !ok && v != nil {
		d.mismatch(field)
	}
	return text
}

// table turns words into values of the protocol.
type table[T any] struct {
	from     *expr.Expr   // nil for the event's kind
	values   map[string]T // by lower-case words
	fallback T
}

func lookUp[T any](d *decoding, field string, t table[T], kind string) T {
	word := kind
	if t.from != nil {
		word = d.text(field, t.from)
	}
	if v, known := t.values[strings.ToLower(word)]; known {
		return v
	}
	return t.fallback
}
