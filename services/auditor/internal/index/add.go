package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/proto"
)

// errReadOnly is a bug of the caller.
var errReadOnly = errors.New("the index is open for reading only")

// Add takes in the log's next records, in one transaction: after an error it has
// taken in none of them, and the same call may be made again. Records that it
// has already are passed over, so that feeding it the log from any earlier place
// changes nothing.
//
// What is not an audit record, or repeats how a request began or ended, is counted in
// [audit.Report.Unindexed] and not an error, because it is in the log for good.
//
// The error is [ErrRebuild] if the file is damaged.
func (x *Index) Add(ctx context.Context, records []Record) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.w == nil {
		return errReadOnly
	}
	b := batch{requests: make(map[string]*entry)}
	last := Record{Seq: x.seq, Head: x.head}
	for _, r := range records {
		if r.Seq <= x.seq {
			continue
		}
		if r.Seq <= last.Seq {
			return fmt.Errorf("adding to the index: record %d comes after record %d", r.Seq, last.Seq)
		}
		b.accept(r)
		last = r
	}
	if last.Seq == x.seq {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := x.w.transaction(ctx, func(ctx context.Context) error {
		if err := b.write(ctx, x.w); err != nil {
			return err
		}
		_, err := x.w.setPosition.ExecContext(ctx, int64(last.Seq), last.Head)
		return err
	})
	if err != nil {
		return fmt.Errorf("adding to the index: %w", damaged(err))
	}
	x.seq, x.head = last.Seq, last.Head
	return nil
}

// batch are records on their way into the file, brought together by request.
type batch struct {
	order    []*entry
	requests map[string]*entry
	odd      []oddity
	sums     map[rollupKey]*sums
}

// entry is what a batch holds of one request.
type entry struct {
	first      uint64
	start, end *phase
}

type phase struct {
	seq     uint64
	audit   *proto.Audit
	payload []byte
}

type oddity struct {
	seq  uint64
	what string
}

// rollupKey names a row of rollups. Tool 0 is all requests.
type rollupKey struct {
	tool, hour, group int64
}

const again = "the request has this phase already"

func (b *batch) accept(r Record) {
	a, err := decode(r.Payload)
	if err != nil {
		b.odd = append(b.odd, oddity{r.Seq, err.Error()})
		return
	}
	e := b.requests[a.RequestID]
	if e == nil {
		e = &entry{first: r.Seq}
		b.requests[a.RequestID] = e
		b.order = append(b.order, e)
	}
	p := &e.start
	if a.Phase == proto.PhaseEnd {
		p = &e.end
	}
	if *p != nil {
		b.odd = append(b.odd, oddity{r.Seq, again})
		return
	}
	*p = &phase{r.Seq, a, r.Payload}
}

func (b *batch) write(ctx context.Context, w *writer) error {
	b.sums = make(map[rollupKey]*sums)
	for _, e := range b.order {
		if err := b.request(ctx, w, e); err != nil {
			return err
		}
	}
	for key, s := range b.sums {
		if err := w.rollup(ctx, key.tool, key.hour, key.group, s); err != nil {
			return err
		}
	}
	for _, o := range b.odd {
		if _, err := w.oddity.ExecContext(ctx, int64(o.seq), name(o.what)); err != nil {
			return fmt.Errorf("writing an oddity: %w", err)
		}
	}
	return nil
}

// request brings a request's row up to date.
func (b *batch) request(ctx context.Context, w *writer, e *entry) error {
	newest := e.start
	if e.end != nil {
		newest = e.end
	}
	requestID := newest.audit.RequestID
	var id int64
	var startSeq, endSeq uint64
	err := w.find.QueryRowContext(ctx, requestID).Scan(&id, &startSeq, &endSeq)
	isNew := errors.Is(err, sql.ErrNoRows)
	if err != nil && !isNew {
		return fmt.Errorf("looking for request %q: %w", requestID, err)
	}
	if e.start != nil && startSeq != 0 {
		b.odd = append(b.odd, oddity{e.start.seq, again})
		e.start = nil
	}
	if e.end != nil && endSeq != 0 {
		b.odd = append(b.odd, oddity{e.end.seq, again})
		e.end = nil
	}
	if isNew {
		id = int64(e.first)
	}
	if e.end != nil {
		if err := e.end.bound(ctx, w); err != nil {
			return err
		}
	}
	switch {
	case isNew:
		err = b.insert(ctx, w, id, e, newest)
	case e.end != nil:
		err = b.update(ctx, w, id, e.end)
	}
	if err != nil {
		return err
	}
	if !isNew && e.start != nil {
		if _, err := w.start.ExecContext(ctx, int64(e.start.seq), id); err != nil {
			return fmt.Errorf("writing request %q: %w", requestID, err)
		}
	}
	if e.end == nil {
		return nil
	}
	return b.ended(ctx, w, id, e.end.audit)
}

func (b *batch) insert(ctx context.Context, w *writer, id int64, e *entry, newest *phase) error {
	var startSeq, endSeq int64
	if e.start != nil {
		startSeq = int64(e.start.seq)
	}
	if e.end != nil {
		endSeq = int64(e.end.seq)
	}
	grp, text, err := b.row(ctx, w, newest)
	if err != nil {
		return err
	}
	a := newest.audit
	if _, err := w.insert.ExecContext(ctx, id, a.RequestID, startSeq, endSeq, a.Time.UnixMicro(), grp, int64(a.Severity), text); err != nil {
		return fmt.Errorf("writing request %q: %w", a.RequestID, err)
	}
	return nil
}

func (b *batch) update(ctx context.Context, w *writer, id int64, end *phase) error {
	grp, text, err := b.row(ctx, w, end)
	if err != nil {
		return err
	}
	a := end.audit
	if _, err := w.end.ExecContext(ctx, int64(end.seq), a.Time.UnixMicro(), grp, int64(a.Severity), text, id); err != nil {
		return fmt.Errorf("writing request %q: %w", a.RequestID, err)
	}
	return nil
}

func (b *batch) row(ctx context.Context, w *writer, p *phase) (grp int64, text []byte, err error) {
	if grp, err = w.group(ctx, groupOf(p.audit)); err != nil {
		return 0, nil, err
	}
	text, err = withoutText(p.audit, p.payload)
	return grp, text, err
}

// ended counts a request that has come to its end.
func (b *batch) ended(ctx context.Context, w *writer, id int64, a *proto.Audit) error {
	if err := w.details(ctx, id, a); err != nil {
		return err
	}
	grp, err := w.group(ctx, groupOf(a))
	if err != nil {
		return err
	}
	s := sumsOf(a)
	hour := hourOf(a.Time.UnixMicro())
	for tool, t := range s.byTool(a) {
		number, err := w.tool(ctx, tool)
		if err != nil {
			return err
		}
		b.add(rollupKey{number, hour, grp}, t)
	}
	b.add(rollupKey{0, hour, grp}, s)
	return nil
}

func (b *batch) add(key rollupKey, s *sums) {
	if sum := b.sums[key]; sum != nil {
		sum.add(s)
		return
	}
	b.sums[key] = s
}

const microsPerHour = 3600 * 1_000_000

// hourOf is the number of the hour, in UTC since 1970, that a time falls into.
func hourOf(micros int64) int64 {
	hour := micros / microsPerHour
	if micros%microsPerHour < 0 {
		hour--
	}
	return hour
}
