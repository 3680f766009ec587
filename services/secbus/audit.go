package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/internal/render"
)

type auditCommand struct {
	List    auditListCommand    `cmd:"" help:"Show LLM requests."`
	Show    auditShowCommand    `cmd:"" help:"Show one request, with its records as they are logged."`
	Tail    auditTailCommand    `cmd:"" help:"Show requests as they end."`
	Report  auditReportCommand  `cmd:"" help:"Sum up requests: tokens, cost, times, what was blocked."`
	Tools   auditToolsCommand   `cmd:"" help:"Show which tools the agent has called."`
	Export  auditExportCommand  `cmd:"" help:"Write the log in another schema: OCSF or OpenTelemetry's names."`
	Verify  auditVerifyCommand  `cmd:"" help:"Check that the log is as it was written and agrees with the stream."`
	Reindex auditReindexCommand `cmd:"" help:"Build the index again from the log."`
}

// logFlags choose the audit log that a command reads.
type logFlags struct {
	dataFlags
	Log string `env:"SECBUS_AUDIT" placeholder:"DIR" type:"path" help:"Directory of the audit log (AUDIT_DIR of the auditor); audit in the data directory by default."`
}

// reader opens the log for reading.
func (f logFlags) reader() (auditor.Reader, error) {
	dir := f.Log
	if dir == "" {
		data, err := f.dir()
		if err != nil {
			return auditor.Reader{}, err
		}
		dir = filepath.Join(data, "audit")
	}
	return auditor.Reader{Dir: dir, Zone: time.Local}, nil
}

// requestFlags choose requests.
type requestFlags struct {
	Since    moment         `placeholder:"WHEN" help:"From when: 15m, 2h, 7d, or 2026-11-22T07:00:00Z."`
	Until    moment         `placeholder:"WHEN" help:"Until when."`
	Model    string         `placeholder:"NAME" help:"Only this model."`
	Provider string         `placeholder:"NAME" help:"Only this provider: anthropic, openai, gcp.gemini."`
	Client   string         `placeholder:"NAME" help:"Only this client."`
	Tool     string         `placeholder:"NAME" help:"Only requests whose answer calls this tool."`
	Verdict  proto.Decision `placeholder:"WORD" help:"Only these: allowed, blocked, refused or failed."`
	Status   int            `placeholder:"CODE" help:"Only those answered with this HTTP status."`
	Rule     string         `placeholder:"NAME" help:"Only those with a finding of this detection."`
	Severity proto.Severity `default:"info" placeholder:"LEVEL" help:"Least severity."`

	Interrupted bool `help:"Only requests that began and never ended."`
}

func (f requestFlags) filter() auditor.Filter {
	return auditor.Filter{
		Since: f.Since.Time, Until: f.Until.Time, Model: f.Model, Provider: f.Provider, Client: f.Client,
		Tool: f.Tool, Decision: f.Verdict, Status: f.Status, Rule: f.Rule, MinSeverity: f.Severity, Interrupted: f.Interrupted,
	}
}

// formatFlags choose how an answer is written.
type formatFlags struct {
	JSON bool `help:"Print as JSON." xor:"format"`
	CSV  bool `help:"Print as CSV." xor:"format"`
}

func (f formatFlags) format() auditor.Format {
	switch {
	case f.JSON:
		return auditor.JSON
	case f.CSV:
		return auditor.CSV
	}
	return auditor.Text
}

type auditListCommand struct {
	logFlags
	requestFlags
	formatFlags
	Limit  int    `default:"50" help:"Most requests shown; 0 for all (${default})."`
	After  string `placeholder:"ID" help:"Go on behind this request."`
	Oldest bool   `help:"Oldest first."`
}

// Run lists requests.
func (c *auditListCommand) Run(ctx context.Context, term terminal) error {
	r, err := c.reader()
	if err != nil {
		return err
	}
	return r.List(ctx, term.stdout, c.format(), c.filter(), auditor.Order{OldestFirst: c.Oldest, After: c.After, Limit: c.Limit})
}

type auditShowCommand struct {
	logFlags
	ID string `arg:"" help:"Id of the request, or its first digits, as list, messages and X-Secbus-Request-Id show it."`
}

// Run prints the request as one JSON document.
func (c *auditShowCommand) Run(ctx context.Context, term terminal) error {
	r, err := c.reader()
	if err != nil {
		return err
	}
	s, err := r.Show(ctx, c.ID)
	if err != nil {
		return err
	}
	return printJSON(term.stdout, map[string]any{"request": s.Request, "start_record": rawOrNil(s.Start), "end_record": rawOrNil(s.End)})
}

type auditReportCommand struct {
	logFlags
	requestFlags
	formatFlags
	By auditor.By `default:"day" enum:"day,hour,model,client,tool" help:"What makes a row: ${enum} (${default})."`
}

// Help is shown by --help.
func (auditReportCommand) Help() string {
	return "Costs are by the list prices that are shipped, which have a date, or by the file that LLM_PRICES names. A model without a price is counted and named, never guessed."
}

// Run sums up requests.
func (c *auditReportCommand) Run(ctx context.Context, term terminal) error {
	var settings price.Settings
	if err := config.Load(&settings, term.environ); err != nil {
		return err
	}
	prices, err := settings.Load()
	if err != nil {
		return err
	}
	r, err := c.reader()
	if err != nil {
		return err
	}
	return r.Report(ctx, term.stdout, c.format(), c.By, c.filter(), prices)
}

type auditToolsCommand struct {
	logFlags
	requestFlags
	formatFlags
}

