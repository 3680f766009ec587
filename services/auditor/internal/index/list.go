package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/services/internal/audit"
)

// listPage is how many rows are read at once. Between pages nothing is held open,
// so that a slow reader of a list blocks nobody.
const listPage = 256

// List yields the requests that f selects, by their time. An error ends it.
// Requests that arrive meanwhile may be among them.
func (x *Index) List(ctx context.Context, f audit.Filter, o audit.Order) iter.Seq2[audit.Request, error] {
	return func(yield func(audit.Request, error) bool) {
		var from *place
		if o.After != "" {
			var err error
			if from, err = x.place(ctx, o.After); err != nil {
				yield(audit.Request{}, fmt.Errorf("listing requests: %w", damaged(err)))
				return
			}
		}
		for left := o.Limit; ; {
			size := listPage
			if o.Limit > 0 {
				size = min(size, left)
			}
			page, err := x.page(ctx, f, o.OldestFirst, from, size)
			if err != nil {
				yield(audit.Request{}, fmt.Errorf("listing requests: %w", damaged(err)))
				return
			}
			for _, r := range page {
				if !yield(r.Request, nil) {
					return
				}
			}
			left -= len(page)
			if len(page) < size || o.Limit > 0 && left == 0 {
				return
			}
			from = &page[len(page)-1].place
		}
	}
}

// place is where a request stands in the order of a list.
type place struct {
	time, id int64
}

type placed struct {
	audit.Request
	place place
}

func (x *Index) place(ctx context.Context, requestID string) (*place, error) {
	var p place
	err := x.read.QueryRowContext(ctx, "SELECT time, id FROM requests WHERE request_id = ?", requestID).Scan(&p.time, &p.id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %q", audit.ErrNotFound, requestID)
	}
	return &p, err
}

const requestColumns = "SELECT time, id, start_seq, end_seq, record FROM requests"

func (x *Index) page(ctx context.Context, f audit.Filter, oldestFirst bool, from *place, size int) ([]placed, error) {
	cutoff := x.cutoff()
	c := requestConditions(f, cutoff)
	order, beyond := "DESC", "<"
	if oldestFirst {
		order, beyond = "ASC", ">"
	}
	if from != nil {
		c.and("(time, id) "+beyond+" (?, ?)", from.time, from.id)
	}
	query := requestColumns + c.where() + " ORDER BY time " + order + ", id " + order + " LIMIT ?"
	return x.query(ctx, cutoff, query, append(c.args, size)...)
}

func (x *Index) query(ctx context.Context, cutoff time.Time, query string, args ...any) ([]placed, error) {
	rows, err := x.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []placed
	for rows.Next() {
		var r placed
		var record sql.RawBytes
		if err := rows.Scan(&r.place.time, &r.place.id, &r.StartSeq, &r.EndSeq, &record); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(record, &r.Audit); err != nil {
			return nil, fmt.Errorf("%w: decoding a row: %w", ErrRebuild, err)
		}
		r.Prompt, r.Answer = nil, ""
		switch {
		case r.EndSeq != 0:
			r.State = audit.StateDone
		case r.Time.Before(cutoff):
			r.State = audit.StateInterrupted
		default:
			r.State = audit.StateOpen
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// cutoff is the time before which a request without an end must have begun to
// count as interrupted.
func (x *Index) cutoff() time.Time {
	return x.now().Add(-x.interruptedAfter).Truncate(time.Microsecond)
}

// Get returns the request with that id or, if there is none, the one whose id
// begins so. The error is [audit.ErrNotFound] or [audit.ErrAmbiguous] if there is not exactly
// one.
func (x *Index) Get(ctx context.Context, id string) (audit.Request, error) {
	found, err := x.query(ctx, x.cutoff(), requestColumns+" WHERE request_id >= ? AND request_id < ? ORDER BY request_id LIMIT 2", id, id+afterAll)
	switch {
	case err != nil:
		return audit.Request{}, fmt.Errorf("looking for request %q: %w", id, damaged(err))
	case len(found) == 0 || id == "":
		return audit.Request{}, fmt.Errorf("%w: %q", audit.ErrNotFound, id)
	case len(found) > 1 && found[0].RequestID != id: // the id itself sorts first
		return audit.Request{}, fmt.Errorf("%w: %q", audit.ErrAmbiguous, id)
	}
	return found[0].Request, nil
}
