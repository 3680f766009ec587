package auditor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"time"

	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/export"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/auditor/internal/report"
	"github.com/openclaw-security/bus/services/internal/price"
)

// What the operator's commands are made of; see the packages that they come
// from.
type (
	Filter  = index.Filter
	Order   = index.Order
	Request = index.Request
	By      = index.By
	Format  = report.Format
)

// The ways in which requests are summed up, and in which answers are written.
const (
	ByDay, ByHour, ByModel, ByClient, ByTool = index.ByDay, index.ByHour, index.ByModel, index.ByClient, index.ByTool
	Text, JSON, CSV                          = report.Text, report.JSON, report.CSV
)

// Reader answers questions about the audit log in a directory, beside an auditor
// that may be writing it.
type Reader struct {
	Dir string
	// Zone is the time zone of the answers.
	Zone *time.Location
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

// List writes requests.
func (r Reader) List(ctx context.Context, w io.Writer, format Format, f Filter, o Order) error {
	x, err := r.open()
	if err != nil {
		return err
	}
	defer x.Close()
	return report.List(w, format, x.List(ctx, f, o), r.Zone)
}

// Report writes sums.
func (r Reader) Report(ctx context.Context, w io.Writer, format Format, by By, f Filter, prices *price.Table) error {
	x, err := r.open()
	if err != nil {
		return err
	}
	defer x.Close()
	sums, err := x.Report(ctx, by, f, prices, r.Zone)
	if err != nil {
		return err
	}
	return report.Summary(w, format, sums)
}

// Tools writes which tools were called.
func (r Reader) Tools(ctx context.Context, w io.Writer, format Format, f Filter) error {
	x, err := r.open()
	if err != nil {
		return err
	}
	defer x.Close()
	uses, err := x.Tools(ctx, f)
	if err != nil {
		return err
	}
	return report.Tools(w, format, uses, r.Zone)
}

// Shown is one request with its records as they stand in the log.
type Shown struct {
	Request    Request
	Start, End []byte // nil if there is none, or if retention has removed it
}

// Show looks up one request by its id, or by how that begins.
func (r Reader) Show(ctx context.Context, id string) (*Shown, error) {
	x, err := r.open()
	if err != nil {
		return nil, err
	}
	defer x.Close()
	request, err := x.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	s := &Shown{Request: request}
	if s.Start, err = r.payload(request.StartSeq); err != nil {
		return nil, err
	}
	s.End, err = r.payload(request.EndSeq)
	return s, err
}

// payload is a record of the log, nil if it is not there.
func (r Reader) payload(seq uint64) ([]byte, error) {
	if seq == 0 {
		return nil, nil
	}
	for record, err := range chain.Scan(logDir(r.Dir), seq) {
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

// Export writes the log's records in another schema, beginning behind the record
// with the id after, and returns the id to go on behind.
func (r Reader) Export(ctx context.Context, w io.Writer, schema, after string) (written int, last string, err error) {
	p, err := export.Write(ctx, w, export.Format(schema), r.records(ctx), after)
	return p.Written, p.Last, err
}

func (r Reader) records(ctx context.Context) iter.Seq2[export.Record, error] {
	return func(yield func(export.Record, error) bool) {
		for record, err := range chain.Scan(logDir(r.Dir), 1) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(export.Record{Seq: record.Seq, ID: record.ID, Stored: record.Stored, Payload: record.Payload}, err) || err != nil {
				return
			}
		}
	}
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
