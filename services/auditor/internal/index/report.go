package index

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/price"
)

// By says what makes a row of a report.
type By string

// The rows.
const (
	ByDay    By = "day"
	ByHour   By = "hour" // of UTC, shown in the report's zone
	ByModel  By = "model"
	ByClient By = "client"
	ByTool   By = "tool" // a request counts in the row of each tool that it called
)

// Bounds of a report; names come from requests.
const (
	maxRows     = 4096
	maxUnpriced = 20
)

// Other is the row of what comes after the first 4096 different names.
const Other = "(other)"

// Report sums up requests.
type Report struct {
	By       By       `json:"by"`
	Rows     []Row    `json:"rows"`
	Total    Row      `json:"total"`              // each request once
	PricesOf string   `json:"prices_as_of"`       // the date of the prices
	Unpriced []string `json:"unpriced,omitempty"` // models that have no price, at most 20
	// Records of the log that are in no row, whatever the filter: they cannot be
	// decoded, or say again what another has said.
	Unindexed int64 `json:"unindexed,omitempty"`
}

// Row is a row of a report.
type Row struct {
	Key   string    `json:"key"`            // day, hour or name
	Start time.Time `json:"start,omitzero"` // of the day or hour

	Requests    int64 `json:"requests"` // the six below together
	Allowed     int64 `json:"allowed"`  // and whatever else ended
	Blocked     int64 `json:"blocked"`
	Refused     int64 `json:"refused"`
	Failed      int64 `json:"failed"`
	Interrupted int64 `json:"interrupted"`
	Open        int64 `json:"open"`

	Input         int64 `json:"input_tokens"` // includes what was read from and written to the cache
	Output        int64 `json:"output_tokens"`
	CacheRead     int64 `json:"cache_read_tokens"`
	CacheCreation int64 `json:"cache_creation_tokens"`
	Reasoning     int64 `json:"reasoning_tokens"`
	Incomplete    int64 `json:"incomplete"` // requests whose tokens were not counted to the end

	Cost     float64 `json:"cost_usd"` // of the models that have a price
	Unpriced int64   `json:"unpriced"` // requests with tokens of a model that has none

	Duration   Percentiles `json:"duration"`
	FirstChunk Percentiles `json:"time_to_first_chunk"`
}

// Percentiles are in seconds, and off by at most 1/128 of their value; 0 where
// there was nothing to measure.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// Report sums up the requests that f selects. Rows of days and hours ascend,
// others have the most requests first. Days are those of zone; nil is UTC.
func (x *Index) Report(ctx context.Context, by By, f Filter, prices *price.Table, zone *time.Location) (*Report, error) {
	if zone == nil {
		zone = time.UTC
	}
	t := tally{by: by, filter: f, prices: prices, zone: zone, rows: make(map[string]*tallyRow), unpriced: make(map[string]bool)}
	w := wish{filter: f, byTool: by == ByTool}
	switch by {
	case ByDay:
		// A day can begin within an hour of UTC.
		w.whole = func(hour int64) bool {
			first, last := hourTime(hour, zone), hourTime(hour+1, zone).Add(-time.Microsecond)
			return first.YearDay() == last.YearDay()
		}
	case ByHour, ByModel, ByClient, ByTool:
	default:
		return nil, fmt.Errorf("making a report: there are no rows by %q", by)
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
	by       By
	filter   Filter
	prices   *price.Table
	zone     *time.Location
	rows     map[string]*tallyRow
	total    tallyRow
	unpriced map[string]bool
}

// tallyRow is a row with what it is computed from.
type tallyRow struct {
	Row
	sums sums
}

func (t *tally) take(p portion) {
	if p.tool == t.filter.Tool {
		t.add(&t.total, p)
	}
	if (t.by == ByTool) != (p.tool != "") && t.filter.Tool == "" {
		return
	}
	key, begin := t.key(p)
	row := t.rows[key]
	if row == nil && len(t.rows) >= maxRows {
		key = Other
		row = t.rows[key]
	}
	if row == nil {
		row = &tallyRow{Row: Row{Key: key, Start: begin}}
		t.rows[key] = row
	}
	t.add(row, p)
}

func (t *tally) key(p portion) (key string, begin time.Time) {
	const unnamed = "(none)"
	switch t.by {
	case ByDay:
		// The hour of a portion is whole, or the request's own time decides.
		year, month, day := time.UnixMicro(p.sums.first).In(t.zone).Date()
		begin = time.Date(year, month, day, 0, 0, 0, 0, t.zone)
		return begin.Format(time.DateOnly), begin
	case ByHour:
		begin = hourTime(p.hour, t.zone)
		return begin.Format("2006-01-02 15:04 -0700"), begin
	case ByModel:
		return cmp.Or(p.model, unnamed), begin
	case ByClient:
		return cmp.Or(p.client, unnamed), begin
	}
	return p.tool, begin
}

func (t *tally) add(row *tallyRow, p portion) {
	n := p.sums.requests
	row.Requests += n
	switch {
	case p.state == StateOpen:
		row.Open += n
	case p.state == StateInterrupted:
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
		cost, known := t.prices.Cost(p.model, usage)
		if !known {
			cost, known = t.prices.Cost(p.asked, usage)
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

func (t *tally) report(unindexed int64) *Report {
	r := &Report{By: t.by, Total: t.total.finish(), PricesOf: t.prices.AsOf.Format(time.DateOnly), Unindexed: unindexed}
	r.Total.Key = "total"
	rows := slices.Collect(maps.Values(t.rows))
	slices.SortFunc(rows, func(a, b *tallyRow) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Key, b.Key))
	})
	r.Rows = make([]Row, 0, len(rows))
	for _, row := range rows {
		r.Rows = append(r.Rows, row.finish())
	}
	r.Unpriced = slices.Sorted(maps.Keys(t.unpriced))
	return r
}

func (row *tallyRow) finish() Row {
	s := &row.sums
	row.Input, row.Output, row.Reasoning = s.input, s.output, s.reasoning
	row.CacheRead, row.CacheCreation, row.Incomplete = s.cacheRead, s.cacheCreation, s.incomplete
	row.Duration, row.FirstChunk = percentiles(s.duration), percentiles(s.firstChunk)
	return row.Row
}

func percentiles(h histogram) Percentiles {
	return Percentiles{P50: h.percentile(.50), P95: h.percentile(.95), P99: h.percentile(.99)}
}
