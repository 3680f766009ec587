// Package auditview writes what the audit log answers: for a person as a table, for
// a program as JSON, for a spreadsheet as CSV.
//
//	values of package audit ─▶ header, rows of cells ─┬─▶ Text
//	                        │                         └─▶ CSV
//	                        └─▶ JSON, as they are
//
// Names come from requests and are data: a table has them without what could drive
// a terminal, a CSV file without what a spreadsheet would take for a formula.
package auditview

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/audit"
)

// Format is how values are written.
type Format string

// The formats.
const (
	Text Format = "text" // a table
	JSON Format = "json" // a document; of a list, one line for each request
	CSV  Format = "csv"  // RFC 4180, with a header
)

// Summary writes a report. A table lacks the columns that would be all zero, and
// has what the sums leave out as notes below.
func Summary(w io.Writer, format Format, r *audit.Report) error {
	if format == JSON {
		return writeJSON(w, r, "  ")
	}
	t := newTable(w, format,
		column{name: string(r.By)},
		number("requests"), number("allowed"), number("blocked"), number("refused"), number("failed"), number("interrupted"), number("open"),
		number("input"), number("output"), number("cache_read"), number("cache_creation"), number("reasoning"), number("cost_usd"), number("unpriced"),
		number("p50_s"), number("p95_s"), number("p99_s"), number("first_p50_s"), number("first_p95_s"), number("first_p99_s"))
	for _, row := range append(r.Rows[:len(r.Rows):len(r.Rows)], r.Total) {
		t.row(append([]string{row.Key}, figures(row)...)...)
	}
	if format == Text {
		for _, note := range notes(r) {
			t.note(note)
		}
	}
	return t.end()
}

func figures(row audit.Row) []string {
	var cells []string
	for _, n := range []int64{
		row.Requests, row.Allowed, row.Blocked, row.Refused, row.Failed, row.Interrupted, row.Open,
		row.Input, row.Output, row.CacheRead, row.CacheCreation, row.Reasoning,
	} {
		cells = append(cells, strconv.FormatInt(n, 10))
	}
	cells = append(cells, strconv.FormatFloat(row.Cost, 'f', 4, 64), strconv.FormatInt(row.Unpriced, 10))
	for _, p := range []audit.Percentiles{row.Duration, row.FirstChunk} {
		for _, v := range []float64{p.P50, p.P95, p.P99} {
			cells = append(cells, strconv.FormatFloat(v, 'f', 3, 64))
		}
	}
	return cells
}

func notes(r *audit.Report) []string {
	notes := []string{"Cost is by the prices of " + r.PricesOf + "."}
	if len(r.Unpriced) > 0 {
		notes = append(notes, fmt.Sprintf("It is without that of %d requests to models that have no price: %s.", r.Total.Unpriced, strings.Join(r.Unpriced, ", ")))
	}
	if r.Total.Incomplete > 0 {
		notes = append(notes, fmt.Sprintf("The tokens of %d requests were not counted to the end.", r.Total.Incomplete))
	}
	if r.By == audit.ByTool {
		notes = append(notes, "A request counts in the row of each tool that it called, and once in the total.")
	}
	if r.Unindexed > 0 {
		notes = append(notes, fmt.Sprintf("%d records of the log are in no row: they cannot be decoded, or say again what another has said.", r.Unindexed))
	}
	return notes
}

// Tools writes how tools were called, with times in zone; nil is UTC.
func Tools(w io.Writer, format Format, uses []audit.ToolUse, zone *time.Location) error {
	if format == JSON {
		return writeJSON(w, uses, "  ")
	}
	t := newTable(w, format, column{name: "tool"}, column{name: "client"},
		number("requests"), number("calls"), number("allowed"), number("blocked"), column{name: "first"}, column{name: "last"})
	for _, u := range uses {
		t.row(u.Tool, u.Client, strconv.FormatInt(u.Requests, 10), strconv.FormatInt(u.Calls, 10),
			strconv.FormatInt(u.Allowed, 10), strconv.FormatInt(u.Blocked, 10), t.time(u.First, zone), t.time(u.Last, zone))
	}
	return t.end()
}

// List writes requests as they come, with times in zone; nil is UTC. It ends at
// the first error.
func List(w io.Writer, format Format, requests iter.Seq2[audit.Request, error], zone *time.Location) error {
	var t *table
	if format != JSON {
		t = newTable(w, format,
			column{name: "time", width: len("2006-01-02 15:04:05")}, column{name: "request_id", width: 16}, column{name: "client", width: 15}, column{name: "provider", width: 10}, column{name: "model", width: 26},
			column{name: "outcome", width: 11}, number("status"), column{name: "severity", width: 8},
			column{name: "input", right: true, width: 8}, column{name: "output", right: true, width: 7}, column{name: "seconds", right: true, width: 8}, column{name: "tools", width: 12}, column{name: "findings"})
		t.flow()
	}
	for r, err := range requests {
		if err != nil {
			if t != nil {
				err = errors.Join(err, t.end())
			}
			return fmt.Errorf("listing: %w", err)
		}
		if t == nil {
			err = writeJSON(w, &r, "")
		} else {
			t.row(requestCells(t, &r, zone)...)
			err = t.err
		}
		if err != nil {
			return err
		}
	}
	if t == nil {
		return nil
	}
	return t.end()
}

