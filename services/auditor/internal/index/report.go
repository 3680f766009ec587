package index

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/price"
)

// Bounds of a report; names come from requests.
const (
	maxRows     = 4096
	maxUnpriced = 20
)

// Report sums up the requests that f selects. Rows of days and hours ascend,
// others have the most requests first. Days are those of zone; nil is UTC.
func (x *Index) Report(ctx context.Context, by audit.By, f audit.Filter, prices *price.Table, zone *time.Location) (*audit.Report, error) {
	if zone == nil {
		zone = time.UTC
	}
	t := tally{by: by, filter: f, prices: prices, zone: zone, rows: make(map[string]*tallyRow), unpriced: make(map[string]bool)}
	w := selection{filter: f, byTool: by == audit.ByTool}
	switch by {
	case audit.ByDay:
		// A day can begin within an hour of UTC.
		w.whole = func(hour int64) bool {
			first, last := hourTime(hour, zone), hourTime(hour+1, zone).Add(-time.Microsecond)
			return first.YearDay() == last.YearDay()
		}
	case audit.ByHour, audit.ByModel, audit.ByClient, audit.ByTool:
	default:
		return nil, fmt.Errorf("making a report: %w: %.40q", audit.ErrBy, by)
	}
	unindexed, err := x.sumUp(ctx, w, t.take)
	if err != nil {
		return nil, fmt.Errorf("making a report: %w", damaged(err))
	}
	return t.report(unindexed), nil
}

func hourTime(hour int64, zone *time.Location) time.Time {
	return time.UnixMicro(hour * microsPerHour).In(zone)
}

// tally is a report in the making.
type tally struct {
	by       audit.By
	filter   audit.Filter
	prices   *price.Table
	zone     *time.Location
	rows     map[string]*tallyRow
	total    tallyRow
	unpriced map[string]bool
}

// tallyRow is a row with what it is computed from.
type tallyRow struct {
	audit.Row
	sums sums
}

func (t *tally) take(p portion) {
	if p.tool == t.filter.Tool {
		t.add(&t.total, p)
	}
	if (t.by == audit.ByTool) != (p.tool != "") && t.filter.Tool == "" {
		return
	}
	key, begin := t.key(p)
	row := t.rows[key]
	if row == nil && len(t.rows) >= maxRows {
		key = audit.Other
		row = t.rows[key]
	}
	if row == nil {
		row = &tallyRow{Row: audit.Row{Key: key, Start: begin}}
		t.rows[key] = row
	}
	t.add(row, p)
}

func (t *tally) key(p portion) (key string, begin time.Time) {
	const unnamed = "(none)"
	switch t.by {
	case audit.ByDay:
		// The hour of a portion is whole, or the request's own time decides.
		year, month, day := time.UnixMicro(p.sums.first).In(t.zone).Date()
		begin = time.Date(year, month, day, 0, 0, 0, 0, t.zone)
		return begin.Format(time.DateOnly), begin
	case audit.ByHour:
		begin = hourTime(p.hour, t.zone)
		return begin.Format("2006-01-02 15:04 -0700"), begin
	case audit.ByModel:
		return cmp.Or(p.model, unnamed), begin
	case audit.ByClient:
		return cmp.Or(p.client, unnamed), begin
	}
	return p.tool, begin
}

func (t *tally) add(row *tallyRow, p portion) {
	n := p.sums.requests
	row.Requests += n
	switch {
	case p.state == audit.StateOpen:
		row.Open += n
	case p.state == audit.StateInterrupted:
		row.Interrupted += n
	case p.decision == proto.DecisionBlocked:
		row.Blocked += n
	case p.decision == proto.DecisionRefused:
		row.Refused += n
	case p.decision == proto.DecisionFailed:
		row.Failed += n
	default:
		row.Allowed += n
	}
	if usage := p.sums.usage(); usage.Input+usage.Output > 0 {
		cost, known := t.prices.Cost(p.model, 0, usage)
		if !known {
			cost, known = t.prices.Cost(p.asked, 0, usage)
		}
		row.Cost += cost
		if !known {
			row.Unpriced += n
			if len(t.unpriced) < maxUnpriced {
				t.unpriced[cmp.Or(p.model, "(none)")] = true
			}
		}
	}
	row.sums.add(p.sums)
}

func (t *tally) report(unindexed int64) *audit.Report {
	r := &audit.Report{By: t.by, Total: t.total.finish(), PricesOf: t.prices.AsOf.Format(time.DateOnly), Unindexed: unindexed}
	r.Total.Key = "total"
	rows := slices.Collect(maps.Values(t.rows))
	slices.SortFunc(rows, func(a, b *tallyRow) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Key, b.Key))
	})
	r.Rows = make([]audit.Row, 0, len(rows))
	for _, row := range rows {
		r.Rows = append(r.Rows, row.finish())
	}
	r.Unpriced = slices.Sorted(maps.Keys(t.unpriced))
	return r
}

func (row *tallyRow) finish() audit.Row {
	s := &row.sums
	row.Input, row.Output, row.Reasoning = s.input, s.output, s.reasoning
	row.CacheRead, row.CacheCreation, row.Incomplete = s.cacheRead, s.cacheCreation, s.incomplete
	row.Duration, row.FirstChunk = percentiles(s.duration), percentiles(s.firstChunk)
	return row.Row
}

func percentiles(h histogram) audit.Percentiles {
	return audit.Percentiles{P50: h.percentile(.50), P95: h.percentile(.95), P99: h.percentile(.99)}
}

// Tools returns which tools were called in the requests that f selects, those with
// the most calls first. Beyond 4096 pairs of tool and client the rest is one
// entry, with [audit.Other] for both.
func (x *Index) Tools(ctx context.Context, f audit.Filter) ([]audit.ToolUse, error) {
	type pair struct{ tool, client string }
	uses := make(map[pair]*audit.ToolUse)
	_, err := x.sumUp(ctx, selection{filter: f, byTool: true}, func(p portion) {
		if p.tool == "" {
			return
		}
		key := pair{p.tool, p.client}
		if uses[key] == nil && len(uses) >= maxRows {
			key = pair{audit.Other, audit.Other}
		}
		u := uses[key]
		first, last := time.UnixMicro(p.sums.first).UTC(), time.UnixMicro(p.sums.last).UTC()
		if u == nil {
			u = &audit.ToolUse{Tool: key.tool, Client: key.client, First: first, Last: last}
			uses[key] = u
		}
		u.Requests += p.sums.requests
		u.Calls += p.sums.calls
		u.Allowed += p.sums.callsAllowed
		u.Blocked += p.sums.callsBlocked
		if first.Before(u.First) {
			u.First = first
		}
		if last.After(u.Last) {
			u.Last = last
		}
	})
	if err != nil {
		return nil, fmt.Errorf("summing up tools: %w", damaged(err))
	}
	all := make([]audit.ToolUse, 0, len(uses))
	for _, u := range slices.SortedFunc(maps.Values(uses), func(a, b *audit.ToolUse) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Client, b.Client))
	}) {
		all = append(all, *u)
	}
	return all, nil
}
