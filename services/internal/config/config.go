// Package config reads a service's settings from its environment.
//
// A service declares its settings as a struct, one field each:
//
//	type Config struct {
//		Path string `env:"SHIPPER_PATH, required" doc:"File to follow."`
//		Idle time.Duration `env:"SHIPPER_IDLE, default=30s" doc:"How long to wait before …"`
//		Bus  config.NATS
//	}
//
// The env tag is go-envconfig's, of which this package supports the key and
// the options required and default; the doc tag feeds --help and
// docs/configuration.md. Fields are of basic types, durations, slices of these,
// or types that implement [encoding.TextUnmarshaler]. Untagged struct fields
// nest. A struct with a Validate() error method is asked to check itself once
// it is filled.
//
// An empty value counts as unset, because environment files and compose's
// ${KEY:-} cannot tell the two apart. A field for which empty means something
// says so with the tag empty:"allowed".
//
// Every setting of type [Secret] can also be given as KEY_FILE, the path of a
// file that holds the value.
package config

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// Load fills dst, a pointer to a configuration struct, from environ, a list of
// KEY=VALUE as [os.Environ] returns it. Every tagged field is overwritten.
//
// Settings that are missing or wrong come back together as one [*Errors]; then
// dst must not be used. Any other error is a mistake in the struct's tags.
func Load(dst any, environ []string) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("loading configuration into %T: not a pointer to a struct", dst)
	}
	env := parseEnviron(environ)
	var faults Errors
	for _, s := range settings(v.Elem()) {
		if !s.field.IsExported() || s.Name == "" {
			return fmt.Errorf("declaring setting %s: the field must be exported and its env tag must name a variable", s.field.Name)
		}
		if err := s.load(env); err != nil {
			faults.add(&Fault{Key: s.Name, Err: err})
		}
	}
	validate(v.Elem(), &faults)
	if len(faults.Faults) > 0 {
		return &faults
	}
	return nil
}

func parseEnviron(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		if key, value, ok := strings.Cut(entry, "="); ok {
			env[key] = value
		}
	}
	return env
}

// Lookup returns what environ says of key, empty if nothing.
func Lookup(environ []string, key string) string { return parseEnviron(environ)[key] }

// load sets the field from env, or says what is wrong without naming the key.
func (s setting) load(env map[string]string) error {
	value, found := env[s.Name]
	found = found && (value != "" || s.allowEmpty)
	if s.Secret {
		var err error
		if value, found, err = secretFromEnv(env, s.Name); err != nil {
			return err
		}
	}

	// go-envconfig stops at the first fault in a struct, so each field is
	// processed as a struct of its own.
	one := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: s.field.Name,
		Type: s.field.Type,
		Tag:  s.field.Tag,
	}}))
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
		Target: one.Interface(),
		Lookuper: envconfig.LookuperFunc(func(key string) (string, bool) {
			if key == s.Name {
				return value, found
			}
			other, ok := env[key] // a default may refer to another variable
			return other, ok
		}),
	})
	switch {
	case err == nil:
		s.value.Set(one.Elem().Field(0))
		return nil
	case errors.Is(err, envconfig.ErrMissingRequired):
		return fmt.Errorf("required but not set. %s", s.Doc)
	case !found:
		return fmt.Errorf("declared wrongly: %w", err)
	default:
		return s.explain(value, err)
	}
}

// explain says what was expected instead of value. Only settings that are not
// secret get here: a secret takes any value.
func (s setting) explain(value string, err error) error {
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%.100q is out of range", value)
	case s.Type == "bool":
		return fmt.Errorf("%.100q is neither true nor false", value)
	case s.Type == "int":
		return fmt.Errorf("%.100q is not a whole number", value)
	case s.Type == "float":
		return fmt.Errorf("%.100q is not a number", value)
	case s.Type == "duration":
		return fmt.Errorf("%.100q is not a duration such as 30s, 5m or 1h30m", value)
	case strings.HasPrefix(s.Type, "list of "):
		return fmt.Errorf("%.100q is not a comma-separated %s", value, s.Type)
	}
	// go-envconfig tries every decoder a type has and returns the error of the
	// last, which is about bytes; the one about text says what was expected.
	if text, ok := reflect.New(s.field.Type).Interface().(encoding.TextUnmarshaler); ok {
		if textErr := text.UnmarshalText([]byte(value)); textErr != nil {
			err = textErr
		}
	}
	return fmt.Errorf("%.100q: %w", value, err)
}

// validate asks the structs in v, then v itself, to check their values.
func validate(v reflect.Value, faults *Errors) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		_, tagged := field.Tag.Lookup("env")
		if !tagged && field.IsExported() && field.Type.Kind() == reflect.Struct {
			for _, nested := range structs(v.Field(i)) {
				validate(nested, faults)
			}
		}
	}
	if checked, ok := v.Addr().Interface().(interface{ Validate() error }); ok {
		if err := checked.Validate(); err != nil {
			faults.add(err)
		}
	}
}
