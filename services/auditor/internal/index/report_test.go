package index_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "time/tzdata"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/price"
)

func report(t *testing.T, x *index.Index, by audit.By, f audit.Filter) *audit.Report {
	t.Helper()
	r, err := x.Report(t.Context(), by, f, price.Shipped(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func prices(t *testing.T) *price.Table {
	t.Helper()
	table, err := price.Parse("prices.yaml", []byte("as_of: 2026-11-01\nmodels:\n  claude-sonnet-4-5: {input: 3, cache_read: 0.3, output: 15}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestReport(t *testing.T) {
	yesterday := noon.Add(-24 * time.Hour)
	x, _ := open(t)
	var l tape
	add := func(id string, at time.Time, change func(*proto.Audit)) {
		a := end(id, at)
		change(&a)
		l.add(t, start(id, at))
		l.add(t, a)
	}
	add("r1", yesterday, func(a *proto.Audit) { a.Duration = 1 })
	add("r2", noon, func(a *proto.Audit) {
		a.Decision, a.Duration = proto.DecisionBlocked, 3
		a.ToolCalls = []proto.ToolCall{{Name: "exec", Verdict: proto.DecisionAllowed}, {Name: "exec", Verdict: proto.DecisionBlocked}, {Name: "read"}}
	})
	add("r3", noon, func(a *proto.Audit) {
		a.Client, a.RequestModel, a.ResponseModel = "other", "llama3:8b", ""
		a.Usage = &proto.Usage{Input: 10, Output: 1}
		a.TimeToFirstChunk = 0
	})
	add("r4", noon, func(a *proto.Audit) { a.Decision, a.Usage = proto.DecisionRefused, nil })
	add("r5", noon, func(a *proto.Audit) {
		a.Decision = proto.DecisionFailed
		a.Usage = &proto.Usage{Input: 10, CacheRead: 1000, Complete: true} // contradicts itself
	})
	l.add(t, start("r6", noon.Add(-59*time.Minute)))
	l.add(t, start("r7", noon.Add(-61*time.Minute)))
	fill(t, x, l)

	r, err := x.Report(t.Context(), audit.ByDay, audit.Filter{}, prices(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	const full = (400*3 + 600*.3 + 100*15) / 1e6 // what r1 and r2 cost each
	want := audit.Row{
		Key: "total", Requests: 7, Allowed: 2, Blocked: 1, Refused: 1, Failed: 1, Interrupted: 1, Open: 1,
		Input: 2020, Output: 201, CacheRead: 2200, Reasoning: 20, Incomplete: 1,
		Cost: 2*full + 1000*.3/1e6, Unpriced: 1,
		Duration:   audit.Percentiles{P50: 2, P95: 3, P99: 3},
		FirstChunk: audit.Percentiles{P50: .5, P95: .5, P99: .5},
	}
	if !nearly(r.Total, want) {
		t.Errorf("total:\ngot  %+v\nwant %+v", r.Total, want)
	}
	if got := keys(r); got != "2026-11-21:1 2026-11-22:6" {
		t.Errorf("days: %s", got)
	}
	if !reflect.DeepEqual(r.Unpriced, []string{"llama3:8b"}) || r.PricesOf != "2026-11-01" {
		t.Errorf("unpriced %q by prices of %s", r.Unpriced, r.PricesOf)
	}
	tests := []struct {
		by     audit.By
		filter audit.Filter
		want   string
	}{
		{audit.ByModel, audit.Filter{}, "claude-sonnet-4-5-20250929:4 claude-sonnet-4-5:2 llama3:8b:1"},
		{audit.ByClient, audit.Filter{}, "agent:6 other:1"},
		{audit.ByTool, audit.Filter{}, "exec:1 read:1"},
		{audit.ByTool, audit.Filter{Tool: "read"}, "read:1"},
		{audit.ByTool, audit.Filter{Client: "other"}, ""},
		{audit.ByHour, audit.Filter{}, "2026-11-21 12:00 +0000:1 2026-11-22 10:00 +0000:1 2026-11-22 11:00 +0000:1 2026-11-22 12:00 +0000:4"},
		{audit.ByClient, audit.Filter{Interrupted: true}, "agent:1"},
		{audit.ByClient, audit.Filter{Decision: proto.DecisionBlocked}, "agent:1"},
		{audit.ByModel, audit.Filter{Model: "claude-sonnet-4-5"}, "claude-sonnet-4-5-20250929:4 claude-sonnet-4-5:2"},
		{audit.ByDay, audit.Filter{Until: noon}, "2026-11-21:1 2026-11-22:2"},
		{audit.ByDay, audit.Filter{Tool: "nothing"}, ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %+v", tt.by, tt.filter), func(t *testing.T) {
			if got := keys(report(t, x, tt.by, tt.filter)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := x.Report(t.Context(), "colour", audit.Filter{}, prices(t), nil); err == nil {
		t.Error("reported by colour")
	}
}

func keys(r *audit.Report) string {
	var words []string
	for _, row := range r.Rows {
		words = append(words, fmt.Sprintf("%s:%d", row.Key, row.Requests))
	}
	return strings.Join(words, " ")
}

// nearly allows for the percentiles' stated error, and that of adding money.
func nearly(got, want audit.Row) bool {
	for _, p := range [][2]audit.Percentiles{{got.Duration, want.Duration}, {got.FirstChunk, want.FirstChunk}} {
		for _, v := range [][2]float64{{p[0].P50, p[1].P50}, {p[0].P95, p[1].P95}, {p[0].P99, p[1].P99}} {
			if math.Abs(v[0]-v[1]) > v[1]/128 {
				return false
			}
		}
	}
	if math.Abs(got.Cost-want.Cost) > 1e-9 {
		return false
	}
	got.Cost, got.Duration, got.FirstChunk = want.Cost, want.Duration, want.FirstChunk
	return got == want
}

// scatter fills an index with requests over a month, and some without an end.
func scatter(t testing.TB, x *index.Index) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	var l tape
	for i := range 1000 {
		id := fmt.Sprintf("r%d", i)
		at := noon.Add(-time.Duration(random.Int64N(int64(30 * 24 * time.Hour))))
		a := end(id, at)
		a.Client, a.Provider, a.RequestModel = pick("agent", "other"), pick("anthropic", "openai"), pick("claude-sonnet-4-5", "llama3:8b")
		a.ResponseModel = pick("", a.RequestModel+"-20250929")
		a.Decision, a.Status = proto.Decision(pick("allowed", "blocked", "refused", "failed")), 200+random.IntN(3)
		a.Duration, a.TimeToFirstChunk = random.ExpFloat64(), float64(random.IntN(3))*random.ExpFloat64()
		a.Usage = &proto.Usage{Input: random.Int64N(1000), CacheRead: random.Int64N(1000), Output: random.Int64N(100), Complete: random.IntN(5) > 0}
		for range random.IntN(4) {
			a.ToolCalls = append(a.ToolCalls, proto.ToolCall{Name: pick("exec", "read", ""), Verdict: proto.Decision(pick("allowed", "blocked", ""))})
		}
		if random.IntN(10) > 0 {
			l.add(t, start(id, at))
		}
		if random.IntN(20) > 0 {
			l.add(t, a)
		}
		if len(l)%97 == 0 {
			fill(t, x, l)
		}
	}
	fill(t, x, l)
}

// The sums by hour and the requests themselves must tell the same story. Every id
// begins with r, but a filter by id cannot be answered from sums.
func TestSumsAgreeWithRequests(t *testing.T) {
	x, _ := open(t)
	scatter(t, x)
	howe, err := time.LoadLocation("Australia/Lord_Howe") // half an hour of summer time
	if err != nil {
		t.Fatal(err)
	}
	zones := []*time.Location{time.UTC, time.FixedZone("IST", 19800), howe}
	filters := []audit.Filter{
		{},
		{Since: noon.Add(-100 * time.Hour)},
		{Since: noon.Add(-100*time.Hour - time.Minute), Until: noon.Add(-50*time.Hour - 7*time.Nanosecond)},
		{Since: noon.Add(-100*time.Hour + time.Minute), Until: noon.Add(-100*time.Hour + 30*time.Minute)},
		{Since: noon.Add(-100 * time.Hour), Until: noon.Add(-100*time.Hour + 30*time.Minute)},
		{Since: noon, Until: noon.Add(-time.Hour)},
		{Model: "llama3:8b"},
		{Client: "agent", Provider: "openai", Status: 201},
		{Decision: proto.DecisionBlocked, Since: noon.Add(-9 * 24 * time.Hour)},
		{Tool: "exec"},
		{Tool: "unnamed", Client: "agent"},
		{Client: "nobody"},
	}
	for _, f := range filters {
		one := f
		one.IDPrefix = "r"
		for _, by := range []audit.By{audit.ByDay, audit.ByHour, audit.ByModel, audit.ByClient, audit.ByTool} {
			for i, zone := range zones {
				if i > 0 && by != audit.ByDay {
					continue // no row depends on the zone
				}
				t.Run(fmt.Sprintf("%s in %s %+v", by, zone, f), func(t *testing.T) {
					sums, err := x.Report(t.Context(), by, f, prices(t), zone)
					if err != nil {
						t.Fatal(err)
					}
					requests, err := x.Report(t.Context(), by, one, prices(t), zone)
					if err != nil {
						t.Fatal(err)
					}
					if keys(sums) != keys(requests) {
						t.Fatalf("rows:\n%s\n%s", keys(sums), keys(requests))
					}
					if !nearly(sums.Total, requests.Total) {
						t.Errorf("total:\n%+v\n%+v", sums.Total, requests.Total)
					}
					for i := range sums.Rows {
						if !nearly(sums.Rows[i], requests.Rows[i]) {
							t.Errorf("row:\n%+v\n%+v", sums.Rows[i], requests.Rows[i])
						}
					}
				})
			}
		}
		t.Run(fmt.Sprintf("tools %+v", f), func(t *testing.T) {
			sums, err := x.Tools(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			requests, err := x.Tools(t.Context(), one)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(sums, requests) {
				t.Errorf("\n%+v\n%+v", sums, requests)
			}
		})
	}
}

func TestTools(t *testing.T) {
	x, _ := open(t)
	var l tape
	first, last := noon.Add(-48*time.Hour), noon.Add(-time.Second)
	for i, at := range []time.Time{last, first} {
		a := end(fmt.Sprintf("r%d", i), at)
		a.ToolCalls = []proto.ToolCall{{Name: "exec", Verdict: proto.DecisionAllowed}, {Name: "exec", Verdict: proto.DecisionBlocked}, {Name: "exec"}}
		l.add(t, a)
	}
	other := end("r2", noon)
	other.Client, other.ToolCalls = "other", []proto.ToolCall{{Name: "exec", Verdict: proto.DecisionAllowed}}
	l.add(t, other)
	fill(t, x, l)
	got, err := x.Tools(t.Context(), audit.Filter{})
	want := []audit.ToolUse{
		{Tool: "exec", Client: "agent", Requests: 2, Calls: 6, Allowed: 2, Blocked: 2, First: first, Last: last},
		{Tool: "exec", Client: "other", Requests: 1, Calls: 1, Allowed: 1, First: noon, Last: noon},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestReportIsBounded(t *testing.T) {
	x, _ := open(t)
	var l tape
	const clients = 4200
	for i := range clients {
		a := end(fmt.Sprint("r", i), noon)
		a.Client = fmt.Sprint("client ", i)
		a.ToolCalls = []proto.ToolCall{{Name: "exec"}}
		l.add(t, a)
	}
	fill(t, x, l)
	r := report(t, x, audit.ByClient, audit.Filter{})
	if len(r.Rows) != 4097 || r.Rows[0].Key != audit.Other || r.Rows[0].Requests != clients-4096 || r.Total.Requests != clients {
		t.Errorf("%d rows, the first %+v, total %+v", len(r.Rows), r.Rows[0], r.Total)
	}
	uses, err := x.Tools(t.Context(), audit.Filter{})
	if err != nil || len(uses) != 4097 || uses[0].Client != audit.Other || uses[0].Calls != clients-4096 {
		t.Errorf("%d uses, the first %+v, %v", len(uses), uses[0], err)
	}
}
