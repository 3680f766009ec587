package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/openclaw-security/bus/services/auditor"
	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/shipper"
)

// Settings that a container is not given by name: a file of a secret is what
// compose's own secrets are for, and the others are what the image decides.
var notInCompose = []string{
	"NATS_NKEY_SEED",  // the seed is in a file
	"SHIPPER_MAPPING", // for a source of one's own, docs/mappings.md
	"AUDIT_KEY_FILE",  // in AUDIT_DIR
}

// TestComposePassesEverySetting: what stands in .env.security has its effect in
// the container that reads it, without every secret being in every container.
func TestComposePassesEverySetting(t *testing.T) {
	text, err := os.ReadFile("../../deploy/compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	common := append(config.Keys(config.Log{}), config.Keys(config.Admin{})...)
	for name, keys := range map[string][]config.Key{
		"security-shipper-suricata": config.Keys(shipper.Config{}),
		"security-shipper-tracee":   config.Keys(shipper.Config{}),
		"security-llm-proxy":        config.Keys(proxy.Config{}),
		"security-notifier":         config.Keys(notifier.Config{}),
		"security-auditor":          config.Keys(auditor.Config{}),
		"security-guard":            config.Keys(guardstub.Config{}),
	} {
		environment := file.Services[name].Environment
		known := []string{"GOMEMLIMIT"} // Go's own: collect rather than be killed
		for _, key := range append(keys, common...) {
			known = append(known, key.Names()...)
			given := false
			for _, n := range key.Names() {
				_, has := environment[n]
				given = given || has
			}
			// The address of a sensor's metrics is that sensor's alone.
			alien := key.Name == "TRACEE_METRICS_URL" && strings.HasSuffix(name, "-suricata")
			if !given && !alien && !slices.Contains(notInCompose, key.Name) {
				t.Errorf("%s is not given %s", name, key.Name)
			}
		}
		for key := range environment {
			if !slices.Contains(known, key) {
				t.Errorf("%s is given %s, which it does not read", name, key)
			}
		}
	}
	retention := config.Keys(config.Retention{})
	for _, name := range []string{"security-keys", "security-provision"} {
		for _, key := range retention {
			if _, given := file.Services[name].Environment[key.Name]; !given {
				t.Errorf("%s is not given %s", name, key.Name)
			}
		}
	}
}

// variable is one that compose takes from .env.security.
var variable = regexp.MustCompile(`[$]{([A-Z_]+)`)

// TestComposeVariablesAreDocumented: whatever compose reads is a setting that
// docs/configuration.md lists.
func TestComposeVariablesAreDocumented(t *testing.T) {
	known := []string{"SECURITY_BUILD", "SECURITY_REVISION", "SOURCE_DATE_EPOCH"} // of make images
	for _, key := range config.StackKeys() {
		known = append(known, key.Name)
	}
	files, err := filepath.Glob("../../deploy/compose/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../deploy/compose/monitoring/compose.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range variable.FindAllSubmatch(text, -1) {
			if !slices.Contains(known, string(match[1])) {
				t.Errorf("%s: %s is not documented", file, match[1])
			}
		}
	}
}
