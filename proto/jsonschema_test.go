package proto_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// jsonSchema checks values against the part of JSON Schema that the generator
// uses. Decoded strictly, it refuses other keywords instead of ignoring them.
type jsonSchema struct {
	Dialect     string                 `json:"$schema"`
	Title       string                 `json:"title"`
	Description string                 `json:"description"`
	Ref         string                 `json:"$ref"`
	Type        string                 `json:"type"`
	Format      string                 `json:"format"`
	Enum        []string               `json:"enum"`
	Items       *jsonSchema            `json:"items"`
	Properties  map[string]*jsonSchema `json:"properties"`
	Required    []string               `json:"required"`
	Additional  *bool                  `json:"additionalProperties"`
	Defs        map[string]*jsonSchema `json:"$defs"`
}

func (s *jsonSchema) check(v any) error { return s.value("", s.Defs, v) }

// value reports what is wrong with v, which stands at a JSON pointer.
func (s *jsonSchema) value(at string, defs map[string]*jsonSchema, v any) error {
	if s.Ref != "" {
		def, ok := defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		if !ok {
			return fmt.Errorf("%s: the schema's $ref %s leads nowhere", at, s.Ref)
		}
		return def.value(at, defs, v)
	}
	ok := false
	switch s.Type {
	case "object":
		if v, ok := v.(map[string]any); ok {
			return s.object(at, defs, v)
		}
	case "array":
		if v, ok := v.([]any); ok {
			for i, item := range v {
				if err := s.Items.value(fmt.Sprintf("%s/%d", at, i), defs, item); err != nil {
					return err
				}
			}
			return nil
		}
	case "string":
		if v, ok := v.(string); ok {
			return s.text(at, v)
		}
	case "integer":
		var n json.Number
		if n, ok = v.(json.Number); ok {
			_, err := n.Int64()
			ok = err == nil
		}
	case "number":
		_, ok = v.(json.Number)
	case "boolean":
		_, ok = v.(bool)
	default:
		return fmt.Errorf("%s: the schema has the type %q", at, s.Type)
	}
	if !ok {
		return fmt.Errorf("%s: no %s", at, s.Type)
	}
	return nil
}

func (s *jsonSchema) object(at string, defs map[string]*jsonSchema, v map[string]any) error {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s: lacks %s", at, name)
		}
	}
	for name, member := range v {
		if p, ok := s.Properties[name]; ok {
			if err := p.value(at+"/"+name, defs, member); err != nil {
				return err
			}
		} else if s.Additional != nil && !*s.Additional {
			return fmt.Errorf("%s: unknown %s", at, name)
		}
	}
	return nil
}

func (s *jsonSchema) text(at, v string) error {
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s: %s is none of %q", at, v, s.Enum)
	}
	switch s.Format {
	case "":
	case "date-time":
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	default:
		return fmt.Errorf("%s: the schema has the format %q", at, s.Format)
	}
	return nil
}
