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
  claude-sonnet-4-5: {input: 3, cache_write: 3.75, cache_read: 0.30, output: 15}
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
			got, ok := table.Cost(tt.model, tt.usage)
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

func TestShippedPricesAreReadable(t *testing.T) {
	table := price.Shipped()
	if table.AsOf.IsZero() {
		t.Error("no date")
	}
	for _, model := range []string{"claude-sonnet-4-5-20250929", "gpt-5-mini-2025-08-07", "gemini-2.5-flash-lite"} {
		if p, ok := table.Of(model); !ok || p.Input <= 0 || p.CacheRead >= p.Input || p.Output <= p.Input {
			t.Errorf("%s: %+v, %t", model, p, ok)
		}
	}
}
