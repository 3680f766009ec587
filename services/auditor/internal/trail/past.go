package trail

import (
	"context"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/price"
)

// Past asks the index what a watch that begins now has to know: which tools were
// called, and what the hours before now used. The index goes by the requests' own
// time, so that an hour can differ by the requests that took longer than it.
func Past(ctx context.Context, x *index.Index, now time.Time) (State, error) {
	var past State
	uses, err := x.Tools(ctx, index.Filter{})
	if err != nil {
		return State{}, fmt.Errorf("restoring the watch: %w", err)
	}
	for _, u := range uses {
		if u.Tool != index.Other {
			past.Uses = append(past.Uses, Use{Client: u.Client, Tool: u.Tool, Last: u.Last})
		}
	}
	for r, err := range x.List(ctx, index.Filter{}, index.Order{OldestFirst: true, Limit: 1}) {
		if err != nil {
			return State{}, fmt.Errorf("restoring the watch: %w", err)
		}
		past.First = r.Time
	}
	all, err := x.Report(ctx, index.ByClient, index.Filter{}, new(price.Table), nil)
	if err != nil {
		return State{}, fmt.Errorf("restoring the watch: %w", err)
	}
	past.Requests = all.Total.Requests - all.Total.Open - all.Total.Interrupted
	// A request that claims to be of the future would make all hours old.
	recent, err := x.Report(ctx, index.ByHour, index.Filter{Since: now.Add(-BurstWindow).Truncate(time.Hour), Until: now}, new(price.Table), nil)
	if err != nil {
		return State{}, fmt.Errorf("restoring the watch: %w", err)
	}
	past.Hours = make(map[time.Time]int64, len(recent.Rows))
	for _, row := range recent.Rows {
		past.Hours[row.Start] = row.Input + row.Output
	}
	return past, nil
}
