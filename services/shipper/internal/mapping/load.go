package mapping

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/expr"
	"github.com/openclaw-security/bus/services/internal/yamlfile"
)

// Load reads a mapping file. If it is faulty the error is a [*config.Errors]
// with every fault and its place, like
//
//	falco.yaml:3:9: time.from: unexpected EOF while scanning extensions at character 4
func Load(path string) (*Sensor, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &config.Errors{Faults: []*config.Fault{{Err: fmt.Errorf("reading the mapping: %w", err)}}}
	}
	return Parse(filepath.Base(path), data)
}

// Parse is [Load] for the text of a file called name.
func Parse(name string, data []byte) (*Sensor, error) {
	var s *Sensor
	err := yamlfile.Parse(name, data, func(f *yamlfile.File, root yamlfile.Node) {
		s = (&reader{f}).sensor(root)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// reader reads a mapping file.
type reader struct{ *yamlfile.File }

func (r *reader) sensor(root yamlfile.Node) *Sensor {
	s := &Sensor{titles: make(map[string]*expr.Expr)}
	r.required(root, []string{"time", "kind", "severity"}, map[string]func(yamlfile.Node){
		"time":      func(n yamlfile.Node) { s.time = r.clock(n) },
		"kind":      func(n yamlfile.Node) { s.kind = r.expression(n) },
		"severity":  func(n yamlfile.Node) { s.severity = readTable(r, n, proto.ParseSeverity) },
		"class_uid": func(n yamlfile.Node) { s.classUID = readTable(r, n, classUID) },
		"title":     func(n yamlfile.Node) { s.title = r.expression(n) },
		"titles": func(n yamlfile.Node) {
			r.Each(n, func(_, value yamlfile.Node, kind string) { s.titles[kind] = r.expression(value) })
		},
		"fields": func(n yamlfile.Node) {
			r.Each(n, func(key, value yamlfile.Node, name string) { s.fields = append(s.fields, r.field(key, value, name)) })
		},
	})
	// In one order, not the file's, so that an event is always the same.
	slices.SortFunc(s.fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return s
}

// required reads a mapping and notes which of the keys that it must have are
// missing.
func (r *reader) required(n yamlfile.Node, keys []string, fields map[string]func(yamlfile.Node)) {
	seen := make(map[string]bool)
	for name, read := range fields {
		fields[name] = func(n yamlfile.Node) {
			seen[name] = true
			read(n)
		}
	}
	if !r.Fields(n, fields) {
		return // what is missing may only be misspelt
	}
	for _, key := range keys {
		if !seen[key] {
			r.Faultf(n, "%s is missing", key)
		}
	}
}

func (r *reader) expression(n yamlfile.Node) *expr.Expr {
	return yamlfile.Scalar(r.File, n, expr.Compile)
}

func (r *reader) clock(n yamlfile.Node) clock {
	var c clock
	r.required(n, []string{"from", "layouts"}, map[string]func(yamlfile.Node){
		"from": func(n yamlfile.Node) { c.from = r.expression(n) },
		"layouts": func(n yamlfile.Node) {
			r.List(n, func(n yamlfile.Node) { c.layouts = append(c.layouts, yamlfile.Scalar(r.File, n, newLayout)) })
		},
	})
	return c
}

func readTable[T any](r *reader, n yamlfile.Node, parse func(string) (T, error)) table[T] {
	t := table[T]{values: make(map[string]T)}
	r.required(n, []string{"default"}, map[string]func(yamlfile.Node){
		"from":    func(n yamlfile.Node) { t.from = r.expression(n) },
		"default": func(n yamlfile.Node) { t.fallback = yamlfile.Scalar(r.File, n, parse) },
		"values": func(n yamlfile.Node) {
			r.Each(n, func(key, n yamlfile.Node, word string) {
				word = strings.ToLower(word)
				if _, twice := t.values[word]; twice {
					r.Faultf(key, "%s stands here twice: upper and lower case make no difference", word)
				}
				t.values[word] = yamlfile.Scalar(r.File, n, parse)
			})
		},
	})
	return t
}

func classUID(text string) (int, error) {
	uid, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not an OCSF class_uid, such as 4001", text)
	}
	return int(uid), nil
}

func (r *reader) field(key, value yamlfile.Node, name string) field {
	set, known := setters[name]
	if !known {
		r.Faultf(key, "no field that a mapping can fill is called %s", name)
	}
	return field{name: name, from: r.expression(value), set: set}
}
