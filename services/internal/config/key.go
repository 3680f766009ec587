package config

import (
	"bufio"
	"encoding"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Key is one setting as its struct declares it.
type Key struct {
	// Name is the environment variable.
	Name string
	// Type is the kind of value: bool, int, float, duration, string, secret,
	// "list of" one of these, or the lower-case name of a type of its own.
	Type string
	// Default is what an unset variable means, as it would be written.
	Default string
	// Required says that there is no default.
	Required bool
	// Secret says that the value is never shown and that Name_FILE works too.
	Secret bool
	// Doc is one sentence, with units.
	Doc string
}

// Names returns the environment variables that give the setting.
func (k Key) Names() []string {
	if k.Secret {
		return []string{k.Name, fileKey(k.Name)}
	}
	return []string{k.Name}
}

// Keys lists the settings of dst, a configuration struct or a pointer to one,
// in the order of declaration. A setting that two nested structs share is
// listed once.
func Keys(dst any) []Key {
	given := reflect.Indirect(reflect.ValueOf(dst))
	v := reflect.New(given.Type()).Elem() // addressable, for a [Table]
	v.Set(given)
	var keys []Key
	seen := make(map[string]bool)
	for _, s := range settings(v) {
		if !seen[s.Name] {
			seen[s.Name] = true
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// A setting is a tagged field of a configuration struct.
type setting struct {
	Key
	field      reflect.StructField
	value      reflect.Value
	allowEmpty bool
}

// settings returns the tagged fields of the struct v and of the structs in it.
func settings(v reflect.Value) []setting {
	var found []setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		tag, tagged := field.Tag.Lookup("env")
		switch {
		case tagged:
			found = append(found, setting{
				Key:        keyOf(field, tag),
				field:      field,
				value:      v.Field(i),
				allowEmpty: field.Tag.Get("empty") == "allowed",
			})
		case field.IsExported() && field.Type.Kind() == reflect.Struct:
			for _, nested := range structs(v.Field(i)) {
				found = append(found, settings(nested)...)
			}
		}
	}
	return found
}

// Table is a nested struct whose pointer lists settings that its type does not
// know: pointers to configuration structs, the same ones at each call.
type Table interface{ Structs() []any }

// structs returns the struct v, or what it lists if it is a [Table].
func structs(v reflect.Value) []reflect.Value {
	table, ok := v.Addr().Interface().(Table)
	if !ok {
		return []reflect.Value{v}
	}
	var all []reflect.Value
	for _, pointer := range table.Structs() {
		all = append(all, reflect.ValueOf(pointer).Elem())
	}
	return all
}

// keyOf reads a field's tags the way go-envconfig does: a default is the last
// option and may contain commas.
func keyOf(field reflect.StructField, tag string) Key {
	name, rest, _ := strings.Cut(tag, ",")
	key := Key{
		Name:   strings.TrimSpace(name),
		Type:   typeName(field.Type),
		Secret: field.Type == reflect.TypeFor[Secret](),
		Doc:    field.Tag.Get("doc"),
	}
	for rest != "" {
		rest = strings.TrimLeft(rest, " ")
		if value, ok := strings.CutPrefix(rest, "default="); ok {
			key.Default = value
			break
		}
		var option string
		option, rest, _ = strings.Cut(rest, ",")
		if strings.TrimSpace(option) == "required" {
			key.Required = true
		}
	}
	return key
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Secret]():
		return "secret"
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case decodesItself(t):
		return strings.ToLower(t.Name())
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	default:
		return t.Kind().String()
	}
}

// decodesItself reports whether a type's own method parses the value.
func decodesItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// A Group is a section of the settings' documentation.
type Group struct {
	Title string
	// Intro is Markdown put between the title and the table; it may be empty.
	Intro string
	Keys  []Key
}

// NewGroup returns a section with the settings of the configuration struct cfg,
// less those of the structs in shared, which have sections of their own.
func NewGroup(title, intro string, cfg any, shared ...any) Group {
	keys := Keys(cfg)
	for _, other := range shared {
		have := Keys(other)
		keys = slices.DeleteFunc(keys, func(k Key) bool { return slices.Contains(have, k) })
	}
	return Group{Title: title, Intro: intro, Keys: keys}
}

// Markdown writes groups as sections of a GitHub-flavoured Markdown document,
// each a second-level heading and a table of its settings.
func Markdown(w io.Writer, groups []Group) error {
	out := bufio.NewWriter(w)
	for i, group := range groups {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "## %s\n\n", group.Title)
		if group.Intro != "" {
			fmt.Fprintf(out, "%s\n\n", strings.TrimSpace(group.Intro))
		}
		fmt.Fprintln(out, "| Key | Type | Default | Meaning |")
		fmt.Fprintln(out, "|---|---|---|---|")
		for _, key := range group.Keys {
			names := "`" + strings.Join(key.Names(), "` or `") + "`"
			fmt.Fprintf(out, "| %s | %s | %s | %s |\n", names, key.Type, defaultCell(key), cell(key.Doc))
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing settings as Markdown: %w", err)
	}
	return nil
}

func defaultCell(key Key) string {
	switch {
	case key.Required:
		return "required"
	case key.Default == "":
		return ""
	default:
		return "`" + cell(key.Default) + "`"
	}
}

// cell makes text fit one table cell. GitHub-flavoured Markdown splits cells at
// | even within code, unless it is escaped.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
