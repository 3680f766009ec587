package openclaw

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// Document is OpenClaw's configuration file, edited without touching what is not
// edited: comments, order and white space stay.
type Document struct {
	root    hujson.Value
	changes []Change
}

// Change is a value that was put into a document.
type Change struct {
	Path  []string        `json:"path"`
	Value json.RawMessage `json:"value"`
}

// ErrJSON5 means that a file uses what [Document] cannot keep as it is.
var ErrJSON5 = errors.New("it is no JSON with comments and trailing commas, but JSON5 with unquoted names, single quotes or the like, which cannot be edited without rewriting all of it")

// Parse reads a configuration file. Its error names the place at which the file is
// not what can be edited.
func Parse(text []byte) (*Document, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	root, err := hujson.Parse(bytes.Clone(text))
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", ErrJSON5, strings.TrimPrefix(err.Error(), "hujson: "))
	}
	d := &Document{root: root}
	if _, ok := root.Value.(*hujson.Object); !ok {
		return nil, errors.New("it is not an object")
	}
	for v := range root.All() {
		if object, ok := v.Value.(*hujson.Object); ok {
			names := make(map[string]bool)
			for _, m := range object.Members {
				name := nameOf(m)
				if names[name] {
					return nil, fmt.Errorf("it has the name %.50q twice in one object, which programs read differently", name)
				}
				names[name] = true
			}
		}
	}
	return d, nil
}

func nameOf(m hujson.ObjectMember) string { return m.Name.Value.(hujson.Literal).String() }

// Bytes is the file's text.
func (d *Document) Bytes() []byte { return d.root.Pack() }

// find returns the value at a path, nil if there is none.
func (d *Document) find(path ...string) *hujson.Value {
	v := &d.root
	for _, name := range path {
		object, ok := v.Value.(*hujson.Object)
		if !ok {
			return nil
		}
		at := slices.IndexFunc(object.Members, func(m hujson.ObjectMember) bool { return nameOf(m) == name })
		if at < 0 {
			return nil
		}
		v = &object.Members[at].Value
	}
	return v
}

// Get returns the value at a path, as [json.Unmarshal] makes it, and whether there
// is one.
func (d *Document) Get(path ...string) (any, bool) {
	v := d.find(path...)
	if v == nil {
		return nil, false
	}
	return decoded(*v), true
}

func decoded(v hujson.Value) any {
	plain := v.Clone()
	plain.Standardize()
	var value any
	_ = json.Unmarshal(plain.Pack(), &value) // it has been parsed
	return value
}

// Set puts a value at a path and makes the objects that lead there. Where the value
// is there already, nothing changes.
func (d *Document) Set(value any, path ...string) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding a setting: %w", err)
	}
	if v := d.find(path...); v != nil && sameJSON(decoded(*v), text) {
		return nil
	}
	if err := d.put(text, path); err != nil {
		return err
	}
	d.changed(path)
	return nil
}

// Append adds an element to the list at a path.
func (d *Document) Append(value any, path ...string) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding an element: %w", err)
	}
	v := d.find(path...)
	if v == nil {
		return d.Set([]json.RawMessage{text}, path...)
	}
	list, ok := v.Value.(*hujson.Array)
	if !ok {
		return fmt.Errorf("%s is not a list", strings.Join(path, "."))
	}
	last := len(list.Elements) - 1
	l := layout{outer: indentation(d.root, v), before: list.AfterExtra}
	if last >= 0 {
		l.sibling, l.comma = list.Elements[last].BeforeExtra, list.Elements[last].AfterExtra != nil
	}
	element, err := l.value(text)
	if err != nil {
		return err
	}
	element.BeforeExtra = l.space()
	list.Elements = append(list.Elements, element)
	list.AfterExtra = l.closing()
	d.changed(path)
	return nil
}

// Remove takes the value at a path away, if there is one.
func (d *Document) Remove(path ...string) {
	last := len(path) - 1
	v := d.find(path[:last]...)
	if v == nil {
		return
	}
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		return
	}
	at := slices.IndexFunc(object.Members, func(m hujson.ObjectMember) bool { return nameOf(m) == path[last] })
	if at < 0 {
		return
	}
	gone := object.Members[at]
	object.Members = slices.Delete(object.Members, at, at+1)
	comment := hujson.Extra(trimSpace(gone.Name.BeforeExtra))
	switch {
	case at < len(object.Members):
		next := &object.Members[at].Name.BeforeExtra
		*next = append(comment, *next...)
		return
	case at > 0 && gone.Value.AfterExtra != nil: // a trailing comma
		if before := &object.Members[at-1].Value.AfterExtra; *before == nil {
			*before = hujson.Extra{}
		}
	}
	object.AfterExtra = append(comment, object.AfterExtra...)
}

// changed notes that the value at a path is ours.
func (d *Document) changed(path []string) {
	text, _ := json.Marshal(decoded(*d.find(path...))) // it was encoded before
	d.changes = slices.DeleteFunc(d.changes, func(c Change) bool { return slices.Equal(c.Path, path) })
	d.changes = append(d.changes, Change{Path: slices.Clone(path), Value: text})
}

