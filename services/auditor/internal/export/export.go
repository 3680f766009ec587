package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/proto"
)

// ErrNotFound is the end of an export that was to go on behind a record that is
// not in the log.
var ErrNotFound = errors.New("the log has no such record")

// flushAt is how many bytes are gathered before they are written.
const flushAt = 64 << 10

// Record is a record of the log.
type Record struct {
	Seq     uint64    // in the log
	ID      string    // of the event
	Stored  time.Time // by the stream
	Payload []byte    // the JSON form of a [proto.Audit]; what is not UTF-8 is exported as U+FFFD
}

// Format is how records are written.
type Format string

// The formats.
const (
	OCSF Format = "ocsf" // API Activity of the Open Cybersecurity Schema Framework 1.8.0
	OTel Format = "otel" // flat, with the names of OpenTelemetry's semantic conventions 1.41.0
)

// Progress is how far an export has come.
type Progress struct {
	Written int    // records
	Last    string // id of the last one written, to go on behind
}

// Write writes records to w, beginning behind the one with the id after, or with
// the first if after is empty. It ends at the first error, its own or that of
// records; what Progress tells has been written then.
func Write(ctx context.Context, w io.Writer, format Format, records iter.Seq2[Record, error], after string) (Progress, error) {
	var convert func(*Record, *proto.Audit, error) any
	switch format {
	case OCSF:
		convert = ocsf
	case OTel:
		convert = otel
	default:
		return Progress{}, fmt.Errorf("exporting: there is no format %q", format)
	}
	e := exporter{w: w}
	for r, err := range records {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return e.done, fmt.Errorf("reading the log to export it: %w", errors.Join(err, e.flush()))
		}
		if after != "" {
			if r.ID == after {
				after = ""
			}
			continue
		}
		a, err := decode(r.Payload)
		if err := e.line(r.ID, convert(&r, a, err)); err != nil {
			return e.done, err
		}
	}
	if after != "" {
		return e.done, fmt.Errorf("exporting behind %q: %w", after, ErrNotFound)
	}
	err := e.flush()
	return e.done, err
}

func decode(payload []byte) (*proto.Audit, error) {
	var a proto.Audit
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

// exporter writes lines in large pieces.
type exporter struct {
	w        io.Writer
	buffer   []byte
	gathered Progress
	done     Progress
}

func (e *exporter) line(id string, v any) error {
	// Text of requests and records can be anything but must not break the line's form.
	text, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.EscapeForJS(true))
	if err != nil {
		return fmt.Errorf("exporting record %q: %w", id, err)
	}
	e.buffer = append(append(e.buffer, text...), '\n')
	e.gathered.Written++
	e.gathered.Last = id
	if len(e.buffer) < flushAt {
		return nil
	}
	return e.flush()
}

func (e *exporter) flush() error {
	if len(e.buffer) == 0 {
		return nil
	}
	if _, err := e.w.Write(e.buffer); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	e.buffer = e.buffer[:0]
	e.done = e.gathered
	return nil
}
