package monitoring_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The dashboard, and what tells Grafana of it.
const (
	dashboardFile  = "grafana/dashboards/openclaw-security.json"
	dataSourceFile = "grafana/provisioning/datasources/prometheus.yml"
	providerFile   = "grafana/provisioning/dashboards/openclaw.yml"
)

// gridWidth is the width of Grafana's grid, in columns.
const gridWidth = 24

// panelTypes are those that Grafana has without any plugin.
var panelTypes = []string{"row", "stat", "table", "timeseries", "state-timeline"}

type dataSource struct {
	Type string `json:"type" yaml:"type"`
	UID  string `json:"uid" yaml:"uid"`
}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

func (g gridPos) overlaps(o gridPos) bool {
	return g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H
}

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Grid        gridPos     `json:"gridPos"`
	DataSource  *dataSource `json:"datasource"`
	Targets     []struct {
		RefID      string      `json:"refId"`
		DataSource *dataSource `json:"datasource"`
		Expr       string      `json:"expr"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []struct {
					Value *float64 `json:"value"`
				} `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

type dashboard struct {
	ID            *int    `json:"id"`
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Inputs        []any   `json:"__inputs"`
	Panels        []panel `json:"panels"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(dashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`\$\{?DS_`).Match(text) {
		t.Errorf("%s has a placeholder for a data source, which provisioning does not fill in", dashboardFile)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	return d
}

func TestDashboardIsForProvisioning(t *testing.T) {
	d := readDashboard(t)
	if d.ID != nil || len(d.Inputs) > 0 {
		t.Error("it is an export with the id or the inputs of another Grafana")
	}
	if d.UID == "" || d.Title == "" {
		t.Error("it has no uid or no title")
	}
	if d.SchemaVersion != 39 {
		t.Errorf("schemaVersion is %d, want 39, that of Grafana 11, which later ones read", d.SchemaVersion)
	}
}

// dashboardsPath is where Grafana is told to look for dashboards.
func dashboardsPath(t *testing.T) string {
	t.Helper()
	var file struct {
		Providers []struct {
			Type    string            `yaml:"type"`
			Options map[string]string `yaml:"options"`
		} `yaml:"providers"`
	}
	readYAML(t, providerFile, &file)
	if len(file.Providers) != 1 || file.Providers[0].Type != "file" {
		t.Fatalf("%s: want one directory of dashboards", providerFile)
	}
	return file.Providers[0].Options["path"]
}

func TestPanelsUseTheProvisionedDataSource(t *testing.T) {
	var file struct {
		DataSources []dataSource `yaml:"datasources"`
	}
	readYAML(t, dataSourceFile, &file)
	if len(file.DataSources) != 1 || file.DataSources[0].UID == "" {
		t.Fatalf("%s: want one data source with a uid", dataSourceFile)
	}
	want := file.DataSources[0]
	for _, p := range readDashboard(t).Panels {
		if p.Type == "row" {
			continue
		}
		if p.DataSource == nil || *p.DataSource != want {
			t.Errorf("panel %q has data source %v, want %v", p.Title, p.DataSource, want)
		}
		for _, target := range p.Targets {
			if target.DataSource == nil || *target.DataSource != want {
				t.Errorf("panel %q asks data source %v, want %v", p.Title, target.DataSource, want)
			}
		}
	}
}

func TestPanelsAreComplete(t *testing.T) {
	ids := make(map[int]string)
	for _, p := range readDashboard(t).Panels {
		if other, taken := ids[p.ID]; taken || p.ID == 0 {
			t.Errorf("panel %q has id %d, as has %q", p.Title, p.ID, other)
		}
		ids[p.ID] = p.Title
		if p.Title == "" || !slices.Contains(panelTypes, p.Type) {
			t.Errorf("panel %d has title %q and type %q", p.ID, p.Title, p.Type)
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a description, a unit or a question", p.Title)
		}
		var refs []string
		for _, target := range p.Targets {
			if target.RefID == "" || slices.Contains(refs, target.RefID) {
				t.Errorf("panel %q has two questions with refId %q", p.Title, target.RefID)
			}
			refs = append(refs, target.RefID)
		}
		for i, step := range p.FieldConfig.Defaults.Thresholds.Steps {
			if (i == 0) != (step.Value == nil) {
				t.Errorf("panel %q: the first threshold, and no other, is the one without a value", p.Title)
			}
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	panels := readDashboard(t).Panels
	for i, p := range panels {
		g := p.Grid
		if g.X < 0 || g.Y < 0 || g.W <= 0 || g.H <= 0 || g.X+g.W > gridWidth {
			t.Errorf("panel %q is at %+v, outside the grid", p.Title, g)
		}
		for _, other := range panels[:i] {
			if g.overlaps(other.Grid) {
				t.Errorf("panels %q and %q overlap", p.Title, other.Title)
			}
		}
	}
}
