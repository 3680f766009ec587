package monitoring_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// services is where the code of the services is.
const services = "../../../services"

// ours is how the code names the metrics of the project's services. They are
// served with prefix before them.
var ours = regexp.MustCompile(`^(shipper|notifier|proxy|guard_stub|auditor|consumer|nats)_[a-z0-9_]+$`)

const prefix = "secbus_"

// metrics returns the names of all series that a service may have: those named
// in the code, those of every process, and those that Prometheus makes itself.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{"up": true, "ALERTS": true, prefix + "build_info": true}
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := process.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		known[f.GetName()] = true
	}
	named := namesInCode(t)
	if len(named) < 50 {
		t.Fatalf("only %d metrics were found under %s: %q", len(named), services, slices.Sorted(maps.Keys(named)))
	}
	maps.Copy(known, named)
	return known
}

// namesInCode finds the metrics that the code under [services] names. They stand in the
// options of a metric, in a table of such, or in the call of a function that
// makes one, but always in a file that is about metrics: one that imports
// prometheus. A histogram is known by what Prometheus stores of it.
func namesInCode(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(filepath.FromSlash(services), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if importsPrometheus(file) {
			addNames(file, names)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func importsPrometheus(file *ast.File) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		return i.Path.Value == `"github.com/prometheus/client_golang/prometheus"`
	})
}

func addNames(file *ast.File, names map[string]bool) {
	inHistogram := make(map[*ast.BasicLit]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if s, ok := n.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "HistogramOpts" {
				for _, name := range literals(n) {
					inHistogram[name] = true
				}
			}
		case *ast.BasicLit:
			name, err := strconv.Unquote(n.Value)
			if n.Kind != token.STRING || err != nil || !ours.MatchString(name) {
				return true
			}
			if !inHistogram[n] {
				names[prefix+name] = true
				return true
			}
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[prefix+name+suffix] = true
			}
		}
		return true
	})
}

func literals(n ast.Node) (all []*ast.BasicLit) {
	ast.Inspect(n, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok {
			all = append(all, l)
		}
		return true
	})
	return all
}

var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	ranges   = regexp.MustCompile(`\[[^\]]*\]`)
	matchers = regexp.MustCompile(`\{[^}]*\}`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	offset   = regexp.MustCompile(`\boffset\s+\w+`)
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*(\s*\()?|[0-9][0-9.eE+]*`)
)

// operators of PromQL that are words.
var operators = []string{"and", "or", "unless", "bool"}

// unknownMetrics says which metrics an expression asks for that are not known. What is
// left of an expression without its labels, ranges, functions and numbers are
// metrics.
func unknownMetrics(expr string, known map[string]bool) (faults []string) {
	found := false
	rest := quoted.ReplaceAllString(expr, "")
	for _, part := range []*regexp.Regexp{matchers, ranges, grouping, offset} {
		rest = part.ReplaceAllString(rest, " ")
	}
	for _, w := range word.FindAllString(rest, -1) {
		function := strings.HasSuffix(w, "(") && !slices.Contains(operators, strings.TrimSpace(strings.TrimSuffix(w, "(")))
		name := strings.TrimSpace(strings.TrimSuffix(w, "("))
		switch {
		case function, name[0] >= '0' && name[0] <= '9', slices.Contains(operators, name), aggregations[name]:
		case known[name]:
			found = true
		default:
			faults = append(faults, fmt.Sprintf("no service has a metric %s", name))
		}
	}
	if !found {
		faults = append(faults, "no metric in "+expr)
	}
	return faults
}

// aggregations may be followed by `by (…)` before their parenthesis.
var aggregations = map[string]bool{"sum": true, "max": true, "min": true, "count": true, "avg": true}

func TestUnknownMetrics(t *testing.T) {
	known := map[string]bool{"up": true, "proxy_requests_total": true}
	tests := []struct {
		name, expr string
		faults     int
	}{
		{"known", `sum by (service) (rate(proxy_requests_total{decision=~"a|b"}[5m])) > 0.1`, 0},
		{"label like a metric", `up{instance="shipper_lag"} == 0`, 0},
		{"grouping like a metric", `sum by (shipper_lag) (up)`, 0},
		{"unknown", `rate(proxy_request_total[5m])`, 2},
		{"one of two unknown", `up and on (instance) (shipper_lag > 1)`, 1},
		{"behind an offset", `up unless up offset 15m`, 0},
		{"none", `vector(1)`, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := unknownMetrics(test.expr, known); len(got) != test.faults {
				t.Errorf("got %q, want %d faults", got, test.faults)
			}
		})
	}
}

// TestNamesInCode compares the names with some that are made in each of the ways in
// which the code makes metrics.
func TestNamesInCode(t *testing.T) {
	names := namesInCode(t)
	for _, want := range []string{
		"secbus_proxy_requests_total",                 // in options
		"secbus_shipper_lag_bytes",                    // in a table
		"secbus_notifier_chat_oldest_waiting_seconds", // in a call
		"secbus_shipper_publish_seconds_bucket",       // of a histogram
	} {
		if !names[want] {
			t.Errorf("%s was not found", want)
		}
	}
	if names["secbus_shipper_publish_seconds"] {
		t.Error("a histogram is known by its name alone, under which nothing is stored")
	}
}
