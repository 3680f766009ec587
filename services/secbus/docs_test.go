package main

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md instead of checking it")

const (
	configurationDoc = "../../docs/configuration.md"
	exampleFile      = "../../.env.security.example"
)

//go:generate go test . -run ^TestConfigurationDoc$ -update

func TestConfigurationDoc(t *testing.T) {
	var want bytes.Buffer
	want.WriteString(`<!-- Generated from the Go types by "make generate"; do not edit. -->

# Configuration

Everything is set through the environment. An empty value counts as unset. A secret can be given as the path of a file that
holds it, in the variable with ` + "`_FILE`" + ` at the end. All faults are reported at once, and a variable that looks like one of these
and is none is warned of. [.env.security.example](../.env.security.example) is a file to begin with.

`)
	if err := config.Markdown(&want, settingGroups()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(configurationDoc, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(configurationDoc)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want.Bytes()) {
		t.Error("docs/configuration.md is not what the types say; run make generate")
	}
}

// TestStackKeysAreComplete: a program must not take another's setting for a
// misspelt one of its own.
func TestStackKeysAreComplete(t *testing.T) {
	var want, have []string
	for _, group := range settingGroups() {
		for _, key := range group.Keys {
			want = append(want, key.Names()...)
		}
	}
	for _, key := range config.StackKeys() {
		have = append(have, key.Name)
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(slices.Compact(want), have) {
		t.Errorf("config.StackKeys lists\n%s\nwhile the settings are\n%s", have, want)
	}
}

// TestExampleFileLoads reads the shipped example as a user would who has removed
// the comment sign before every setting.
func TestExampleFileLoads(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, group := range settingGroups() {
		for _, key := range group.Keys {
			known[key.Name] = true
		}
	}
	var environ []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		key, _, isSetting := strings.Cut(line, "=")
		if !isSetting || strings.ContainsAny(key, " `") {
			continue
		}
		if !known[key] {
			t.Errorf("the example sets %s, which is no setting", key)
		}
		environ = append(environ, line)
	}
	if len(environ) < 10 {
		t.Fatalf("the example has only %d settings", len(environ))
	}
	if _, err := loadUp(environ); err != nil {
		t.Error(err)
	}
}
