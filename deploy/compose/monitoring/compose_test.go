package monitoring_test

import (
	"path"
	"slices"
	"strings"
	"testing"
)

type service struct {
	Profiles    []string          `yaml:"profiles"`
	ReadOnly    bool              `yaml:"read_only"`
	User        string            `yaml:"user"`
	Drop        []string          `yaml:"cap_drop"`
	Security    []string          `yaml:"security_opt"`
	Ulimits     map[string]int    `yaml:"ulimits"`
	Memory      string            `yaml:"mem_limit"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	Environment map[string]string `yaml:"environment"`
}

func composeServices(t *testing.T) map[string]service {
	t.Helper()
	var file struct {
		Services map[string]service `yaml:"services"`
	}
	readYAML(t, "compose.yaml", &file)
	if len(file.Services) != 2 {
		t.Fatalf("compose.yaml has %d services, want 2", len(file.Services))
	}
	return file.Services
}

func TestContainersAreConfined(t *testing.T) {
	for name, s := range composeServices(t) {
		if !slices.Equal(s.Profiles, []string{"monitoring"}) {
			t.Errorf("%s is in the profiles %q", name, s.Profiles)
		}
		if !s.ReadOnly || !slices.Equal(s.Drop, []string{"ALL"}) || !slices.Equal(s.Security, []string{"no-new-privileges:true"}) {
			t.Errorf("%s can write, or may more than it needs", name)
		}
		if user, _, _ := strings.Cut(s.User, ":"); user == "" || user == "0" {
			t.Errorf("%s runs as user %q", name, s.User)
		}
		if s.Ulimits["nofile"] == 0 {
			t.Errorf("%s has no limit on its open files", name)
		}
		if s.Memory == "" {
			t.Errorf("%s has no bound on its memory", name)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s beyond this machine", name, port)
			}
		}
	}
}

func TestGrafanaHasNoKnownPassword(t *testing.T) {
	env := composeServices(t)["security-grafana"].Environment
	if got, want := env["GF_SECURITY_ADMIN_PASSWORD"], "${GRAFANA_ADMIN_PASSWORD:-}"; got != want {
		t.Errorf("the password is %q, want %q", got, want)
	}
	if env["GF_AUTH_ANONYMOUS_ENABLED"] != "false" {
		t.Error("Grafana lets in who has no password")
	}
}

// TestDashboardIsMounted follows the dashboard from the file to where Grafana is
// told to look.
func TestDashboardIsMounted(t *testing.T) {
	grafana := composeServices(t)["security-grafana"]
	var dir string
	for _, volume := range grafana.Volumes {
		source, rest, _ := strings.Cut(volume, ":")
		if path.Clean(source) == path.Dir(dashboardFile) {
			dir, _, _ = strings.Cut(rest, ":")
		}
	}
	if want := dashboardsPath(t); dir != want {
		t.Errorf("dashboards are mounted at %q, and looked for in %q", dir, want)
	}
	if got, want := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"], path.Join(dir, path.Base(dashboardFile)); got != want {
		t.Errorf("the first page is %q, want %q", got, want)
	}
}
