package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Files returns the schema files by name. The directory is that of the source
// of package proto.
func Files(directory string) (map[string][]byte, error) {
	src, err := readSource(directory)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for name, root := range map[string]reflect.Type{
		"event.schema.json":    reflect.TypeFor[proto.Event](),
		"audit.schema.json":    reflect.TypeFor[proto.Audit](),
		"delivery.schema.json": reflect.TypeFor[proto.Delivery](),
	} {
		g := generator{source: src, seen: make(map[reflect.Type]bool)}
		n, err := g.document(root)
		if err != nil {
			return nil, fmt.Errorf("describing %s: %w", root, err)
		}
		if files[name], err = encode(n, "  "); err != nil {
			return nil, fmt.Errorf("encoding %s: %w", name, err)
		}
	}
	return files, nil
}

// generator builds one document. Structs other than the root go to $defs, in
// the order in which they are first met.
type generator struct {
	source source
	seen   map[reflect.Type]bool
	defs   members
}

func (g *generator) document(root reflect.Type) (*node, error) {
	g.seen[root] = true
	n, err := g.object(root)
	if err != nil {
		return nil, err
	}
	n.Dialect, n.Title, n.Defs = dialect, root.Name(), g.defs
	return n, nil
}

func (g *generator) object(t reflect.Type) (*node, error) {
	closed := false
	n := &node{Description: g.source.types[t.Name()], Type: "object", AdditionalProperties: &closed}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			return nil, fmt.Errorf("%s.%s has no JSON name", t.Name(), f.Name)
		}
		p, err := g.value(f.Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		p.Description = g.source.fields[t.Name()+"."+f.Name]
		n.Properties = append(n.Properties, member{name, p})
		if !slices.Contains(strings.Split(options, ","), "omitempty") {
			n.Required = append(n.Required, name)
		}
	}
	return n, nil
}

func (g *generator) value(t reflect.Type) (*node, error) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return &node{Type: "string", Format: "date-time"}, nil
	case reflect.TypeFor[json.RawMessage]():
		return &node{Type: "object"}, nil
	case reflect.TypeFor[proto.Severity]():
		n := &node{Type: "string"}
		for _, s := range proto.Severities() {
			n.Enum = append(n.Enum, s.String())
		}
		return n, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.value(t.Elem())
	case reflect.Slice:
		items, err := g.value(t.Elem())
		return &node{Type: "array", Items: items}, err
	case reflect.Struct:
		return g.reference(t)
	case reflect.String:
		return &node{Type: "string", Enum: g.source.enums[t.Name()]}, nil
	case reflect.Bool:
		return &node{Type: "boolean"}, nil
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return &node{Type: "integer"}, nil
	case reflect.Float64:
		return &node{Type: "number"}, nil
	}
	return nil, fmt.Errorf("no schema for the type %s", t)
}

func (g *generator) reference(t reflect.Type) (*node, error) {
	if !g.seen[t] {
		g.seen[t] = true
		at := len(g.defs)
		g.defs = append(g.defs, member{name: t.Name()})
		n, err := g.object(t)
		if err != nil {
			return nil, err
		}
		g.defs[at].node = n
	}
	return &node{Ref: "#/$defs/" + t.Name()}, nil
}