// Run shows the trail of tools.
func (c *auditToolsCommand) Run(ctx context.Context, term terminal) error {
	r, err := c.reader()
	if err != nil {
		return err
	}
	return r.Tools(ctx, term.stdout, c.format(), c.filter())
}

type auditExportCommand struct {
	logFlags
	Schema string `arg:"" enum:"ocsf,otel" help:"ocsf for API Activity of the Open Cybersecurity Schema Framework, otel for the names of OpenTelemetry's conventions."`
	After  string `placeholder:"ID" help:"Go on behind this record, which the last export named."`
}

// Run writes the log's records, one JSON object a line.
func (c *auditExportCommand) Run(ctx context.Context, term terminal) error {
	r, err := c.reader()
	if err != nil {
		return err
	}
	written, last, err := r.Export(ctx, term.stdout, c.Schema, c.After)
	fmt.Fprintf(term.stderr, "%d records exported", written)
	if last != "" {
		fmt.Fprintf(term.stderr, "; go on with --after %s", last)
	}
	fmt.Fprintln(term.stderr)
	return err
}

type auditVerifyCommand struct {
	targetFlags
	Log       string `env:"SECBUS_AUDIT" placeholder:"DIR" type:"path" help:"Directory of the audit log (AUDIT_DIR of the auditor); audit in the data directory by default."`
	PublicKey string `placeholder:"FILE" type:"path" help:"The log's public key from where you have kept it; the one beside the log proves less."`
	Offline   bool   `help:"Do not compare with the bus."`
	JSON      bool   `help:"Print as JSON."`
}

// Help is shown by --help.
func (auditVerifyCommand) Help() string {
	return "Reads all of the log and checks every hash and signature, and against the bus that it holds what the stream holds and agrees with the checkpoints published there. Says exactly what differs and where. Exits with 3 if the log is not as it was written. Keep key.pub of the log's directory somewhere else: with it, nobody can replace the whole log."
}

// Run checks the log.
func (c *auditVerifyCommand) Run(ctx context.Context, term terminal) error {
	r, err := logFlags{c.dataFlags, c.Log}.reader()
	if err != nil {
		return err
	}
	var on auditor.History
	if !c.Offline {
		conn, err := c.connect(ctx, bus.RoleOperator, term)
		if err != nil {
			return fmt.Errorf("%w; --offline checks the log alone", err)
		}
		defer conn.Close()
		on = conn
	}
	v, err := r.Verify(ctx, on, c.PublicKey, progressOn(term))
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(term.stdout, v)
	} else {
		v.Print(term.stdout)
	}
	if err == nil && !v.OK() {
		err = errMissing
	}
	return err
}

// progressOn shows on a terminal how far long work has got.
func progressOn(term terminal) func(done, total int64) {
	if !render.IsTerminal(term.stderr) {
		return nil
	}
	var shown time.Time
	return func(done, total int64) {
		if time.Since(shown) < time.Second && done < total || total == 0 {
			return
		}
		shown = time.Now()
		fmt.Fprintf(term.stderr, "\r%3d %% of %s", done*100/total, render.Size(uint64(total)))
		if done >= total {
			fmt.Fprint(term.stderr, "\r\x1b[K")
		}
	}
}

type auditReindexCommand struct{ logFlags }

// Run builds the index again.
func (c *auditReindexCommand) Run(ctx context.Context, term terminal) error {
	r, err := c.reader()
	if err != nil {
		return err
	}
	records, err := r.Reindex(ctx, daemon.Logger(term.stderr, config.Log{Level: "info", Format: "auto"}))
	if err != nil {
		return err
	}
	fmt.Fprintf(term.stdout, "The index holds %d records.\n", records)
	return nil
}

type auditTailCommand struct {
	targetFlags
	JSON bool `help:"Print each record as it is stored."`
}

// Run shows final records as they are stored, until ctx ends.
func (c *auditTailCommand) Run(ctx context.Context, term terminal) error {
	conn, err := c.connect(ctx, bus.RoleTail, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	feed, err := conn.Live(ctx, proto.StoredPrefix+"."+string(proto.ClassAudit)+".>")
	if err != nil {
		return err
	}
	defer feed.Close()
	for {
		m, err := feed.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := printAudit(term.stdout, m, c.JSON); err != nil {
			return err
		}
	}
}

// printAudit prints a final record in a line; others not at all.
func printAudit(w io.Writer, m *bus.Stored, asJSON bool) error {
	var a proto.Audit
	if json.Unmarshal(m.Data, &a) != nil || a.Phase != proto.PhaseEnd {
		return nil // what cannot be read is in the log all the same
	}
	line := string(m.Data)
	if !asJSON {
		tokens := "-"
		if u := a.Usage; u != nil {
			tokens = fmt.Sprintf("%d in, %d out", u.Input, u.Output)
		}
		var tools []string
		for _, c := range a.ToolCalls {
			tools = append(tools, render.Clean(c.Name, 40))
		}
		line = fmt.Sprintf("%s %-7s %3d %-10s %s  %s  %s  %s", a.Time.Local().Format(time.TimeOnly), a.Decision, a.Status,
			render.Clean(a.Client, 40), render.Clean(a.RequestModel, 60), tokens, orDash(tools), a.RequestID)
	}
	if _, err := fmt.Fprintln(w, line); err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	return nil
}

// rawOrNil is a record as it stands, or nothing.
func rawOrNil(payload []byte) any {
	if !json.Valid(payload) {
		return nil
	}
	return json.RawMessage(payload)
}
