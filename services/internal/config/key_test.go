package config_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/testing/golden"
)

func TestKeys(t *testing.T) {
	var cfg struct {
		sample
		Sample sample
		Again  nested
	}
	want := []config.Key{
		{Name: "SAMPLE_PATH", Type: "string", Required: true, Doc: "File to follow."},
		{Name: "SAMPLE_COUNT", Type: "int", Default: "3"},
		{Name: "SAMPLE_SMALL", Type: "int"},
		{Name: "SAMPLE_RATIO", Type: "float", Default: "0.5"},
		{Name: "SAMPLE_ON", Type: "bool"},
		{Name: "SAMPLE_WAIT", Type: "duration", Default: "30s"},
		{Name: "SAMPLE_PORTS", Type: "list of int", Default: "1,2"},
		{Name: "SAMPLE_PEER", Type: "addrport"},
		{Name: "SAMPLE_LABEL", Type: "string", Default: "on $SAMPLE_HOST"},
		{Name: "SAMPLE_TOKEN", Type: "secret", Secret: true},
		{Name: "SAMPLE_LOW", Type: "int"},
		{Name: "SAMPLE_HIGH", Type: "int", Default: "9"},
	}
	for name, dst := range map[string]any{"value": cfg, "pointer": &cfg} {
		if got := config.Keys(dst); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
}

// table lists settings that its type does not know.
type table struct{ all []any }

func (t *table) Structs() []any {
	if t.all == nil {
		t.all = []any{new(nested), new(sample)}
	}
	return t.all
}

func TestTable(t *testing.T) {
	var cfg struct{ Sinks table }
	names := func() (all []string) {
		for _, k := range config.Keys(cfg) {
			all = append(all, k.Name)
		}
		return all
	}
	if got := names(); len(got) < 3 || got[0] != "SAMPLE_LOW" || got[2] != "SAMPLE_PATH" {
		t.Errorf("keys %v", got)
	}
	if err := config.Load(&cfg, []string{"SAMPLE_LOW=10", "SAMPLE_PATH=x"}); err == nil || !strings.Contains(err.Error(), "SAMPLE_LOW: 10 is above") {
		t.Errorf("a fault in a table: %v", err)
	}
	if err := config.Load(&cfg, []string{"SAMPLE_LOW=5", "SAMPLE_PATH=x"}); err != nil || cfg.Sinks.all[0].(*nested).Low != 5 {
		t.Errorf("got %+v, %v", cfg.Sinks.all[0], err)
	}
}

func TestMarkdown(t *testing.T) {
	groups := []config.Group{
		{Title: "Bus", Intro: "How to reach it.\n", Keys: config.Keys(config.NATS{})},
		{Title: "Escapes", Keys: []config.Key{
			{Name: "SAMPLE_MODE", Type: "string", Default: "a|b", Doc: "Either `a|b` or\nc | d."},
			{Name: "SAMPLE_PATH", Type: "string", Required: true, Doc: "File to follow."},
		}},
	}
	var got bytes.Buffer
	if err := config.Markdown(&got, groups); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/settings.md", got.Bytes())
}

type brokenPipe struct{}

var errBrokenPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBrokenPipe }

func TestMarkdownReportsWriteErrors(t *testing.T) {
	if err := config.Markdown(brokenPipe{}, []config.Group{{Title: "T"}}); !errors.Is(err, errBrokenPipe) {
		t.Errorf("got %v", err)
	}
}
