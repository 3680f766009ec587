package auditor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"time"

	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/export"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/price"
)

// ExportLine is a record of the log in another schema.
type ExportLine = export.Line

// Reader answers questions about the audit log in a directory, beside an auditor
// that may be writing it.
type Reader struct {
	Dir string
	// Zone is the time zone of a report's days; nil is UTC.
	Zone *time.Location
	// Prices are what a report counts cost by; nil for those that are shipped.
	Prices *price.Table
}

// ErrNoLog reports a directory that has no audit log in it.
var ErrNoLog = errors.New("there is no audit log here: has an auditor been running with this directory?")

// open opens the index for reading.
func (r Reader) open() (*index.Index, error) {
	x, err := index.Open(indexFile(r.Dir), index.Options{ReadOnly: true})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", r.Dir, ErrNoLog)
	case errors.Is(err, index.ErrRebuild):
		return nil, fmt.Errorf("%w; `secbus audit reindex` does that", err)
	case err != nil:
		return nil, fmt.Errorf("opening the index: %w", err)
	}
	return x, nil
}

// List yields the requests that f selects. The first error ends it.
func (r Reader) List(ctx context.Context, f audit.Filter, o audit.Order) iter.Seq2[audit.Request, error] {
	return func(yield func(audit.Request, error) bool) {
		x, err := r.open()
		if err != nil {
			yield(audit.Request{}, err)
			return
		}
		defer x.Close()
		for request, err := range x.List(ctx, f, o) {
			if !yield(request, err) {
				return
			}
		}
	}
}

// Report sums up the requests that f selects.
func (r Reader) Report(ctx context.Context, by audit.By, f audit.Filter) (*audit.Report, error) {
	x, err := r.open()
	if err != nil {
		return nil, err
	}
	defer x.Close()
	prices := r.Prices
	if prices == nil {
		prices = price.Shipped()
	}
	return x.Report(ctx, by, f, prices, r.Zone)
}

// Tools returns which tools were called in the requests that f selects.
func (r Reader) Tools(ctx context.Context, f audit.Filter) ([]audit.ToolUse, error) {
	x, err := r.open()
	if err != nil {
		return nil, err
	}
	defer x.Close()
	return x.Tools(ctx, f)
}

// Show looks up one request by its id, or by how that begins.
func (r Reader) Show(ctx context.Context, id string) (*audit.Shown, error) {
	x, err := r.open()
	if err != nil {
		return nil, err
	}
	defer x.Close()
	return show(ctx, x, r.Dir, id)
}

// show looks up a request in the index, and its records in the log.
func show(ctx context.Context, x *index.Index, dir, id string) (*audit.Shown, error) {
	request, err := x.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	s := &audit.Shown{Request: request}
	if s.Start, err = payload(dir, request.StartSeq); err != nil {
		return nil, err
	}
	s.End, err = payload(dir, request.EndSeq)
	return s, err
}

// payload is a record of the log, nil if it is not there.
func payload(dir string, seq uint64) ([]byte, error) {
	if seq == 0 {
		return nil, nil
	}
	for record, err := range chain.Scan(logDir(dir), seq) {
		if err != nil {
			return nil, fmt.Errorf("reading record %d: %w", seq, err)
		}
		if record.Seq == seq {
			return record.Payload, nil
		}
		break
	}
	return nil, nil
}

// Export yields the log's records in another schema, ocsf or otel, beginning after
// the record with the id after. The first error ends it.
func (r Reader) Export(ctx context.Context, schema, after string) iter.Seq2[ExportLine, error] {
	return export.Lines(ctx, export.Schema(schema), func(yield func(export.Record, error) bool) {
		for record, err := range chain.Scan(logDir(r.Dir), 1) {
			if !yield(export.Record{Seq: record.Seq, ID: record.ID, Stored: record.Stored, Payload: record.Payload}, err) || err != nil {
				return
			}
		}
	}, after)
}

// Reindex builds the index again from the log. No auditor may be running.
func (r Reader) Reindex(ctx context.Context, log *slog.Logger) (records uint64, err error) {
	// Opening the log takes its lock, and keeps an auditor from starting.
	l, err := openLog(Config{Dir: r.Dir}, log)
	if err != nil {
		return 0, fmt.Errorf("opening the audit log (stop the auditor first): %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := index.Discard(indexFile(r.Dir)); err != nil {
		return 0, err
	}
	x, _, err := openIndex(ctx, r.Dir, l.Last(), log)
	if err != nil {
		return 0, err
	}
	records, _ = x.Position()
	return records, x.Close()
}
