package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/auditor"
	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/service"
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
	text, err := os.ReadFile("../../../deploy/compose/compose.yaml")
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
	retention := config.Keys(Retention{})
	for _, name := range []string{"security-keys", "security-provision"} {
		for _, key := range retention {
			if _, given := file.Services[name].Environment[key.Name]; !given {
				t.Errorf("%s is not given %s", name, key.Name)
			}
		}
	}
}

// interpolation is a variable in a value of compose.yaml: what stands in its place
// without it (:-) or with it (:+).
var interpolation = regexp.MustCompile(`[$]{([A-Z_]+)(:[-+])([^{}]*)}`)

// interpolate is what compose makes of a value, given a service's settings. It knows
// no more than the setting that the value is for.
func interpolate(t *testing.T, key config.Key, value string, environ []string) string {
	t.Helper()
	if rest := interpolation.ReplaceAllString(value, ""); rest != "" {
		t.Fatalf("%s: %q in its value is nothing that this test understands", key.Name, rest)
	}
	return interpolation.ReplaceAllStringFunc(value, func(one string) string {
		parts := interpolation.FindStringSubmatch(one)
		if !slices.Contains(key.Names(), parts[1]) {
			t.Fatalf("%s is made of %s", key.Name, parts[1])
		}
		set := config.Lookup(environ, parts[1])
		if (parts[2] == ":+") == (set != "") {
			return parts[3]
		}
		return set
	})
}

// TestComposePlansWhatServicesUse: what makes the keys, streams and durables of the
// stack is given, under x-plan, every setting that decides which of them there are;
// otherwise a sink or a source that is configured would find no rights and no
// durables. Compared is what follows from all settings of the example at once.
func TestComposePlansWhatServicesUse(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Plan map[string]*string `yaml:"x-plan"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	layout := func(environ []string) string {
		t.Helper()
		l, err := services.Layout(service.NewDeployment(environ))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := json.MarshalIndent(l, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(shown)
	}
	example := exampleEnviron(t)
	keys := allKeys(services.All())
	plan := func(environ []string) (planned []string) {
		for name, value := range file.Plan {
			key := config.Key{Name: name}
			if i := slices.IndexFunc(keys, func(k config.Key) bool { return k.Name == name }); i >= 0 {
				key = keys[i]
			}
			set := config.Lookup(environ, name)
			if value != nil {
				set = interpolate(t, key, *value, environ)
			}
			planned = append(planned, name+"="+set)
		}
		return planned
	}
	want := layout(example)
	if got := layout(plan(example)); got != want {
		t.Errorf("the keys and durables of the stack are planned as\n%s\nand its services use\n%s", got, want)
	}
	// A secret in a file is as good, though the plan is not given the file.
	inFiles := slices.Clone(example)
	for _, key := range keys {
		if set := config.Lookup(example, key.Name); key.Secret && set != "" {
			inFiles = append(inFiles, key.Name+"=", key.Name+"_FILE=/secret")
		}
	}
	if got := layout(plan(inFiles)); got != want {
		t.Errorf("with secrets in files, the keys and durables of the stack are planned as\n%s\nand its services use\n%s", got, want)
	}
	// The example makes use of every sink, so that none escapes the comparison.
	for _, group := range notifier.Spec().Settings[1:] {
		without := slices.Clone(example)
		for _, key := range group.Keys {
			without = append(without, key.Name+"=")
		}
		if layout(without) == want {
			t.Errorf("the example configures no sink of the kind %s", group.Title)
		}
	}
}

// variable is one that compose takes from .env.security.
var variable = regexp.MustCompile(`[$]{([A-Z_]+)`)

// TestComposeVariablesAreDocumented: every variable that compose reads is a setting that
// docs/configuration.md lists.
func TestComposeVariablesAreDocumented(t *testing.T) {
	known := []string{"SECURITY_BUILD", "SECURITY_REVISION", "SOURCE_DATE_EPOCH"} // of make images
	for _, key := range allKeys(services.All()) {
		known = append(known, key.Names()...)
	}
	files, err := filepath.Glob("../../../deploy/compose/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../../deploy/compose/monitoring/compose.yaml") {
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
