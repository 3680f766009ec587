// Package monitoring_test checks what Prometheus and Grafana are given: that every
// metric that they ask for is one that a service has, that every alert says what
// to do and is tested, and that the dashboard can be shown.
package monitoring_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestRulesAskForMetricsThatExist(t *testing.T) {
	known := metrics(t)
	for _, r := range alertRules(t) {
		for _, fault := range unknownMetrics(r.Expr, known) {
			t.Errorf("alert %s: %s", r.Alert, fault)
		}
	}
}

func TestDashboardAsksForMetricsThatExist(t *testing.T) {
	known := metrics(t)
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			for _, fault := range unknownMetrics(target.Expr, known) {
				t.Errorf("panel %q: %s", p.Title, fault)
			}
		}
	}
}

func TestAlertsSayWhatToDo(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range alertRules(t) {
		if seen[r.Alert] {
			t.Errorf("alert %s is there twice", r.Alert)
		}
		seen[r.Alert] = true
		if severity := r.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("alert %s has severity %q, want critical or warning", r.Alert, severity)
		}
		for _, name := range []string{"summary", "description"} {
			if strings.TrimSpace(r.Annotations[name]) == "" {
				t.Errorf("alert %s has no %s", r.Alert, name)
			}
		}
	}
}

// TestAlertsAreTested wants two questions about each alert: one at which it
// fires, and one at which it does not.
func TestAlertsAreTested(t *testing.T) {
	fires, rests := make(map[string]bool), make(map[string]bool)
	asked := regexp.MustCompile(`^ALERTS\{alertname="(\w+)", alertstate="firing"\}$`)
	for _, test := range ruleTests(t) {
		for _, question := range test.Questions {
			m := asked.FindStringSubmatch(question.Expr)
			if m == nil {
				t.Errorf("test %s asks for %s, which this test does not understand", test.Name, question.Expr)
				continue
			}
			if m[1] != test.Name {
				t.Errorf("test %s asks for alert %s", test.Name, m[1])
			}
			if len(question.Samples) > 0 {
				fires[m[1]] = true
			} else {
				rests[m[1]] = true
			}
		}
	}
	for _, r := range alertRules(t) {
		if !fires[r.Alert] {
			t.Errorf("no test has alert %s fire", r.Alert)
		}
		if !rests[r.Alert] {
			t.Errorf("no test has alert %s not fire", r.Alert)
		}
	}
}

func TestPromtoolAccepts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("promtool is not installed: rules and their tests were read, not run")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "alerts.yml"},
		{"test", "rules", "alerts_test.yml"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestTargetsGetTheirNames applies the relabelling of prometheus.yml as
// Prometheus does.
func TestTargetsGetTheirNames(t *testing.T) {
	var file struct {
		Scrapes []struct {
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
			Relabel []struct {
				Source []string `yaml:"source_labels"`
				Regex  string   `yaml:"regex"`
				Target string   `yaml:"target_label"`
			} `yaml:"relabel_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "prometheus.yml", &file)
	if len(file.Scrapes) != 1 || len(file.Scrapes[0].Static) != 1 {
		t.Fatal("want one job with one list of targets")
	}
	job := file.Scrapes[0]
	var got []string
	for _, address := range job.Static[0].Targets {
		labels := map[string]string{"__address__": address}
		for _, r := range job.Relabel {
			value := labels[r.Source[0]]
			if r.Regex != "" {
				whole := regexp.MustCompile("^(?:" + r.Regex + ")$")
				if !whole.MatchString(value) {
					continue
				}
				value = whole.ReplaceAllString(value, "$1")
			}
			labels[r.Target] = value
		}
		if labels["service"] != labels["instance"] {
			t.Errorf("%s: service %q, instance %q, want the same", address, labels["service"], labels["instance"])
		}
		got = append(got, labels["instance"])
	}
	want := []string{"shipper-suricata", "shipper-tracee", "proxy", "notifier", "auditor", "guard"}
	if !slices.Equal(got, want) {
		t.Errorf("targets are called %q, want %q", got, want)
	}
}

// alertRule is one of alerts.yml.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, "alerts.yml", &file)
	var all []alertRule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("alerts.yml has no rules")
	}
	return all
}

// ruleTest is one of alerts_test.yml.
type ruleTest struct {
	Name      string `yaml:"name"`
	Questions []struct {
		Expr    string `yaml:"expr"`
		Samples []any  `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
}

func ruleTests(t *testing.T) []ruleTest {
	t.Helper()
	var file struct {
		Tests []ruleTest `yaml:"tests"`
	}
	readYAML(t, "alerts_test.yml", &file)
	return file.Tests
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	// To the parser, a key beside a merged one of the same name is a duplicate.
	if err := yaml.UnmarshalWithOptions(text, into, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestTargetsAreAnswered: services answer to the names by which Prometheus and
// the doctor ask them, and to no other that a web page could take.
func TestTargetsAreAnswered(t *testing.T) {
	var prometheus struct {
		Scrapes []struct {
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "prometheus.yml", &prometheus)
	var compose struct {
		Admin struct {
			Hosts string `yaml:"ADMIN_HOSTS"`
		} `yaml:"x-admin"`
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	readYAML(t, "../compose.yaml", &compose)
	names, _, _ := strings.Cut(compose.Admin.Hosts, "$")
	doctor := strings.TrimSuffix(strings.TrimPrefix(compose.Services["secbus"].Environment["DOCTOR_ADMIN"], "${DOCTOR_ADMIN:-"), "}")
	for _, address := range slices.Concat(prometheus.Scrapes[0].Static[0].Targets, strings.Split(doctor, ",")) {
		name, _, _ := strings.Cut(address, ":")
		if !slices.Contains(strings.Split(names, ","), name) {
			t.Errorf("%q is asked for, and services answer to %q", name, names)
		}
	}
	for name, s := range compose.Services {
		if s.Environment["ADMIN_ADDR"] != "" && s.Environment["ADMIN_HOSTS"] == "" {
			t.Errorf("%s answers to nobody: it has no ADMIN_HOSTS", name)
		}
	}
}
