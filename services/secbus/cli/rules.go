package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/shipper"
)

// ruleStage is the shipper's stage of local rules, without a bus. A file called
// "" stands for the rules that the project ships. Faults in a file are returned
// as a *config.Errors.
type ruleStage interface {
	// Check returns the names of a file's rules, in its order.
	Check(file string) (names []string, err error)
	// Test applies a file's rules to a capture, the lines that source's sensor
	// wrote, and returns how many lines there are. each gets the lines that rules
	// have matched, counted from 1; after is nil where the event is dropped.
	Test(file, source string, capture io.Reader, each func(line int, before, after *proto.Event, matched []string) error) (lines int, err error)
}

type rulesCommand struct {
	Test  rulesTestCommand  `cmd:"" help:"Show what local rules would do to a capture. Publishes nothing."`
	Check rulesCheckCommand `cmd:"" help:"Say whether a file of local rules is in order."`
}

type rulesCheckCommand struct {
	File string `arg:"" help:"The rules file."`
}

// Run lists the rules, or every fault.
func (c *rulesCheckCommand) Run(term Terminal, stage ruleStage) error {
	names, err := stage.Check(c.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(term.Stdout, "%d rules: %s\n", len(names), strings.Join(names, ", "))
	return err
}

type rulesTestCommand struct {
	File   string `arg:"" help:"The capture: lines as a sensor writes them, such as eve.json."`
	Rules  string `placeholder:"FILE" help:"The rules file; the shipped rules if not given."`
	Source string `enum:",suricata,tracee" default:"" placeholder:"NAME" help:"Which sensor wrote the capture: suricata or tracee; found out from its first line if not given."`
	JSON   bool   `help:"Print each change, and then the summary, as a line of JSON."`
}

// Help is shown by --help.
func (rulesTestCommand) Help() string {
	return "Normalizes each line of the capture as the shipper would, applies the rules, and shows the lines that a rule matches: severity and title before and after, or that the event would be dropped."
}

// Run applies the rules and reports.
func (c *rulesTestCommand) Run(term Terminal, stage ruleStage) error {
	names, err := stage.Check(c.Rules)
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("opening the capture: %w", err)
	}
	defer file.Close()
	capture := bufio.NewReaderSize(file, maxFirstLine)
	source := c.Source
	if source == "" {
		if source, err = sourceOf(capture); err != nil {
			return err
		}
	}
	report := ruleReport{out: term.Stdout, json: c.JSON, Source: source, Rules: make(map[string]int)}
	report.Lines, err = stage.Test(c.Rules, source, capture, report.change)
	if err != nil {
		return fmt.Errorf("testing rules on %s: %w", c.File, err)
	}
	return report.summary(names)
}

// maxFirstLine is how much of a capture's first line is looked at, in bytes.
const maxFirstLine = 256 << 10

// sourceOf finds out which sensor wrote a capture without reading from it.
func sourceOf(capture *bufio.Reader) (string, error) {
	head, err := capture.Peek(maxFirstLine)
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading the capture: %w", err)
	}
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	var names struct {
		Suricata *string          `json:"event_type"`
		Tracee   *string          `json:"eventName"` // v0.24
		Workload *json.RawMessage `json:"workload"`  // v1beta1
	}
	switch err := json.Unmarshal(line, &names); {
	case err == nil && names.Suricata != nil:
		return shipper.SourceSuricata, nil
	case err == nil && (names.Tracee != nil || names.Workload != nil):
		return shipper.SourceTracee, nil
	}
	return "", errors.New("the capture's first line is neither Suricata's nor Tracee's: give --source")
}

// ruleReport counts and prints what rules do to a capture.
type ruleReport struct {
	out  io.Writer
	json bool

	Source  string         `json:"source"`
	Lines   int            `json:"lines"`
	Changed int            `json:"changed"`
	Dropped int            `json:"dropped"`
	Rules   map[string]int `json:"rules"` // lines that each has matched
}

// ruleChange is a line of the report in JSON.
type ruleChange struct {
	Line   int        `json:"line"`
	Rules  []string   `json:"rules"`
	Before ruleEvent  `json:"before"`
	After  *ruleEvent `json:"after"` // null: dropped
}

// ruleEvent is what rules can change of an event.
type ruleEvent struct {
	Severity proto.Severity `json:"severity"`
	Title    string         `json:"title"`
	Tags     []string       `json:"tags,omitempty"`
}

func (r *ruleReport) change(line int, before, after *proto.Event, matched []string) error {
	for _, name := range matched {
		r.Rules[name]++
	}
	c := ruleChange{Line: line, Rules: matched, Before: ruleEvent{before.Severity, before.Title, before.Tags}}
	if after == nil {
		r.Dropped++
	} else {
		r.Changed++
		c.After = &ruleEvent{after.Severity, after.Title, after.Tags}
	}
	if r.json {
		return r.printLine(c)
	}
	_, err := io.WriteString(r.out, c.words())
	return err
}

// words describes a change for a person:
//
//	line 20: info → high by openclaw-secrets
//	  - openat /home/node/.openclaw/openclaw.json (python3)
//	  + OpenClaw's secrets opened by another program: openat …
func (c *ruleChange) words() string {
	const longest = 200
	var b strings.Builder
	fmt.Fprintf(&b, "line %d: %s", c.Line, c.Before.Severity)
	switch {
	case c.After == nil:
		b.WriteString(", dropped")
	case c.After.Severity != c.Before.Severity:
		fmt.Fprintf(&b, " → %s", c.After.Severity)
	}
	fmt.Fprintf(&b, " by %s\n", strings.Join(c.Rules, ", "))
	if c.After == nil || c.After.Title != c.Before.Title {
		fmt.Fprintf(&b, "  - %s\n", render.Clean(c.Before.Title, longest))
	}
	if c.After != nil {
		mark := "+"
		if c.After.Title == c.Before.Title {
			mark = " "
		}
		fmt.Fprintf(&b, "  %s %s\n", mark, render.Clean(c.After.Title, longest))
	}
	return b.String()
}

// summary ends the report; names are all rules, so that one that has matched
// nothing is seen.
func (r *ruleReport) summary(names []string) error {
	for _, name := range names {
		r.Rules[name] += 0
	}
	if r.json {
		return r.printLine(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d lines of %s: %d changed, %d dropped\n", r.Lines, r.Source, r.Changed, r.Dropped)
	for _, name := range names {
		fmt.Fprintf(&b, "  %6d by %s\n", r.Rules[name], name)
	}
	_, err := io.WriteString(r.out, b.String())
	return err
}

func (r *ruleReport) printLine(v any) error {
	enc := json.NewEncoder(r.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
