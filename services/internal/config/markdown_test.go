package config_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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
	const golden = "testdata/settings.md"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
	}
}

type brokenPipe struct{}

var errBrokenPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBrokenPipe }

func TestMarkdownReportsWriteErrors(t *testing.T) {
	if err := config.Markdown(brokenPipe{}, []config.Group{{Title: "T"}}); !errors.Is(err, errBrokenPipe) {
		t.Errorf("got %v", err)
	}
}
