// Package price tells what tokens cost. The prices that are shipped are generated from a
// table of which each row names its source, and the date on which that was read:
//
//	models.csv ─▶ gen ─▶ prices.yaml, or the file that LLM_PRICES names ─▶ Table ─▶ Cost
package price

//go:generate go run ./gen

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/yamlfile"
)

//go:embed prices.yaml
var shipped []byte

// Settings say which prices count.
type Settings struct {
	Path string `env:"LLM_PRICES" doc:"File of token prices by model; unset means those that are shipped, which have a date."`
}

// Validate implements the check that [config.Load] makes.
func (s Settings) Validate() error {
	_, err := s.Load()
	return err
}

// Load reads the prices that the settings name.
func (s Settings) Load() (*Table, error) {
	if s.Path == "" {
		return Shipped(), nil
	}
	data, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, config.Faultf("LLM_PRICES", "%w", err)
	}
	return Parse(filepath.Base(s.Path), data)
}

// Price is what a model's tokens cost.
type Price struct {
	Rates
	// Long are the rates of all tokens of a request whose prompt is longer than Over
	// tokens, which is one of [Bands]; Over is 0 if it does not matter how long one is.
	Over int64
	Long Rates
	// Tiers are what the rates are multiplied by in a tier of the provider's other than
	// the usual one.
	Tiers map[string]float64
}

// Rates are US dollars for a million tokens.
type Rates struct {
	Input, CacheRead, CacheWrite, CacheWrite1h, Output float64
}

// Bands are the lengths of prompts beyond which a provider may ask for more, ascending.
// Who sums up requests keeps those of different bands apart.
func Bands() []int64 { return []int64{100_000, 128_000, 200_000, 256_000, 272_000, 512_000} }

// Band is the greatest of [Bands] that a prompt of that many tokens is longer than; 0 if
// it is longer than none.
func Band(input int64) int64 {
	var band int64
	for _, b := range Bands() {
		if input > b {
			band = b
		}
	}
	return band
}

// Table are prices by model. It does not change.
type Table struct {
	AsOf     time.Time // when the latest of the prices was read off
	models   map[string]Price
	families map[string]Price // by what the names of their models begin with
}

// Shipped are the prices that this program was built with.
func Shipped() *Table {
	t, err := Parse("prices.yaml", shipped)
	if err != nil {
		panic(err) // a test reads the file
	}
	return t
}

