package index_test

import (
	"os"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/price"
)

// BenchmarkMillion takes in a million records, 500,000 requests over 90 days, and
// asks for what people ask for.
func BenchmarkMillion(b *testing.B) {
	if testing.Short() {
		b.Skip("takes half a minute")
	}
	const requests = 500_000
	x, path := open(b)
	b.Run("Add", func(b *testing.B) {
		if seq, _ := x.Position(); seq > 0 {
			b.Skip("the index is full")
		}
		var adding time.Duration
		synthesize(requests, func(batch []index.Record) {
			begun := time.Now()
			if err := x.Add(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			adding += time.Since(begun)
		})
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(2*requests/adding.Seconds(), "records/s")
		b.ReportMetric(float64(info.Size())/(2*requests), "B/record")
	})
	for _, by := range []audit.By{audit.ByDay, audit.ByModel, audit.ByTool, audit.ByHour} {
		b.Run("Report by "+string(by), func(b *testing.B) {
			for b.Loop() {
				if _, err := x.Report(b.Context(), by, audit.Filter{}, price.Shipped(), time.UTC); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Report of a day that no hour bounds", func(b *testing.B) {
		f := audit.Filter{Since: noon.Add(-25*time.Hour - 7*time.Minute), Until: noon.Add(-time.Hour - 7*time.Minute)}
		for b.Loop() {
			if _, err := x.Report(b.Context(), audit.ByModel, f, price.Shipped(), time.UTC); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Tools", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Tools(b.Context(), audit.Filter{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, f := range map[string]audit.Filter{
		"all": {}, "blocked": {Decision: "blocked"}, "a tool": {Tool: "mail"}, "nobody's": {Client: "nobody"}, "severe": {MinSeverity: 1}, "a rule": {Rule: "none"},
	} {
		b.Run("List the last 50 of "+name, func(b *testing.B) {
			for b.Loop() {
				for _, err := range x.List(b.Context(), f, audit.Order{Limit: 50}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
