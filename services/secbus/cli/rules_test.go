package cli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// fakeStage is a stage of two rules that does what onTest says.
type fakeStage struct {
	fault  error
	onTest func(source string, capture io.Reader, each func(int, *proto.Event, *proto.Event, []string) error) (int, error)
}

func (s fakeStage) Check(string) ([]string, error) { return []string{"first", "second"}, s.fault }

func (s fakeStage) Test(_, source string, capture io.Reader, each func(int, *proto.Event, *proto.Event, []string) error) (int, error) {
	return s.onTest(source, capture, each)
}

// threeChanges is a capture of whose lines one is raised, one retitled, one dropped.
func threeChanges(_ string, capture io.Reader, each func(int, *proto.Event, *proto.Event, []string) error) (int, error) {
	text, err := io.ReadAll(capture)
	before := &proto.Event{Title: "TLS to\x1b x", Severity: proto.SeverityLow}
	raised := &proto.Event{Title: before.Title, Severity: proto.SeverityHigh, Tags: []string{"rule:first"}}
	retitled := &proto.Event{Title: "known", Severity: proto.SeverityLow, Tags: []string{"rule:first", "rule:second"}}
	return strings.Count(string(text), "\n"), errors.Join(err,
		each(2, before, raised, []string{"first"}),
		each(3, before, retitled, []string{"first", "second"}),
		each(5, before, nil, []string{"first"}))
}

func TestRulesTest(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "eve.json")
	if err := os.WriteFile(capture, []byte(strings.Repeat(`{"event_type":"tls"}`+"\n", 6)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		json bool
		want string
	}{
		{"for a person", false, `line 2: low → high by first
    TLS to  x
line 3: low by first, second
  - TLS to  x
  + known
line 5: low, dropped by first
  - TLS to  x
6 lines of suricata: 2 changed, 1 dropped
       3 by first
       1 by second
`},
		{"for a machine", true, `{"line":2,"rules":["first"],"before":{"severity":"low","title":"TLS to\u001b x"},"after":{"severity":"high","title":"TLS to\u001b x","tags":["rule:first"]}}
{"line":3,"rules":["first","second"],"before":{"severity":"low","title":"TLS to\u001b x"},"after":{"severity":"low","title":"known","tags":["rule:first","rule:second"]}}
{"line":5,"rules":["first"],"before":{"severity":"low","title":"TLS to\u001b x"},"after":null}
{"source":"suricata","lines":6,"changed":2,"dropped":1,"rules":{"first":3,"second":1}}
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := childproc.NewOutput(t, t.TempDir())
			c := rulesTestCommand{File: capture, JSON: test.json}
			if err := c.Run(Terminal{Stdout: out.File}, fakeStage{onTest: threeChanges}); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestRulesFaults(t *testing.T) {
	faulty := fakeStage{fault: &config.Errors{Faults: []*config.Fault{{Err: errors.New("rules.yaml:1:1: x")}}}}
	out := childproc.NewOutput(t, t.TempDir())
	term := Terminal{Stdout: out.File}
	if code := exitCode((&rulesTestCommand{File: "none"}).Run(term, faulty), io.Discard); code != exitUsage {
		t.Errorf("test of faulty rules exits with %d", code)
	}
	if code := exitCode((&rulesCheckCommand{File: "x"}).Run(term, faulty), io.Discard); code != exitUsage {
		t.Errorf("check of faulty rules exits with %d", code)
	}
	if code := exitCode((&rulesTestCommand{File: "none"}).Run(term, fakeStage{}), io.Discard); code != exitFailed {
		t.Errorf("without a capture it exits with %d", code)
	}
	if err := (&rulesCheckCommand{File: "x"}).Run(term, fakeStage{}); err != nil || out.String() != "2 rules: first, second\n" {
		t.Errorf("check says %q (%v)", out.String(), err)
	}
}

func TestSourceOf(t *testing.T) {
	for _, test := range []struct{ name, capture, want string }{
		{"Suricata", `{"timestamp":"x","event_type":"dns"}` + "\nx", "suricata"},
		{"Tracee 0.24", `{"eventName":"openat"}`, "tracee"},
		{"Tracee v1beta1", `{"name":"openat","workload":{}}` + "\n", "tracee"},
		{"something else", `{"name":"x"}`, ""},
		{"no JSON", "x\n", ""},
		{"nothing", "", ""},
		{"a first line too long to tell", `{"x":"` + strings.Repeat("x", maxFirstLine) + `","event_type":"x"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			capture := bufio.NewReaderSize(strings.NewReader(test.capture), maxFirstLine)
			got, err := sourceOf(capture)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q (%v), want %q", got, err, test.want)
			}
			rest, _ := io.ReadAll(capture)
			if string(rest) != test.capture {
				t.Error("something was read of the capture")
			}
		})
	}
}
