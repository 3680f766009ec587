package proto_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// asyncAPI is what the tests need of an AsyncAPI 3.0 document
// (https://www.asyncapi.com/docs/reference/specification/v3.0.0).
type asyncAPI struct {
	AsyncAPI string
	Info     struct{ Version string }
	Channels map[string]struct {
		Address    string
		Parameters map[string]reference
		Streams    []string `json:"x-streams"`
	}
	Components struct {
		Parameters map[string]struct {
			Enum []string
		}
		Messages map[string]struct {
			Headers, Payload reference
			Examples         []struct{ Payload reference }
		}
		Schemas map[string]jsonSchema
	}
}

type reference struct {
	Ref string `json:"$ref"`
}

func readAsyncAPI(t *testing.T) (asyncAPI, any) {
	t.Helper()
	b, err := os.ReadFile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var d asyncAPI
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d, decodeAny(t, b)
}

func TestAsyncAPIVersion(t *testing.T) {
	t.Parallel()
	d, _ := readAsyncAPI(t)
	if d.AsyncAPI != "3.0.0" {
		t.Errorf("asyncapi is %q, want 3.0.0", d.AsyncAPI)
	}
	if want := fmt.Sprintf("%d.", proto.SchemaVersion); !strings.HasPrefix(d.Info.Version, want) {
		t.Errorf("info.version is %q, want it to begin with %q", d.Info.Version, want)
	}
}

// TestAsyncAPISeverities and the next test hold the subjects to the package:
// every subject that the document describes is one of the grammar, and goes to
// the streams that its channel names.
func TestAsyncAPISeverities(t *testing.T) {
	t.Parallel()
	d, _ := readAsyncAPI(t)
	var want []string
	for _, s := range proto.Severities() {
		want = append(want, s.String())
	}
	if got := d.Components.Parameters["severity"].Enum; !slices.Equal(got, want) {
		t.Errorf("severities are %q, want %q", got, want)
	}
	if got, want := d.Components.Parameters["class"].Enum, []string{string(proto.ClassAlert), string(proto.ClassEvent)}; !slices.Equal(got, want) {
		t.Errorf("classes are %q, want %q", got, want)
	}
}

