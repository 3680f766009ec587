package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"
)

type postureCommand struct {
	File   string `arg:"" optional:"" help:"What it wrote; standard input by default."`
	Output string `placeholder:"FILE" type:"path" help:"File to add the lines to, which a shipper follows; standard output by default."`
	State  string `placeholder:"FILE" type:"path" help:"File that remembers the findings of the last time, so that only new ones become alerts."`
}

// Help is shown by --help.
func (postureCommand) Help() string {
	return "Makes a line of JSON of each finding of `openclaw security audit --json`, and one of their number, for a shipper with mappings/openclaw-posture.yaml. Run it once a day; docs/mappings.md shows how."
}

// Bounds of what OpenClaw's audit may write.
const (
	maxAudit    = 4 << 20 // bytes
	maxFindings = 1000
)

// securityAudit is what `openclaw security audit --json` writes (openclaw/openclaw,
// docs/cli/security.md).
type securityAudit struct {
	Time    int64 `json:"ts"` // milliseconds since 1970
	Summary struct {
		Critical int `json:"critical"`
		Warn     int `json:"warn"`
		Info     int `json:"info"`
	} `json:"summary"`
	Findings []auditFinding `json:"findings"`
}

type auditFinding struct {
	Check       string `json:"checkId"`
	Severity    string `json:"severity"` // critical, warn or info
	Title       string `json:"title"`
	Detail      string `json:"detail"`
	Remediation string `json:"remediation,omitempty"`
}

// postureLine is one of the lines that the mapping reads.
type postureLine struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`             // finding or summary
	Status   string    `json:"status,omitempty"` // new, same or gone
	Severity string    `json:"severity"`
	Check    string    `json:"check,omitempty"`
	Title    string    `json:"title"`
	Detail   string    `json:"detail,omitempty"`
	Remedy   string    `json:"remedy,omitempty"`
}

// Run writes the lines, and then remembers the findings: if that fails, they are
// new once more.
func (c *postureCommand) Run(term Terminal) error {
	in := term.Stdin
	if c.File != "" {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("opening the audit: %w", err)
		}
		defer file.Close()
		in = file
	}
	audit, err := readAudit(in)
	if err != nil {
		return err
	}
	before, err := c.remembered()
	if err != nil {
		return err
	}
	var text []byte
	for _, line := range posture(audit, before, time.Now()) {
		encoded, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("encoding a finding: %w", err)
		}
		text = append(append(text, encoded...), '\n')
	}
	if err := c.write(term, text); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	if c.State == "" {
		return nil
	}
	state, err := json.Marshal(audit.Findings)
	if err == nil {
		err = renameio.WriteFile(c.State, state, 0o600, renameio.WithTempDir(filepath.Dir(c.State)))
	}
	if err != nil {
		return fmt.Errorf("remembering the findings: %w", err)
	}
	return nil
}

func readAudit(in io.Reader) (securityAudit, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxAudit+1))
	if err != nil {
		return securityAudit{}, fmt.Errorf("reading the audit: %w", err)
	}
	if len(text) > maxAudit {
		return securityAudit{}, fmt.Errorf("the audit is longer than %d bytes", maxAudit)
	}
	// What plugins print stands before it.
	if at := bytes.Index(append([]byte("\n"), text...), []byte("\n{")); at > 0 {
		text = text[at:]
	}
	var audit securityAudit
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&audit); err != nil {
		return securityAudit{}, fmt.Errorf("this is not what openclaw security audit --json writes: %w", err)
	}
	if audit.Findings == nil {
		return securityAudit{}, errors.New("this is not what openclaw security audit --json writes: it has no findings")
	}
	audit.Findings = audit.Findings[:min(len(audit.Findings), maxFindings)]
	return audit, nil
}

func (c *postureCommand) remembered() ([]auditFinding, error) {
	if c.State == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var before []auditFinding
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the findings of the last time: %w", err)
	}
	return before, nil
}

// posture are the lines of an audit, compared with the findings of the one before.
func posture(audit securityAudit, before []auditFinding, now time.Time) []postureLine {
	if audit.Time > 0 {
		now = time.UnixMilli(audit.Time)
	}
	now = now.UTC()
	same := func(f auditFinding) func(auditFinding) bool {
		return func(g auditFinding) bool {
			return f.Check == g.Check && f.Severity == g.Severity && f.Detail == g.Detail
		}
	}
	line := func(f auditFinding, status string) postureLine {
		return postureLine{now, "finding", status, f.Severity, f.Check, f.Title, f.Detail, f.Remediation}
	}
	var lines []postureLine
	for _, f := range audit.Findings {
		status := "new"
		if slices.ContainsFunc(before, same(f)) {
			status = "same"
		}
		lines = append(lines, line(f, status))
	}
	for _, f := range before {
		if !slices.ContainsFunc(audit.Findings, same(f)) {
			lines = append(lines, line(f, "gone"))
		}
	}
	s := audit.Summary
	return append(lines, postureLine{
		Time: now, Kind: "summary", Severity: "info",
		Title: fmt.Sprintf("OpenClaw's security audit: %d critical, %d to look at, %d for information", s.Critical, s.Warn, s.Info),
	})
}

// write adds text to the output file at once, so that a shipper never reads half a
// line, or prints it.
func (c *postureCommand) write(term Terminal, text []byte) error {
	if c.Output == "" {
		_, err := term.Stdout.Write(text)
		return err
	}
	// A shipper runs as another user.
	file, err := os.OpenFile(c.Output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
