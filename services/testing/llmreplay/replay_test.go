package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{bustest.ServerRole: bustest.Serve})
	m.Run()
}

// TestRecordings replays the project's recordings, or those of the folder that
// TEST_RECORDINGS names.
func TestRecordings(t *testing.T) {
	recordings, err := choose("", "")
	if err != nil {
		t.Fatal(err)
	}
	attempts := replay(t, recordings, allFramings...)
	for _, a := range attempts {
		for _, d := range a.differences {
			t.Error(a.describe(d))
		}
	}
	if t.Failed() {
		var table strings.Builder
		summarize(&table, attempts, true)
		t.Log(table.String())
	}
}

// TestDifferencesAreFound: each wrong expectation is reported, by its name.
func TestDifferencesAreFound(t *testing.T) {
	const request = `"request":{"path":"/v1/chat/completions","headers":{"x-title":"Harbor","x-odd":"1"},"json":{"model":"m","messages":[{"role":"user","content":"hi"}]}}`
	const response = `"response":{"json":{"id":"c1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ho",` +
		`"tool_calls":[{"id":"t1","type":"function","function":{"name":"read","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}}`
	wrong := map[string]string{
		`"status":201`:                            "answer: status",
		`"decision":"blocked"`:                    "answer: end",
		`"body":"{}"`:                             "answer: body",
		`"contains":["salt"]`:                     `answer: contains "salt"`,
		`"lacks":["ho"]`:                          `answer: contains "ho"`,
		`"headers":{"Retry-After":"1"}`:           "answer: header Retry-After",
		`"upstream":{"requests":2}`:               "request: requests",
		`"upstream":{"path":"/v2"}`:               "request: path",
		`"upstream":{"body":"{}"}`:                "request: body",
		`"upstream":{"headers":{"X-Title":null}}`: "request: header X-Title",
		`"upstream":{"headers":{"X-Odd":"1"}}`:    "request: header X-Odd",
		`"model":"n"`:                             "record: model",
		`"id":"c2"`:                               "record: id",
		`"finish_reasons":["stop"]`:               "record: finish reasons",
		`"error_type":"x"`:                        "record: error type",
		`"usage":{"input":4}`:                     "record: usage: input",
		`"usage":{"complete":false}`:              "record: usage: complete",
		`"tool_calls":[]`:                         "record: tool calls",
		`"findings":["canary"]`:                   "record: findings",
		`"alerts":["canary"]`:                     "record: alerts",
		`"reason":"none"`:                         "record: reason",
	}
	var recordings []recording
	for expect := range wrong {
		recordings = append(recordings, one(t, `{"name":`+quote(expect)+`,`+request+`,`+response+`,"expect":{`+expect+`}}`))
	}
	recordings = append(recordings, one(t, `{"name":"right",`+request+`,`+response+`}`))
	for _, a := range replay(t, recordings, asEvents) {
		var found []string
		for _, d := range a.differences {
			found = append(found, string(d.part)+": "+d.what)
		}
		if want := wrong[a.recording.Name]; want == "" && len(found) > 0 || want != "" && !slices.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", a.recording.Name, found, want)
		}
		if !slices.Equal(a.lost, []string{"X-Odd"}) {
			t.Errorf("%s: the headers %q did not arrive", a.recording.Name, a.lost)
		}
	}
}

// TestRun: the exit is by what differs, and the choice by name and framing is heeded.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	write := func(line string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "some.jsonl"), []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	write(`{"name":"models","request":{"method":"GET","path":"/v1/models"},"response":{"json":{"data":[]}},"more":{"not":"known"}}`)
	if err := run(t.Context(), []string{"-framings", "events", folder}, &out); err != nil || !strings.Contains(out.String(), "other             1        1") {
		t.Errorf("%v\n%s", err, out.String())
	}
	write(`{"request":{"method":"GET","path":"/v1/nothing"},"response":{"json":{"data":[]}}}`)
	out.Reset()
	if err := run(t.Context(), []string{"-framings", "events", folder}, &out); !errors.Is(err, errDiffers) || !strings.Contains(out.String(), "some.jsonl:1, events: answer: status\n  want 200\n  got  404") {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, args := range [][]string{{"-framings", "none", folder}, {"-only", "xyz", folder}, {folder, folder}, {t.TempDir()}, {"-wrong"}} {
		if err := run(t.Context(), args, &out); err == nil || errors.Is(err, errDiffers) {
			t.Errorf("%q: %v", args, err)
		}
	}
	write(`{"request":{"path":"v1"}}`)
	if err := run(t.Context(), []string{folder}, &out); err == nil || !strings.Contains(err.Error(), "some.jsonl:1: ") {
		t.Errorf("a wrong line: %v", err)
	}
	if err := run(t.Context(), []string{"-help"}, &out); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "TEST_RECORDINGS") {
		t.Errorf("-help: %v\n%s", err, out.String())
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a text always can be
	return string(b)
}

func one(t *testing.T, line string) recording {
	t.Helper()
	all, err := load(fstest.MapFS{"own.jsonl": {Data: []byte(line)}})
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func replay(t *testing.T, recordings []recording, framings ...framing) []*attempt {
	t.Helper()
	r := &replayer{dir: t.TempDir(), seed: testenv.Seed(t), framings: framings}
	attempts, err := r.run(t.Context(), recordings)
	if err != nil {
		t.Fatal(err)
	}
	return attempts
}
