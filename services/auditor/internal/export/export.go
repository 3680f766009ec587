// Package export converts the audit log for other systems: one JSON object a line,
// one for each record of the log, in its order.
//
//	log ─▶ Record ─▶ after the last one of the previous export ─▶ OCSF or OpenTelemetry ─▶ Line
//
// Nothing is kept in memory and nothing is left out: a record that cannot be
// decoded is exported as such. A request has two records, and both are exported:
// one that was interrupted shows by its start alone, and the two share the
// request's id.
package export

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/proto"
)

// ErrNotFound is the end of an export that was to begin after a record that is not
// in the log.
var ErrNotFound = errors.New("the log has no such record")

// Record is a record of the log.
type Record struct {
	Seq     uint64    // in the log
	ID      string    // of the event
	Stored  time.Time // by the stream
	Payload []byte    // the JSON form of a [proto.Audit]; what is not UTF-8 is exported as U+FFFD
}

// Line is a record in another schema.
type Line struct {
	ID   string // of the record, to begin the next export after
	JSON []byte // with a newline at its end
}

// Schema is how records are written.
type Schema string

// The schemas.
const (
	OCSF Schema = "ocsf" // API Activity of the Open Cybersecurity Schema Framework 1.8.0
	OTel Schema = "otel" // flat, with the names of OpenTelemetry's semantic conventions 1.41.0
)

// Lines yields records in a schema, beginning after the one with the id after, or
// with the first if after is empty. The first error ends it.
func Lines(ctx context.Context, schema Schema, records iter.Seq2[Record, error], after string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var convert func(*Record, *proto.Audit, error) any
		switch schema {
		case OCSF:
			convert = ocsf
		case OTel:
			convert = otel
		default:
			yield(Line{}, fmt.Errorf("exporting: there is no schema %q", schema))
			return
		}
		for r, err := range records {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Line{}, fmt.Errorf("reading the log to export it: %w", err))
				return
			}
			if after != "" {
				if r.ID == after {
					after = ""
				}
				continue
			}
			a, err := decode(r.Payload)
			line, err := encode(convert(&r, a, err))
			if err != nil {
				err = fmt.Errorf("exporting record %q: %w", r.ID, err)
			}
			if !yield(Line{r.ID, line}, err) || err != nil {
				return
			}
		}
		if after != "" {
			yield(Line{}, fmt.Errorf("exporting after %q: %w", after, ErrNotFound))
		}
	}
}

func decode(payload []byte) (*proto.Audit, error) {
	var a proto.Audit
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

// encode returns v as a line: text of requests can be anything, and must not break
// the line's form.
func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.EscapeForJS(true))
	return append(text, '\n'), err
}
