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
