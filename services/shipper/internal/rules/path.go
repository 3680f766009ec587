package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/expr"
)

// checkPath says what is wrong with a path into an event. A misspelt field would
// otherwise be null for ever, and its rule silent. What raw holds is the
// sensor's matter.
func checkPath(path expr.Path) error {
	if len(path) == 0 || path[0] == expr.Anywhere || path[0] == expr.Index {
		return errors.New("$ must be followed by a field's name")
	}
	t := reflect.TypeFor[proto.Event]()
	way := "$"
	for _, step := range path {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		isList := t.Kind() == reflect.Slice && t != reflect.TypeFor[json.RawMessage]()
		switch {
		case t == reflect.TypeFor[json.RawMessage](), step == expr.Anywhere:
			return nil
		case step == expr.Index && isList:
			t = t.Elem()
			way += "[…]"
			continue
		case step == expr.Index:
			return fmt.Errorf("%s is not a list", way)
		case isList:
			return fmt.Errorf("%s is a list: write %s[0].%s, or %s[*].%s for all", way, way, step, way, step)
		}
		way += "." + step
		var known bool
		if t, known = field(t, step); !known {
			return fmt.Errorf("no event has a field %s", way)
		}
	}
	return nil
}

// field returns the type of what a struct calls name in JSON.
func field(t reflect.Type, name string) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() && tag == name {
			return f.Type, true
		}
	}
	return nil, false
}