// Parse reads a price file called name. The error is a [*config.Errors] with
// every fault and its place.
func Parse(name string, data []byte) (*Table, error) {
	t := &Table{models: make(map[string]Price), families: make(map[string]Price)}
	err := yamlfile.Parse(name, data, func(f *yamlfile.File, root yamlfile.Node) {
		f.Fields(root, map[string]func(yamlfile.Node){
			"as_of": func(n yamlfile.Node) { t.AsOf = yamlfile.Scalar(f, n, parseDate) },
			"models": func(n yamlfile.Node) {
				f.Each(n, func(_, value yamlfile.Node, model string) {
					if family, ok := strings.CutSuffix(model, "*"); ok {
						t.families[family] = parsePrice(f, value)
					} else {
						t.models[model] = parsePrice(f, value)
					}
				})
			},
		})
		if t.AsOf.IsZero() {
			f.Faultf(root, "has no as_of: prices without a date cannot be trusted")
		}
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func parseDate(text string) (time.Time, error) {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a date such as 2025-11-01", text)
	}
	return at, nil
}

func parsePrice(f *yamlfile.File, n yamlfile.Node) Price {
	var p Price
	fields, check := rates(f, n, &p.Rates)
	fields["over"] = func(n yamlfile.Node) {
		long, check := rates(f, n, &p.Long)
		long["tokens"] = func(n yamlfile.Node) { p.Over = yamlfile.Scalar(f, n, parseBand) }
		if f.Fields(n, long) {
			check()
		}
		if p.Over == 0 {
			f.Faultf(n, "does not say over how many tokens")
		}
	}
	fields["tiers"] = func(n yamlfile.Node) {
		p.Tiers = make(map[string]float64)
		f.Each(n, func(_, value yamlfile.Node, tier string) { p.Tiers[tier] = yamlfile.Scalar(f, value, parseNumber) })
	}
	if f.Fields(n, fields) {
		check()
	}
	return p
}

// rates are the fields that say what tokens cost, and a check that they say enough.
func rates(f *yamlfile.File, n yamlfile.Node, r *Rates) (fields map[string]func(yamlfile.Node), check func()) {
	given := make(map[string]bool)
	read := func(name string, to *float64) func(yamlfile.Node) {
		return func(n yamlfile.Node) {
			given[name] = true
			*to = yamlfile.Scalar(f, n, parseNumber)
		}
	}
	fields = map[string]func(yamlfile.Node){
		"input":          read("input", &r.Input),
		"cache_read":     read("cache_read", &r.CacheRead),
		"cache_write":    read("cache_write", &r.CacheWrite),
		"cache_write_1h": read("cache_write_1h", &r.CacheWrite1h),
		"output":         read("output", &r.Output),
	}
	return fields, func() {
		if !given["input"] || !given["output"] {
			f.Faultf(n, "lacks the price of input or of output")
		}
		if !given["cache_read"] {
			r.CacheRead = r.Input
		}
		if !given["cache_write"] {
			r.CacheWrite = r.Input
		}
		if !given["cache_write_1h"] {
			r.CacheWrite1h = r.CacheWrite
		}
	}
}

func parseNumber(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 1e6) {
		return 0, fmt.Errorf("%q is not a price in dollars for a million tokens", text)
	}
	return v, nil
}

func parseBand(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !slices.Contains(Bands(), n) {
		return 0, fmt.Errorf("%q is not one of %d", text, Bands())
	}
	return n, nil
}

// version is what a provider appends to a model's name for one version of it, which
// costs the same: a date, a number, or that it is the latest.
var version = regexp.MustCompile(`(?:[-@]20\d{6}|[-@]20\d\d-\d\d-\d\d|-00\d|-latest)$`)

// Of returns the price of a model: that of its name, or else of its name without the
// date of its version, or else of the family (a name with an asterisk) with the longest
// name that the model's begins with. A provider's prefix, such as anthropic/, does not
// count. Any other name is another model: nothing is guessed from what is alike.
func (t *Table) Of(model string) (Price, bool) {
	if i := strings.LastIndexByte(model, '/'); i >= 0 {
		model = model[i+1:]
	}
	for _, name := range []string{model, version.ReplaceAllString(model, "")} {
		if p, ok := t.models[name]; ok {
			return p, true
		}
	}
	longest, found := "", false
	for family := range t.families {
		if strings.HasPrefix(model, family) && (!found || len(family) > len(longest)) {
			longest, found = family, true
		}
	}
	return t.families[longest], found
}

// Cost is what u costs, in US dollars, if the prompts are of that [Band]; false if there
// is no price of the model, or of the tier that has served it. What other models have
// used is not part of it.
func (t *Table) Cost(model string, band int64, u proto.Usage) (float64, bool) {
	p, ok := t.Of(model)
	if !ok {
		return 0, false
	}
	factor := 1.0
	if u.ServiceTier != "" {
		if factor, ok = p.Tiers[u.ServiceTier]; !ok {
			return 0, false
		}
	}
	r := p.Rates
	if p.Over > 0 && band >= p.Over {
		r = p.Long
	}
	for _, other := range u.OtherModels {
		u.Input, u.Output = u.Input-other.Input, u.Output-other.Output
		u.CacheRead, u.CacheCreation, u.CacheCreation1h = u.CacheRead-other.CacheRead, u.CacheCreation-other.CacheCreation, u.CacheCreation1h-other.CacheCreation1h
	}
	fresh := max(u.Input-u.CacheRead-u.CacheCreation, 0)
	hour := min(u.CacheCreation1h, u.CacheCreation)
	return factor * (float64(fresh)*r.Input + float64(u.CacheRead)*r.CacheRead +
		float64(u.CacheCreation-hour)*r.CacheWrite + float64(hour)*r.CacheWrite1h + float64(u.Output)*r.Output) / 1e6, true
}
