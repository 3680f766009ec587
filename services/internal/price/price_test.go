package price_test

import (
	"math"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/price"
)

func TestCost(t *testing.T) {
	table, err := price.Parse("prices.yaml", []byte(`
as_of: 2025-11-01
models:
  gpt-5: {input: 1.25, cache_read: 0.125, output: 10}
  gpt-5-mini: {input: 0.25, output: 2}
  claude-sonnet-4-5: {input: 3, cache_write: 3.75, cache_write_1h: 6, cache_read: 0.30, output: 15}
  long: {input: 1, output: 10, over: {tokens: 200000, input: 2, output: 15}, tiers: {flex: 0.5}}
  "mine*": {input: 1, output: 1}
  "mine-large*": {input: 2, output: 2}
`))
	if err != nil {
		t.Fatal(err)
	}
	million := proto.Usage{Input: 1_000_000, Output: 1_000_000}
	tests := []struct {
		name  string
		model string
		usage proto.Usage
		want  float64 // NaN for unknown
	}{
		{"by its name", "gpt-5", million, 11.25},
		{"the longer name", "gpt-5-mini", million, 2.25},
		{"with a date", "gpt-5-mini-2025-08-07", million, 2.25},
		{"with a date in one word", "gpt-5-mini@20250807", million, 2.25},
		{"the latest", "gpt-5-latest", million, 11.25},
		{"a version", "long-001", million, 17}, // of a long prompt
		{"another model that begins alike", "gpt-5-pro", million, math.NaN()},
		{"another one by a number", "claude-sonnet-4-5-1", million, math.NaN()},
		{"another price at a reseller", "openai/gpt-5:free", million, math.NaN()},
		{"tuned", "ft:gpt-5:mine::1", million, math.NaN()},
		{"a family", "mine-small-3", million, 2},
		{"the family with the longer name", "mine-large-3", million, 4},
		{"a short prompt", "long", proto.Usage{Input: 200_000, Output: 100_000}, .2 + 1},
		{"a long prompt", "long", proto.Usage{Input: 200_001, Output: 100_000}, .400002 + 1.5},
		{"a tier", "long", proto.Usage{Input: 100_000, ServiceTier: "flex"}, .05},
		{"an unknown tier", "long", proto.Usage{Input: 100_000, ServiceTier: "priority"}, math.NaN()},
		{"kept for an hour", "claude-sonnet-4-5", proto.Usage{Input: 1_000_000, CacheCreation: 1_000_000, CacheCreation1h: 400_000}, .6*3.75 + .4*6},
		{"without what another model used", "gpt-5", proto.Usage{Input: 1_500_000, Output: 1_000_000, OtherModels: []proto.ModelUsage{{Model: "x", Input: 500_000}}}, 11.25},
		{"with a provider", "openai/gpt-5", million, 11.25},
		{"a longer word is another model", "gpt-55", million, math.NaN()},
		{"unknown", "llama3:8b", million, math.NaN()},
		{"none", "", million, math.NaN()},
		{"cached tokens apart", "claude-sonnet-4-5-20250929", proto.Usage{Input: 1_000_000, CacheRead: 600_000, CacheCreation: 100_000, Output: 10_000}, .9 + .18 + .375 + .15},
		{"no price for the cache", "gpt-5-mini", proto.Usage{Input: 1_000_000, CacheRead: 1_000_000}, .25},
		{"contradictory counts", "gpt-5", proto.Usage{Input: 10, CacheRead: 1_000_000}, .125},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := table.Cost(tt.model, price.Band(tt.usage.Input), tt.usage)
			if ok == math.IsNaN(tt.want) || ok && math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("got %v, %t; want %v", got, ok, tt.want)
			}
		})
	}
}

func TestParseNamesEveryFault(t *testing.T) {
	_, err := price.Parse("mine.yaml", []byte("models:\n  a: {input: free, output: 1}\n  b: {input: 1}\n  c: {input: 1, output: -1}\n  d: {input: 1, output: 1, extra: 2}\n"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"as_of", "mine.yaml:2", "mine.yaml:3", "mine.yaml:4", "mine.yaml:5"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in: %v", want, err)
		}
	}
}

// What vendors asked for a million tokens each way on the table's date, of models that
// cost otherwise than those that they are called like.
func TestShippedPrices(t *testing.T) {
	table := price.Shipped()
	if table.AsOf.IsZero() {
		t.Error("no date")
	}
	million := proto.Usage{Input: 1_000_000, Output: 1_000_000}
	for model, want := range map[string]float64{
		"claude-opus-4-20250514": 90, "claude-opus-4-1-20250805": 90, "claude-opus-4-5-20251101": 30, "claude-opus-4-8": 30, "anthropic/claude-opus-4.5": 30,
		"gpt-5-2025-08-07": 11.25, "gpt-5-pro": 135, "o3": 10, "o3-pro": 100, "gpt-4o-2024-05-13": 20, "gpt-4o-2024-08-06": 12.5,
		"gemini-2.5-flash": 2.8, "gemini-2.5-flash-image": 30.3, "text-embedding-3-small": .02,
	} {
		if got, ok := table.Cost(model, 0, million); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, %t; want %v", model, got, ok, want)
		}
	}
	for _, model := range []string{"claude-opus-4-9", "gpt-5-ultra", "o3-next", "gpt-oss-120b", "llama3:8b", ""} {
		if p, ok := table.Of(model); ok {
			t.Errorf("%s has the price %+v", model, p)
		}
	}
}
