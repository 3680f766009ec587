// Package price tells what tokens cost.
package price

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
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

// Price is what a model's tokens cost, in US dollars for a million.
type Price struct {
	Input, CacheRead, CacheWrite, Output float64
}

// Table are prices by model. It does not change.
type Table struct {
	AsOf   time.Time // when the prices were read off
	models map[string]Price
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
	t := &Table{models: make(map[string]Price)}
	err := yamlfile.Parse(name, data, func(f *yamlfile.File, root yamlfile.Node) {
		f.Fields(root, map[string]func(yamlfile.Node){
			"as_of": func(n yamlfile.Node) { t.AsOf = yamlfile.Scalar(f, n, parseDate) },
			"models": func(n yamlfile.Node) {
				f.Each(n, func(_, value yamlfile.Node, model string) { t.models[model] = parsePrice(f, value) })
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
		return time.Time{}, fmt.Errorf("%q is no date such as 2025-11-01", text)
	}
	return at, nil
}

func parsePrice(f *yamlfile.File, n yamlfile.Node) Price {
	var p Price
	given := make(map[string]bool)
	read := func(name string, to *float64) func(yamlfile.Node) {
		return func(n yamlfile.Node) {
			given[name] = true
			*to = yamlfile.Scalar(f, n, func(text string) (float64, error) {
				v, err := strconv.ParseFloat(text, 64)
				if err != nil || !(v >= 0 && v <= 1e6) {
					return 0, fmt.Errorf("%q is no price in dollars for a million tokens", text)
				}
				return v, nil
			})
		}
	}
	if !f.Fields(n, map[string]func(yamlfile.Node){
		"input":       read("input", &p.Input),
		"cache_read":  read("cache_read", &p.CacheRead),
		"cache_write": read("cache_write", &p.CacheWrite),
		"output":      read("output", &p.Output),
	}) {
		return p
	}
	if !given["input"] || !given["output"] {
		f.Faultf(n, "lacks the price of input or of output")
	}
	if !given["cache_read"] {
		p.CacheRead = p.Input
	}
	if !given["cache_write"] {
		p.CacheWrite = p.Input
	}
	return p
}

// Of returns the price of a model: that of the longest name in the table that
// the model's begins with, where a word of it ends. A provider's prefix, such as
// anthropic/, does not count.
func (t *Table) Of(model string) (Price, bool) {
	if i := strings.LastIndexByte(model, '/'); i >= 0 {
		model = model[i+1:]
	}
	for name := model; name != ""; {
		if p, ok := t.models[name]; ok {
			return p, true
		}
		i := strings.LastIndexAny(name, "-:@")
		if i < 0 {
			break
		}
		name = name[:i]
	}
	return Price{}, false
}

// Cost is what u costs, in US dollars; false if the model has no price.
func (t *Table) Cost(model string, u proto.Usage) (float64, bool) {
	p, ok := t.Of(model)
	if !ok {
		return 0, false
	}
	fresh := max(u.Input-u.CacheRead-u.CacheCreation, 0)
	return (float64(fresh)*p.Input + float64(u.CacheRead)*p.CacheRead +
		float64(u.CacheCreation)*p.CacheWrite + float64(u.Output)*p.Output) / 1e6, true
}