func requestCells(t *table, r *audit.Request, zone *time.Location) []string {
	var usage proto.Usage
	if r.Usage != nil {
		usage = *r.Usage
	}
	model := r.ResponseModel
	if model == "" {
		model = r.RequestModel
	}
	return []string{
		t.time(r.Time, zone), r.RequestID, r.Client, r.Provider, model, outcome(r), zeroIsEmpty(r.Status), r.Severity.String(),
		strconv.FormatInt(usage.Input, 10), strconv.FormatInt(usage.Output, 10), strconv.FormatFloat(r.Duration, 'f', 3, 64),
		strings.Join(toolNames(r), " "), strings.Join(ruleNames(r), " "),
	}
}

// outcome is what has become of a request: the decision, once it has ended.
func outcome(r *audit.Request) string {
	if r.State != audit.StateDone || r.Decision == "" {
		return string(r.State)
	}
	return string(r.Decision)
}

func zeroIsEmpty(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func toolNames(r *audit.Request) []string {
	names := make([]string, 0, len(r.ToolCalls))
	for _, c := range r.ToolCalls {
		names = append(names, c.Name)
	}
	return names
}

func ruleNames(r *audit.Request) []string {
	names := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		names = append(names, f.Rule)
	}
	return names
}

// exportBuffer is how many bytes of an export are gathered before they are written.
const exportBuffer = 64 << 10

// Export writes lines up to their first error. What it returns has been written:
// how many lines, and the id of the last one, to begin the next export after.
func Export(w io.Writer, lines iter.Seq2[auditor.ExportLine, error]) (written int, last string, err error) {
	var buffer []byte
	var gathered int
	var id string
	flush := func() error {
		if len(buffer) > 0 {
			if _, err := w.Write(buffer); err != nil {
				return fmt.Errorf("writing the export: %w", err)
			}
			buffer, written, last = buffer[:0], gathered, id
		}
		return nil
	}
	for line, err := range lines {
		if err != nil {
			return written, last, errors.Join(err, flush())
		}
		buffer = append(buffer, line.JSON...)
		gathered, id = gathered+1, line.ID
		if len(buffer) >= exportBuffer {
			if err := flush(); err != nil {
				return written, last, err
			}
		}
	}
	err = flush()
	return written, last, err
}

// Verification writes what a verification has found.
func Verification(w io.Writer, v *auditor.Verification) {
	fmt.Fprintf(w, "log          %s\n", v.Log)
	key := "kept elsewhere"
	if v.OwnKey {
		key = "from the log's own directory: compare it with one that you have kept"
	}
	fmt.Fprintf(w, "public key   %x (%s)\n", []byte(v.PublicKey), key)
	fmt.Fprintf(w, "records      %d in %d files, %d bytes; the last is number %d\n", v.Records, v.Segments, v.Bytes, v.Last)
	fmt.Fprintf(w, "signed       up to record %d at %s; %d records behind it have no signature yet\n", v.Signed, v.SignedAt.Local().Format(time.DateTime), v.Unsigned)
	for _, r := range v.Removed {
		fmt.Fprintf(w, "removed      records %d to %d by %s at %s, with a signed statement\n", r.First, r.Last, r.Reason, r.Time.Local().Format(time.DateTime))
	}
	if v.TornBytes > 0 {
		fmt.Fprintf(w, "unfinished   the last line is %d bytes long and has no end: it is being written, or a crash has left it\n", v.TornBytes)
	}
	if s := v.Stream; s != nil {
		fmt.Fprintf(w, "stream       %d records are the same there, %d wait to be logged; %d checkpoints on the bus were held against the log\n", s.Compared, s.Waiting, s.Checkpoints)
		switch {
		case s.Younger:
			fmt.Fprintf(w, "NOTE         the stream begins later than the log: it was made anew since, and nothing can be said of %d older records but what the log itself and the checkpoints say\n", s.Older)
		case s.Older > 0:
			fmt.Fprintf(w, "NOTE         the stream does not hold %d older records any more\n", s.Older)
		}
		for _, fault := range s.Faults {
			fmt.Fprintf(w, "FAULT        %s\n", fault)
		}
	} else {
		fmt.Fprintln(w, "stream       not compared")
	}
	for _, f := range v.Corruptions {
		fmt.Fprintf(w, "FAULT        %v\n", f)
	}
	if v.CorruptionCount > len(v.Corruptions) {
		fmt.Fprintf(w, "FAULT        and %d more\n", v.CorruptionCount-len(v.Corruptions))
	}
	if s := v.Stream; s != nil {
		for _, d := range s.Differences {
			fmt.Fprintf(w, "DIFFERENCE   %s\n", d)
		}
		if s.Count > len(s.Differences) {
			fmt.Fprintf(w, "DIFFERENCE   and %d more\n", s.Count-len(s.Differences))
		}
	}
	if v.OK() {
		fmt.Fprintln(w, "The log is as it was written.")
	} else {
		fmt.Fprintln(w, verdict(v))
	}
}

// verdict puts a verification that has found something into one sentence.
func verdict(v *auditor.Verification) string {
	if v.Result.OK() && v.Stream.Count == 0 {
		return "The log is whole, but nothing shows that it is the right one."
	}
	return "The log is NOT as it was written."
}
