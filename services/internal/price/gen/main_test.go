package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// The prices that are shipped are those of the table.
func TestGenerated(t *testing.T) {
	table, err := os.ReadFile("../models.csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parse(table)
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile("../prices.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(render(rows), shipped) {
		t.Error("prices.yaml is not what models.csv says: run go generate ./services/internal/price")
	}
}

func line(change ...string) []byte {
	fields := map[string]string{"provider": "p", "names": "a b", "input": "2", "output": "8", "checked": "2026-11-30", "source": "https://example.com/prices"}
	for i := 0; i+1 < len(change); i += 2 {
		fields[change[i]] = change[i+1]
	}
	var values []string
	for _, name := range columns {
		values = append(values, fields[name])
	}
	return []byte(strings.Join(columns, ",") + "\n" + strings.Join(values, ",") + "\n")
}

func TestRender(t *testing.T) {
	rows, err := parse(line("cache_read", "0.2", "over", "200000", "over_input", "4", "over_output", "12", "tiers", "flex=0.5 fast=2", "note", "as images"))
	if err != nil {
		t.Fatal(err)
	}
	const price = "{input: 2, cache_read: 0.2, output: 8, over: {tokens: 200000, input: 4, output: 12}, tiers: {flex: 0.5, fast: 2}}"
	want := header + "as_of: 2026-11-30\nmodels:\n  # https://example.com/prices (2026-11-30)\n  # as images\n  a: " + price + "\n  b: " + price + "\n"
	if got := string(render(rows)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRowsThatNobodyCanCheck(t *testing.T) {
	for name, change := range map[string][]string{
		"no source":          {"source", ""},
		"no address":         {"source", "a friend"},
		"no date":            {"checked", "lately"},
		"no names":           {"names", ""},
		"a name twice":       {"names", "a a"},
		"no output":          {"output", ""},
		"no price":           {"cache_read", "cheap"},
		"over without price": {"over", "200000"},
		"price without over": {"over_input", "1", "over_output", "1"},
	} {
		if _, err := parse(line(change...)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDiffer(t *testing.T) {
	rows, err := parse(line("cache_read", "0.2"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := differ(rows, []byte(`{"sample_spec":{"input_cost_per_token":1},
		"a-2026-01-02":{"litellm_provider":"openai","input_cost_per_token":2e-6,"output_cost_per_token":8e-6,"cache_read_input_token_cost":3e-7},
		"gemini/b":{"litellm_provider":"gemini","input_cost_per_token":2e-6,"output_cost_per_token":8e-6},
		"c":{"litellm_provider":"openai","input_cost_per_token":2e-6},"d":{"litellm_provider":"bedrock","input_cost_per_token":2e-6}}`))
	want := []string{`a-2026-01-02: cache_read is "0.2" here, 0.3 there`, "c: is not in the table"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}
