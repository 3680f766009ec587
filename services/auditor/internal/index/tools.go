package index

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ToolUse is how a client's requests have called a tool.
type ToolUse struct {
	Tool     string    `json:"tool"`
	Client   string    `json:"client"`
	Requests int64     `json:"requests"` // that called it
	Calls    int64     `json:"calls"`
	Allowed  int64     `json:"allowed"` // of the calls; the rest of them has no verdict
	Blocked  int64     `json:"blocked"` // of the calls
	First    time.Time `json:"first"`   // request that called it
	Last     time.Time `json:"last"`    // request that called it
}

// Tools tells which tools were called in the requests that f selects, those with
// the most calls first. Beyond 4096 pairs of tool and client the rest is one
// entry, with [Other] for both.
func (x *Index) Tools(ctx context.Context, f Filter) ([]ToolUse, error) {
	type pair struct{ tool, client string }
	uses := make(map[pair]*ToolUse)
	_, err := x.sumUp(ctx, wish{filter: f, byTool: true}, func(p portion) {
		if p.tool == "" {
			return
		}
		key := pair{p.tool, p.client}
		if uses[key] == nil && len(uses) >= maxRows {
			key = pair{Other, Other}
		}
		u := uses[key]
		first, last := time.UnixMicro(p.sums.first).UTC(), time.UnixMicro(p.sums.last).UTC()
		if u == nil {
			u = &ToolUse{Tool: key.tool, Client: key.client, First: first, Last: last}
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
	all := make([]ToolUse, 0, len(uses))
	for _, u := range slices.SortedFunc(maps.Values(uses), func(a, b *ToolUse) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Client, b.Client))
	}) {
		all = append(all, *u)
	}
	return all, nil
}
