package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/selection"
	"github.com/openclaw-security/bus/services/secbus/internal/auditview"
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

// reader is the log in the directory.
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

// queryFlags choose who answers questions about the audit log: the log's directory, or
// the auditor over the bus where the directory is not there.
type queryFlags struct {
	targetFlags
	Log string `env:"SECBUS_AUDIT" placeholder:"DIR" type:"path" help:"Directory of the audit log (AUDIT_DIR of the auditor); audit in the data directory by default. Where it is not, the auditor is asked over the bus."`
}

// auditLog answers questions about the audit log.
type auditLog interface {
	List(ctx context.Context, f audit.Filter, o audit.Order) iter.Seq2[audit.Request, error]
	Show(ctx context.Context, id string) (*audit.Shown, error)
	Report(ctx context.Context, by audit.By, f audit.Filter) (*audit.Report, error)
	Tools(ctx context.Context, f audit.Filter) ([]audit.ToolUse, error)
}

var (
	_ auditLog = auditor.Reader{}
	_ auditLog = audit.Client{}
)

// open returns the audit log. The caller must call end.
func (f queryFlags) open(ctx context.Context, term Terminal) (log auditLog, end func(), err error) {
	r, err := logFlags{f.dataFlags, f.Log}.reader()
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(r.Dir); err == nil {
		var settings price.Settings
		if err := config.Load(&settings, term.Environ); err != nil {
			return nil, nil, err
		}
		r.Prices, err = settings.Load()
		return r, func() {}, err
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("opening the audit log: %w", err)
	}
	conn, err := f.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return nil, nil, fmt.Errorf("there is no audit log in %s, and the auditor cannot be asked: %w", r.Dir, err)
	}
	return audit.Client{Conn: conn, Zone: r.Zone}, func() { _ = conn.Close() }, nil
}

// requestFlags choose requests.
type requestFlags struct {
	Since    selection.Moment `placeholder:"WHEN" help:"From when: 15m, 2h, 7d, or 2026-11-22T07:00:00Z."`
	Until    selection.Moment `placeholder:"WHEN" help:"Until when."`
	Model    string           `placeholder:"NAME" help:"Only this model."`
	Provider string           `placeholder:"NAME" help:"Only this provider: anthropic, openai, gcp.gemini."`
	Client   string           `placeholder:"NAME" help:"Only this client."`
	Tool     string           `placeholder:"NAME" help:"Only requests whose answer calls this tool."`
	Verdict  proto.Decision   `placeholder:"WORD" help:"Only these: allowed, blocked, refused or failed."`
	Status   int              `placeholder:"CODE" help:"Only those answered with this HTTP status."`
	Rule     string           `placeholder:"NAME" help:"Only those with a finding of this detection."`
	Severity proto.Severity   `default:"info" placeholder:"LEVEL" help:"Min severity."`

	Interrupted bool `help:"Only requests that began and never ended."`
}

func (f requestFlags) filter() audit.Filter {
	return audit.Filter{
		Since: f.Since.Time, Until: f.Until.Time, Model: f.Model, Provider: f.Provider, Client: f.Client,
		Tool: f.Tool, Decision: f.Verdict, Status: f.Status, Rule: f.Rule, MinSeverity: f.Severity, Interrupted: f.Interrupted,
	}
}

// formatFlags choose how values are written.
type formatFlags struct {
	JSON bool `help:"Print as JSON." xor:"format"`
	CSV  bool `help:"Print as CSV." xor:"format"`
}

func (f formatFlags) format() auditview.Format {
	switch {
	case f.JSON:
		return auditview.JSON
	case f.CSV:
		return auditview.CSV
	}
	return auditview.Text
}

type auditListCommand struct {
	queryFlags
	requestFlags
	formatFlags
	Limit  int    `default:"50" help:"Max requests shown; 0 for all (${default})."`
	After  string `placeholder:"ID" help:"Go on behind this request."`
	Oldest bool   `help:"Oldest first."`
}

// Run lists requests.
func (c *auditListCommand) Run(ctx context.Context, term Terminal) error {
	log, end, err := c.open(ctx, term)
	if err != nil {
		return err
	}
	defer end()
	return auditview.List(term.Stdout, c.format(), log.List(ctx, c.filter(), audit.Order{OldestFirst: c.Oldest, After: c.After, Limit: c.Limit}), time.Local)
}

type auditShowCommand struct {
	queryFlags
	ID string `arg:"" help:"Id of the request, or its first digits, as list, messages and X-Secbus-Request-Id show it."`
}

// Run prints the request as one JSON document.
func (c *auditShowCommand) Run(ctx context.Context, term Terminal) error {
	log, end, err := c.open(ctx, term)
	if err != nil {
		return err
	}
	defer end()
	s, err := log.Show(ctx, c.ID)
	if err != nil {
		return err
	}
	if s.Omitted {
		fmt.Fprintln(term.Stderr, "The records are too large for the auditor to send: read them where the log is.")
	}
	return printJSON(term.Stdout, map[string]any{"request": s.Request, "start_record": rawOrNil(s.Start), "end_record": rawOrNil(s.End)})
}

