package proto_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// otelNames are the attributes of OpenTelemetry's semantic conventions 1.41.0
// that the audit record uses (go.opentelemetry.io/otel/semconv/v1.41.0).
var otelNames = []string{
	"error.type",
	"gen_ai.operation.name",
	"gen_ai.provider.name",
	"gen_ai.request.model",
	"gen_ai.response.finish_reasons",
	"gen_ai.response.id",
	"gen_ai.response.model",
	"gen_ai.response.time_to_first_chunk",
	"gen_ai.tool.call.id",
	"gen_ai.tool.name",
	"gen_ai.usage.cache_creation.input_tokens",
	"gen_ai.usage.cache_read.input_tokens",
	"gen_ai.usage.input_tokens",
	"gen_ai.usage.output_tokens",
	"gen_ai.usage.reasoning.output_tokens",
	"http.request.method",
	"http.response.status_code",
	"server.address",
	"server.port",
	"session.id", // attributes/session, experimental there as the GenAI ones are
	"url.path",
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func TestJSONNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		record reflect.Type
		dotted []string
	}{
		{"event", reflect.TypeFor[proto.Event](), nil},
		{"audit", reflect.TypeFor[proto.Audit](), otelNames},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var dotted []string
			for _, name := range jsonNames(tt.record) {
				switch {
				case strings.Contains(name, "."):
					dotted = append(dotted, name)
				case !snakeCase.MatchString(name):
					t.Errorf("%q is not snake_case", name)
				}
			}
			slices.Sort(dotted)
			if dotted = slices.Compact(dotted); !slices.Equal(dotted, tt.dotted) {
				t.Errorf("dotted names are\n%q, want\n%q", dotted, tt.dotted)
			}
		})
	}
}

// jsonNames lists the JSON names of a record's fields and of what they hold.
func jsonNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		inner := f.Type
		if inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			names = append(names, jsonNames(inner)...)
		}
	}
	return names
}
