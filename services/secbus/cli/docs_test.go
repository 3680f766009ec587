package cli

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/golden"
)

const (
	configurationDoc = "../../../docs/configuration.md"
	exampleFile      = "../../../.env.security.example"
)

//go:generate go test . -run "^Test(ConfigurationDoc|KnownSettings)$" -update

func TestConfigurationDoc(t *testing.T) {
	var want bytes.Buffer
	want.WriteString(`<!-- Generated from the Go types by "make generate"; do not edit. -->

# Configuration

Everything is set through the environment. An empty value counts as unset. A secret can be given as the path of a file that
holds it, in the variable with ` + "`_FILE`" + ` at the end. All faults are reported at once, and a variable that looks like one of these
and is none is warned of. [.env.security.example](../.env.security.example) is a file to begin with.

`)
	if err := config.Markdown(&want, settingGroups(services.All())); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, configurationDoc, want.Bytes())
}

// TestKnownSettings: a program must not take another's setting for a misspelled
// one of its own, and cannot ask the table of services, which would link them all.
func TestKnownSettings(t *testing.T) {
	var names []string
	for _, key := range allKeys(services.All()) {
		names = append(names, key.Names()...)
	}
	slices.Sort(names)
	golden.Compare(t, "../../internal/config/known.txt", []byte(strings.Join(slices.Compact(names), "\n")+"\n"))
}

// exampleEnviron are the settings of the shipped example as a user would have
// them who has removed the comment sign before every one.
func exampleEnviron(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var environ []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		if key, _, isSetting := strings.Cut(line, "="); isSetting && !strings.ContainsAny(key, " `") {
			environ = append(environ, line)
		}
	}
	if len(environ) < 10 {
		t.Fatalf("the example has only %d settings", len(environ))
	}
	return environ
}

// TestExampleFileLoads: the shipped example has settings only, and services accept
// its values.
func TestExampleFileLoads(t *testing.T) {
	known := make(map[string]bool)
	for _, group := range settingGroups(services.All()) {
		for _, key := range group.Keys {
			known[key.Name] = true
		}
	}
	environ := exampleEnviron(t)
	for _, line := range environ {
		if key, _, _ := strings.Cut(line, "="); !known[key] {
			t.Errorf("the example sets %s, which is no setting", key)
		}
	}
	d := service.NewDeployment(environ)
	for _, spec := range services.All() {
		if spec.Embed != nil {
			if _, err := spec.Embed(d); err != nil {
				t.Errorf("%s: %v", spec.Name, err)
			}
		}
	}
	if _, err := services.Layout(d); err != nil {
		t.Error(err)
	}
}
