package config

import (
	"encoding"
	"reflect"
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
	v := reflect.Indirect(reflect.ValueOf(dst))
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
			found = append(found, settings(v.Field(i))...)
		}
	}
	return found
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