type auditReportCommand struct {
	queryFlags
	requestFlags
	formatFlags
	By audit.By `default:"day" enum:"day,hour,model,client,tool" help:"What makes a row: ${enum} (${default})."`
}

// Help is shown by --help.
func (auditReportCommand) Help() string {
	return "Costs are by the list prices that are shipped, which have a date, or by the file that LLM_PRICES names; those of the auditor where it is asked over the bus. A model without a price is counted and named, never guessed."
}

// Run sums up requests.
func (c *auditReportCommand) Run(ctx context.Context, term Terminal) error {
	log, end, err := c.open(ctx, term)
	if err != nil {
		return err
	}
	defer end()
	report, err := log.Report(ctx, c.By, c.filter())
	if err != nil {
		return err
	}
	return auditview.Summary(term.Stdout, c.format(), report)
}

type auditToolsCommand struct {
	queryFlags
	requestFlags
	formatFlags
}

// Run shows which tools were called.
func (c *auditToolsCommand) Run(ctx context.Context, term Terminal) error {
	log, end, err := c.open(ctx, term)
	if err != nil {
		return err
	}
	defer end()
	uses, err := log.Tools(ctx, c.filter())
	if err != nil {
		return err
	}
	return auditview.Tools(term.Stdout, c.format(), uses, time.Local)
}

type auditExportCommand struct {
	logFlags
	Schema string `arg:"" enum:"ocsf,otel" help:"ocsf for API Activity of the Open Cybersecurity Schema Framework, otel for the names of OpenTelemetry's conventions."`
	After  string `placeholder:"ID" help:"Go on behind this record, which the last export named."`
}

// Run writes the log's records, one JSON object a line.
func (c *auditExportCommand) Run(ctx context.Context, term Terminal) error {
	r, err := c.reader()
	if err != nil {
		return err
	}
	written, last, err := auditview.Export(term.Stdout, r.Export(ctx, c.Schema, c.After))
	fmt.Fprintf(term.Stderr, "%d records exported", written)
	if last != "" {
		fmt.Fprintf(term.Stderr, "; go on with --after %s", last)
	}
	fmt.Fprintln(term.Stderr)
	return err
}

type auditVerifyCommand struct {
	targetFlags
	Log       string `env:"SECBUS_AUDIT" placeholder:"DIR" type:"path" help:"Directory of the audit log (AUDIT_DIR of the auditor); audit in the data directory by default."`
	PublicKey string `placeholder:"FILE" type:"path" help:"The log's public key from where you have kept it; the one beside the log proves less."`
	Offline   bool   `help:"Do not compare with the bus."`
	NewLog    bool   `help:"The log was begun anew on purpose: that the bus has checkpoints of another is no fault."`
	JSON      bool   `help:"Print as JSON."`
}

// Help is shown by --help.
func (auditVerifyCommand) Help() string {
	return "Reads all of the log and checks every hash and signature, and against the bus that it holds what the stream holds and agrees with the checkpoints published there. Says exactly what differs and where. Exits with 3 if the log is not as it was written, if it is signed and the bus has no checkpoint of it, or if the bus knows another log. Keep key.pub of the log's directory somewhere else: with it, nobody can replace the whole log."
}

// Run checks the log.
func (c *auditVerifyCommand) Run(ctx context.Context, term Terminal) error {
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
	v, err := r.Verify(ctx, on, auditor.VerifyOptions{PublicKey: c.PublicKey, NewLog: c.NewLog, Progress: progressOn(term)})
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(term.Stdout, v)
	} else {
		auditview.Verification(term.Stdout, v)
	}
	if err == nil && !v.OK() {
		err = errMissing
	}
	return err
}

// progressOn shows on a terminal how far long work has got.
func progressOn(term Terminal) func(done, total int64) {
	if !render.IsTerminal(term.Stderr) {
		return nil
	}
	var shown time.Time
	return func(done, total int64) {
		if time.Since(shown) < time.Second && done < total || total == 0 {
			return
		}
		shown = time.Now()
		fmt.Fprintf(term.Stderr, "\r%3d %% of %s", done*100/total, render.Size(uint64(total)))
		if done >= total {
			fmt.Fprint(term.Stderr, "\r\x1b[K")
		}
	}
}

type auditReindexCommand struct{ logFlags }

// Run builds the index again.
func (c *auditReindexCommand) Run(ctx context.Context, term Terminal) error {
	r, err := c.reader()
	if err != nil {
		return err
	}
	records, err := r.Reindex(ctx, daemon.Logger(term.Stderr, config.Log{Level: "info", Format: "auto"}))
	if err != nil {
		return err
	}
	fmt.Fprintf(term.Stdout, "The index holds %d records.\n", records)
	return nil
}

type auditTailCommand struct {
	targetFlags
	JSON bool `help:"Print each record as it is stored."`
}

// Run shows final records as they are stored, until ctx ends.
func (c *auditTailCommand) Run(ctx context.Context, term Terminal) error {
	conn, err := c.connect(ctx, bus.RoleTail, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	for m, err := range conn.Follow(ctx, bus.Only(proto.StreamAudit), bus.Start{New: true}) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := printAudit(term.Stdout, m, c.JSON); err != nil {
			return err
		}
	}
	return nil
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