func TestAsyncAPIChannels(t *testing.T) {
	t.Parallel()
	d, _ := readAsyncAPI(t)
	reached := make(map[string]bool)
	for name, channel := range d.Channels {
		t.Run(name, func(t *testing.T) {
			var parameters []string
			for _, match := range parameter.FindAllStringSubmatch(channel.Address, -1) {
				parameters = append(parameters, match[1])
			}
			for _, p := range parameters {
				if _, ok := channel.Parameters[p]; !ok {
					t.Errorf("parameter %s is not described", p)
				}
			}
			if len(channel.Parameters) != len(parameters) {
				t.Errorf("described parameters %v are not those of %s", channel.Parameters, channel.Address)
			}

			var streams []string
			for _, subject := range subjects(d, channel.Address) {
				if name != "deadLetters" && name != "deliveries" {
					if _, err := proto.ParseSubject(subject); err != nil {
						t.Error(err)
					}
				}
				streams = append(streams, streamsOf(published(subject))...)
			}
			if strings.Contains(channel.Address, "{class}") {
				streams = append(streams, streamsOf("ingest.event.word.auditor.word.info")...)
			}
			slices.Sort(streams)
			for i, name := range channel.Streams {
				channel.Streams[i] = strings.ReplaceAll(name, "{source}", "word")
			}
			if streams = slices.Compact(streams); !slices.Equal(streams, channel.Streams) {
				t.Errorf("its subjects go to %q, x-streams is %q", streams, channel.Streams)
			}
			for _, s := range streams {
				reached[s] = true
			}
		})
	}
	for _, s := range append(proto.SourceStreams([]proto.SourceName{{Name: "word", Events: true}}), proto.Streams()...) {
		if !reached[s.Name] && !s.LastOnly { // a bucket is no channel
			t.Errorf("no channel leads to %s", s.Name)
		}
	}
	if got, want := d.Channels["deadLetters"].Address, proto.DeadPrefix+".{stream}.{durable}"; got != want {
		t.Errorf("dead letters go to %s, want %s", got, want)
	}
	if got, want := d.Channels["deliveries"].Address, proto.DeliveriesPrefix+".{sink}"; got != want {
		t.Errorf("deliveries go to %s, want %s", got, want)
	}
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// subjects lists what an address stands for: every class and severity that go
// together, and any word for the other parameters.
func subjects(d asyncAPI, address string) []string {
	var all []string
	for _, class := range d.Components.Parameters["class"].Enum {
		for _, token := range d.Components.Parameters["severity"].Enum {
			severity, err := proto.ParseSeverity(token)
			if err == nil && strings.Contains(address, "{class}") && string(severity.Class()) != class {
				continue
			}
			known := strings.NewReplacer("{class}", class, "{severity}", token)
			all = append(all, parameter.ReplaceAllString(known.Replace(address), "word"))
		}
	}
	return all
}

// published is the subject to publish to for a message to be stored under one.
func published(subject string) string {
	if rest, ok := strings.CutPrefix(subject, proto.StoredPrefix+"."); ok {
		return proto.IngestPrefix + "." + rest
	}
	return subject
}

// TestAsyncAPIHeaders: the headers of the document are the package's and NATS's
// own, and none of the package's is missing.
func TestAsyncAPIHeaders(t *testing.T) {
	t.Parallel()
	d, _ := readAsyncAPI(t)
	described := make(map[string]bool)
	for _, message := range d.Components.Messages {
		headers := d.Components.Schemas[strings.TrimPrefix(message.Headers.Ref, "#/components/schemas/")]
		if len(headers.Properties) == 0 {
			t.Errorf("no headers at %q", message.Headers.Ref)
		}
		for name := range headers.Properties {
			if !strings.HasPrefix(name, "Nats-") {
				described[name] = true
			}
		}
	}
	for _, name := range headerConstants(t) {
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is no header of the package", name)
	}
}

// headerConstants reads the values of the constants Header… from the source, so
// that a new one cannot be forgotten here.
func headerConstants(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "header.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil || !strings.HasPrefix(name.Name, "Header") {
				t.Errorf("%s is no header's name: %v", name.Name, err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}

// TestAsyncAPIReferences: everything the document refers to exists, and it shows
// every example, under a message whose schema the example obeys.
func TestAsyncAPIReferences(t *testing.T) {
	t.Parallel()
	d, tree := readAsyncAPI(t)
	walkReferences(tree, func(ref string) {
		if pointer, ok := strings.CutPrefix(ref, "#/"); ok {
			if !resolves(tree, strings.Split(pointer, "/")) {
				t.Errorf("%s leads nowhere", ref)
			}
		} else if _, err := os.Stat(ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	})
	shown := make(map[string]bool)
	for name, message := range d.Components.Messages {
		for _, example := range message.Examples {
			file := filepath.Base(example.Payload.Ref)
			shown[file] = true
			schema := readSchema(t, filepath.Base(message.Payload.Ref))
			if err := schema.check(decodeAny(t, readExample(t, file))); err != nil {
				t.Errorf("%s, example %s: %v", name, file, err)
			}
		}
	}
	files, err := os.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !shown[f.Name()] {
			t.Errorf("examples/%s is not shown", f.Name())
		}
	}
}

func walkReferences(v any, visit func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if ref, ok := member.(string); ok && key == "$ref" {
				visit(ref)
			}
			walkReferences(member, visit)
		}
	case []any:
		for _, item := range v {
			walkReferences(item, visit)
		}
	}
}

func resolves(v any, tokens []string) bool {
	for _, token := range tokens {
		object, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = object[token]; !ok {
			return false
		}
	}
	return true
}