// unit is one step of indentation in what is written.
const unit = "  "

func (d *Document) put(text []byte, path []string) error {
	v, outer, ownLine := &d.root, "", true
	for i, name := range path {
		object, ok := v.Value.(*hujson.Object)
		if !ok {
			return fmt.Errorf("%s is not an object", strings.Join(path[:i], "."))
		}
		at := slices.IndexFunc(object.Members, func(m hujson.ObjectMember) bool { return nameOf(m) == name })
		if at < 0 {
			for j := len(path) - 1; j > i; j-- { // the objects that are missing
				text = fmt.Appendf(nil, "{%q:%s}", path[j], text)
			}
			return appendMember(object, name, text, outer)
		}
		outer = lineIndent(object.Members[at].Name.BeforeExtra, outer)
		ownLine = bytes.Contains(object.Members[at].Name.BeforeExtra, []byte("\n"))
		v = &object.Members[at].Value
	}
	if ownLine {
		var b bytes.Buffer
		if err := json.Indent(&b, text, outer, unit); err != nil {
			return fmt.Errorf("laying out a setting: %w", err)
		}
		text = b.Bytes()
	}
	value, err := hujson.Parse(text)
	if err != nil {
		return err
	}
	v.Value = value.Value
	return nil
}

// appendMember adds a member, laid out as the ones before it, or on a line of its
// own; outer is the indentation of the line on which the object begins.
func appendMember(object *hujson.Object, name string, text []byte, outer string) error {
	last := len(object.Members) - 1
	l := layout{outer: outer, before: object.AfterExtra}
	if last >= 0 {
		l.sibling, l.comma = object.Members[last].Name.BeforeExtra, object.Members[last].Value.AfterExtra != nil
	}
	value, err := l.value(text)
	if err != nil {
		return err
	}
	value.BeforeExtra = hujson.Extra(" ")
	object.Members = append(object.Members, hujson.ObjectMember{
		Name:  hujson.Value{BeforeExtra: l.space(), Value: hujson.String(name)},
		Value: value,
	})
	object.AfterExtra = l.closing()
	return nil
}

// layout is how an element is put behind the last one of an object or list.
type layout struct {
	outer   string       // indentation of the line on which it begins
	before  hujson.Extra // what stands before its closing bracket
	sibling hujson.Extra // what stands before its last element; nil for none
	comma   bool         // the last element has a comma behind it
}

// inline reports whether all stands on one line.
func (l layout) inline() bool {
	return l.sibling != nil && !bytes.ContainsAny(append(bytes.Clone(l.sibling), l.before...), "\n/")
}

func (l layout) indent() string { return lineIndent(l.sibling, l.outer+unit) }

// value is the new element's, with the comma of the last one.
func (l layout) value(text []byte) (hujson.Value, error) {
	if !l.inline() {
		var b bytes.Buffer
		if err := json.Indent(&b, text, l.indent(), unit); err != nil {
			return hujson.Value{}, fmt.Errorf("laying out a setting: %w", err)
		}
		text = b.Bytes()
	}
	v, err := hujson.Parse(text)
	if l.comma {
		v.AfterExtra = hujson.Extra{}
	}
	return v, err
}

// space stands before the new element: the comments that stood before the closing
// bracket, and a new line.
func (l layout) space() hujson.Extra {
	if l.inline() {
		return hujson.Extra(" ")
	}
	return append(hujson.Extra(trimSpace(l.before)), "\n"+l.indent()...)
}

func (l layout) closing() hujson.Extra {
	if space := l.before[len(trimSpace(l.before)):]; l.inline() || bytes.Contains(space, []byte("\n")) {
		return hujson.Extra(bytes.Clone(space))
	}
	return hujson.Extra("\n" + l.outer)
}

// trimSpace leaves the comments that end a line or stand on lines of their own.
func trimSpace(e hujson.Extra) []byte { return bytes.Clone(bytes.TrimRight(e, " \t\r\n")) }

// lineIndent is the indentation of what stands behind extra, or otherwise where that
// has no new line.
func lineIndent(extra hujson.Extra, otherwise string) string {
	at := bytes.LastIndexByte(extra, '\n')
	if at < 0 {
		return otherwise
	}
	indent := string(extra[at+1:])
	if strings.Trim(indent, " \t") != "" {
		return otherwise
	}
	return indent
}

// indentation is that of the line on which the member with value v begins.
func indentation(root hujson.Value, v *hujson.Value) string {
	indent := ""
	for parent := range root.All() {
		if object, ok := parent.Value.(*hujson.Object); ok {
			for i := range object.Members {
				if &object.Members[i].Value == v {
					indent = lineIndent(object.Members[i].Name.BeforeExtra, "")
				}
			}
		}
	}
	return indent
}

// elements are those of a list.
func elements(v *hujson.Value) []hujson.Value {
	list, ok := v.Value.(*hujson.Array)
	if !ok {
		return nil
	}
	return list.Elements
}

func sameJSON(value any, text []byte) bool {
	var other any
	return json.Unmarshal(text, &other) == nil && reflect.DeepEqual(value, other)
}
