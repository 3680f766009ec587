// Package schema generates the JSON Schemas of the wire protocol from its Go
// types: structure by reflection, descriptions and enumerations from the source.
//
// Of draft 2020-12 it uses only what older drafts understand as well, so that
// the schemas also serve as payloads of an AsyncAPI 3.0 document, whose own
// dialect is a superset of draft 7.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// dialect is what every generated schema declares itself to be.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// node is a schema or a part of one; its fields are all the keywords that a
// generated schema can contain, in the order in which they are written.
type node struct {
	Dialect              string   `json:"$schema,omitempty"`
	Title                string   `json:"title,omitempty"`
	Ref                  string   `json:"$ref,omitempty"`
	Description          string   `json:"description,omitempty"`
	Type                 string   `json:"type,omitempty"`
	Format               string   `json:"format,omitempty"`
	Enum                 []string `json:"enum,omitempty"`
	Items                *node    `json:"items,omitempty"`
	Properties           members  `json:"properties,omitempty"`
	Required             []string `json:"required,omitempty"`
	AdditionalProperties *bool    `json:"additionalProperties,omitempty"`
	Defs                 members  `json:"$defs,omitempty"`
}

// members is a JSON object that keeps its order, which for properties is that
// of the fields and so of the encoded event.
type members []member

type member struct {
	name string
	node *node
}

// MarshalJSON writes the members as one object.
func (m members) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, member := range m {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(member.name)
		if err != nil {
			return nil, fmt.Errorf("encoding the name %q: %w", member.name, err)
		}
		value, err := encode(member.node, "")
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", member.name, err)
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// encode writes n without the escapes that encoding/json adds for HTML.
func encode(n *node, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(n); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
