package detect

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what is brought into the neutral form.
const (
	maxDefinition = 256 << 10 // bytes of a tool's definition
	maxWork       = 1 << 15   // members of the schemas in one, references followed
	maxNeutral    = 1 << 20   // bytes of the neutral form
	maxLabel      = 64        // bytes of a text that is no description; more is prose, which a model reads
)

// neutralTool returns what a tool's definition tells the model, in one form for all
// APIs, and the kind of a tool that the provider runs. It is false for a definition
// that is too large, or becomes so by its references.
//
//	Anthropic          {name, description, input_schema}
//	Chat Completions   {type, function: {name, description, parameters}}
//	Responses          {type, name, description, parameters}       ─▶ description, schema
//	Gemini             {name, description, parameters | parametersJsonSchema}
//
// Marks for the cache, hints for loading, the order of members and what merely
// restricts values do not count: clients add and drop them as an API, or a
// conversation, needs it.
func neutralTool(definition []byte) (neutral []byte, kind string, ok bool) {
	var of map[string]any
	if len(definition) > maxDefinition || json.Unmarshal(definition, &of, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil, "", false
	}
	kind, _ = of["type"].(string)
	for _, wrapper := range []string{"function", "custom"} {
		if inner, wrapped := of[wrapper].(map[string]any); wrapped {
			of, kind = inner, "function"
		}
	}
	schema := firstOf(of, "input_schema", "inputSchema", "parameters", "parametersJsonSchema", "parameters_json_schema")
	if schema != nil || kind == "function" || kind == "custom" {
		kind = ""
	}
	n := neutralizer{}
	n.definitions, _ = firstOf(asObject(schema), "$defs", "definitions").(map[string]any)
	n.text(firstOf(of, "description", "server_description"))
	n.text(firstOf(of, "server_url", "connector_id"))
	n.schema(schema, "object")
	n.prose(of["format"]) // of a custom tool: its grammar
	return n.out, kind, n.within()
}

func asObject(v any) map[string]any {
	object, _ := v.(map[string]any)
	return object
}

// firstOf is the first of some members that is there.
func firstOf(of map[string]any, names ...string) any {
	for _, name := range names {
		if v := of[name]; v != nil {
			return v
		}
	}
	return nil
}

// neutralizer writes the neutral form.
type neutralizer struct {
	out         []byte
	definitions map[string]any // that references in the schema name
	work        int
}

func (n *neutralizer) within() bool { return n.work <= maxWork && len(n.out) <= maxNeutral }

// text writes a text without regard for how its lines are broken and indented.
func (n *neutralizer) text(v any) {
	s, _ := v.(string)
	n.value(strings.Join(strings.Fields(s), " "))
}

// value writes any value, with its members in order.
func (n *neutralizer) value(v any) {
	n.out, _ = appendJSON(n.out, v)
	n.out = append(n.out, '\n')
}

func appendJSON(to []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	return append(to, b...), err
}

// schema writes what a schema says of a value: its type, its description, the values and
// members that it can have.
func (n *neutralizer) schema(v any, otherwise string) {
	of := n.resolve(asObject(v))
	if n.work += 1 + len(of); !n.within() {
		return
	}
	n.value(n.typeOf(of, otherwise))
	n.text(of["description"])
	n.value(valuesOf(of))

	properties := asObject(of["properties"])
	n.value(len(properties))
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		n.value(name)
		n.schema(properties[name], "")
	}
	for _, several := range []string{"items", "prefixItems", "anyOf", "oneOf", "allOf"} {
		list, isList := of[several].([]any)
		if one := asObject(of[several]); one != nil {
			list, isList = []any{one}, true
		}
		if list = withoutNull(list); !isList || len(list) == 0 {
			continue
		}
		n.value(cmp.Or(map[string]string{"oneOf": "anyOf", "prefixItems": "items"}[several], several))
		for _, one := range list {
			n.schema(one, "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		switch name {
		case "type", "description", "enum", "const", "properties", "items", "prefixItems", "anyOf", "oneOf", "allOf", "$defs", "definitions", "$ref":
		default:
			n.prose(of[name])
		}
	}
}

// resolve follows a reference, and takes a choice of one for what is chosen.
func (n *neutralizer) resolve(of map[string]any) map[string]any {
	for n.within() {
		var inner map[string]any
		if ref, ok := of["$ref"].(string); ok {
			inner = asObject(n.definitions[ref[strings.LastIndexByte(ref, '/')+1:]])
		}
		for _, several := range []string{"anyOf", "oneOf", "allOf"} {
			if list, ok := of[several].([]any); ok && len(withoutNull(list)) == 1 {
				inner = asObject(withoutNull(list)[0])
				of = without(of, several)
			}
		}
		if inner == nil {
			return of
		}
		merged := maps.Clone(inner)
		for name, value := range without(of, "$ref") {
			merged[name] = value
		}
		of = merged
		n.work += 1 + len(of)
	}
	return nil // a reference to itself
}

func without(of map[string]any, name string) map[string]any {
	of = maps.Clone(of)
	delete(of, name)
	return of
}

// withoutNull leaves out the schemas that are null alone: whether a value may be left
// out is written so in one API, and otherwise in another.
func withoutNull(list []any) []any {
	return slices.DeleteFunc(slices.Clone(list), func(v any) bool {
		t, _ := asObject(v)["type"].(string)
		return strings.EqualFold(t, "null")
	})
}

// typeOf is a schema's type in lower case, as JSON Schema has it and Gemini has not.
func (n *neutralizer) typeOf(of map[string]any, otherwise string) string {
	var types []string
	switch t := of["type"].(type) {
	case string:
		types = []string{strings.ToLower(t)}
	case []any:
		for _, one := range t {
			if s, ok := one.(string); ok && !strings.EqualFold(s, "null") {
				types = append(types, strings.ToLower(s))
			}
		}
	}
	if len(types) == 0 && asObject(of["properties"]) != nil {
		return "object"
	}
	slices.Sort(types)
	return cmp.Or(strings.Join(types, " "), otherwise)
}

// valuesOf are those that a schema lists.
func valuesOf(of map[string]any) []string {
	list, _ := of["enum"].([]any)
	if c, ok := of["const"]; ok {
		list = []any{c}
	}
	var values []string
	for _, v := range list {
		switch v := v.(type) {
		case nil:
		case string: // Gemini has no others
			values = append(values, v)
		default:
			text, _ := appendJSON(nil, v)
			values = append(values, string(text))
		}
	}
	slices.Sort(values)
	return values
}

// prose writes the long texts in a value that has no meaning here: annotations can
// speak to the model, too.
func (n *neutralizer) prose(v any) {
	switch v := v.(type) {
	case string:
		if len(v) > maxLabel {
			n.text(v)
		}
	case []any:
		for _, one := range v {
			n.prose(one)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.prose(name)
			n.prose(v[name])
		}
	}
}
