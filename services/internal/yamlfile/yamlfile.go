// Package yamlfile reads YAML that a person writes: strictly, and reporting all
// faults at once, each with its place in the file.
//
// A small part of YAML is enough for that: mappings, lists and plain, quoted or
// block scalars. Anchors, aliases, tags and merge keys are faults, and so are
// unknown and duplicate keys.
package yamlfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/openclaw-security/bus/services/internal/config"
)

// File is one file being read. Its methods note faults and go on.
type File struct {
	name   string
	faults []*config.Fault
}

// Node is a value of the file.
type Node = ast.Node

// Parse reads the file's only document, which must be a mapping, and hands it to
// read. The error is a [*config.Errors] with every fault found, each like
//
//	rules.yaml:7:11: rules[0].when: unknown name kind
func Parse(name string, data []byte, read func(f *File, root Node)) error {
	f := &File{name: name}
	parsed, err := parser.ParseBytes(data, 0)
	switch {
	case err != nil:
		f.syntax(err)
	case len(parsed.Docs) != 1 || parsed.Docs[0].Body == nil:
		f.faults = append(f.faults, &config.Fault{Err: fmt.Errorf("%s: is not a single YAML document", name)})
	default:
		read(f, parsed.Docs[0].Body)
	}
	if len(f.faults) > 0 {
		return &config.Errors{Faults: f.faults}
	}
	return nil
}

// syntax notes the one fault that the parser stops at.
func (f *File) syntax(err error) {
	var located interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &located) && located.GetToken() != nil {
		f.fault(located.GetToken(), errors.New(located.GetMessage()))
		return
	}
	f.faults = append(f.faults, &config.Fault{Err: fmt.Errorf("%s: %w", f.name, err)})
}

// Faultf notes a fault at a node, behind the node's path in the file.
func (f *File) Faultf(n Node, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	// The path is a YAMLPath: "$.fields.'src.ip'".
	path := strings.ReplaceAll(n.GetPath(), "'", "")
	if path = strings.TrimPrefix(strings.TrimPrefix(path, "$"), "."); path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	f.fault(start(n), err)
}

// start is where a node begins. A mapping's own token is its first colon.
func start(n Node) *token.Token {
	if mapping, ok := asMapping(n); ok {
		if entries := mapping.MapRange(); entries.Next() {
			return entries.Key().GetToken()
		}
	}
	return n.GetToken()
}

func (f *File) fault(at *token.Token, err error) {
	f.faults = append(f.faults, &config.Fault{
		Err: fmt.Errorf("%s:%d:%d: %w", f.name, at.Position.Line, at.Position.Column, err),
	})
}

// Faults is how many faults have been found so far.
func (f *File) Faults() int { return len(f.faults) }

// Fields reads a mapping whose keys are known: each value goes to its key's
// function. It says whether n is a mapping that has no other keys.
func (f *File) Fields(n Node, fields map[string]func(Node)) bool {
	_, ok := asMapping(n)
	f.Each(n, func(key, value Node, name string) {
		read, known := fields[name]
		if !known {
			f.Faultf(key, "unknown key %q", name)
			ok = false
			return
		}
		read(value)
	})
	return ok
}

// Each reads a mapping whose keys are the file's own.
func (f *File) Each(n Node, read func(key, value Node, name string)) {
	mapping, ok := asMapping(n)
	if !ok {
		f.Faultf(n, "must be a mapping, not %s", kind(n))
		return
	}
	for entries := mapping.MapRange(); entries.Next(); {
		key, isNode := entries.Key().(ast.Node)
		text, isText := scalar(key)
		if !isNode || !isText {
			f.Faultf(entries.KeyValue(), "must have a text for a key")
			continue
		}
		read(key, entries.Value(), text)
	}
}

// asMapping tells mappings from tags, anchors and aliases, which have the same
// methods.
func asMapping(n Node) (ast.MapNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n, true
	case *ast.MappingValueNode:
		return n, true
	}
	return nil, false
}

// List reads a list.
func (f *File) List(n Node, read func(Node)) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		f.Faultf(n, "must be a list, not %s", kind(n))
		return
	}
	for _, element := range list.Values {
		read(element)
	}
}

// Text reads a scalar as the text that stands in the file; "" if it is none.
func (f *File) Text(n Node) string {
	text, ok := scalar(n)
	if !ok {
		f.Faultf(n, "must be a text, not %s", kind(n))
	}
	return text
}

// Scalar reads a scalar as what parse makes of its text; the zero value if it is
// none or parse returns an error, which is noted.
func Scalar[T any](f *File, n Node, parse func(text string) (T, error)) (value T) {
	text, ok := scalar(n)
	if !ok {
		f.Text(n)
		return value
	}
	value, err := parse(text)
	if err != nil {
		f.Faultf(n, "%w", err)
		return *new(T)
	}
	return value
}

// Texts reads a list of scalars.
func (f *File) Texts(n Node) []string {
	var texts []string
	f.List(n, func(element Node) { texts = append(texts, f.Text(element)) })
	return texts
}

func scalar(n Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// kind names what a node is, for a fault.
func kind(n Node) string {
	switch n.(type) {
	case *ast.NullNode:
		return "empty"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias"
	case *ast.TagNode:
		return "a tag"
	case *ast.StringNode, *ast.LiteralNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return "a text"
	}
	return "a " + strings.ToLower(n.Type().String())
}
