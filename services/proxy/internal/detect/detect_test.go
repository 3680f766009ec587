package detect

import (
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// testKey has the shape of a key and belongs to nobody.
const testKey = "sk-ant-" + "api03-Zk3vR9qTnW5yB8mXcL2pHd7sJfG4aUeK1oVwQ6iNtY0rDzxMbSgPjFhCu-lE_T5k9AAw3Q8"

// alone is a detector in which one rule observes and all others are off.
func alone(t testing.TB, rule string) *Detector {
	t.Helper()
	c := Config{Modes: Modes{}, Keys: []config.Secret{config.NewSecret(testKey)}}
	for _, r := range Rules() {
		c.Modes[r.Name] = Off
	}
	c.Modes[rule] = Observe
	return build(t, c)
}

func build(t testing.TB, c Config) *Detector {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func said(role inspect.Role, texts ...string) *inspect.Request {
	var r inspect.Request
	for _, text := range texts {
		r.Segments = append(r.Segments, inspect.Segment{Role: role, Text: []byte(text)})
	}
	return &r
}

func bash(command string) llmapi.ToolCall { return call("bash", "command", command) }

// call is a tool call with one argument.
func call(tool, name, value string) llmapi.ToolCall {
	return llmapi.ToolCall{Name: tool, Arguments: []byte(`{` + quote(name) + `:` + quote(value) + `}`)}
}

func quote(s string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)
	return `"` + r.Replace(s) + `"`
}

func rules(found []Finding) []string {
	var names []string
	for _, f := range found {
		names = append(names, f.Rule)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func details(found []Finding) string {
	var list []string
	for _, f := range found {
		list = append(list, f.Detail)
	}
	return strings.Join(list, "; ")
}

func callOf(arguments []byte) llmapi.ToolCall {
	return llmapi.ToolCall{Name: "x", Arguments: arguments}
}
