package guardstub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

// load is the Config that an environment makes.
func load(t *testing.T, environ ...string) Config {
	t.Helper()
	var cfg Config
	if err := config.Load(&cfg, environ); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	if cfg := load(t); cfg.Addr != "127.0.0.1:8000" || cfg.MaxBody != 8<<20 || cfg.Concurrency != 8 {
		t.Errorf("got %+v", cfg)
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(rules, []byte("rules:\n  - id: a\n    score: 2\n    colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var cfg Config
	err := config.Load(&cfg, []string{
		"GUARD_STUB_ADDR=localhost:http",
		"GUARD_STUB_RULES=" + rules,
		"GUARD_STUB_MAX_BODY=5",
		"GUARD_STUB_CONCURRENCY=0",
	})
	var all *config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, f := range all.Faults {
		got = append(got, f.Error())
	}
	want := []string{
		`own.yaml:3:12: rules[0].score: "2" is not a number above 0 and up to 1`,
		`own.yaml:4:5: rules[0].colour: unknown key "colour"`,
		`GUARD_STUB_ADDR: "localhost:http" has no port from 0 to 65535`,
		`GUARD_STUB_MAX_BODY: 5 is not between 1024 and 67108864`,
		`GUARD_STUB_CONCURRENCY: 0 is not between 1 and 1024`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := config.Load(&cfg, []string{"GUARD_STUB_ADDR=8000"}); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("got %v", err)
	}
}
