package auditview_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/secbus/internal/auditview"
	"github.com/openclaw-security/bus/services/testing/golden"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

func summary() *audit.Report {
	row := audit.Row{
		Key: "claude-sonnet-4-5", Requests: 12, Allowed: 7, Blocked: 1, Refused: 1, Failed: 1, Interrupted: 1, Open: 1,
		Input: 1_234_567, Output: 89, CacheRead: 1000, CacheCreation: 20, Incomplete: 2, Cost: 3.14159, Unpriced: 3,
		Duration: audit.Percentiles{P50: 1.5, P95: 10, P99: 60.25}, FirstChunk: audit.Percentiles{P50: .4, P95: .9, P99: 1},
	}
	odd, total := row, row
	odd.Key, total.Key = "=cmd|' /C calc'!A0\x1b[2J", "total"
	return &audit.Report{By: audit.ByModel, Rows: []audit.Row{row, odd}, Total: total, PricesOf: "2026-11-01", Unpriced: []string{"llama3:8b"}, Unindexed: 4}
}

func requests() []audit.Request {
	done := audit.Request{State: audit.StateDone, StartSeq: 1, EndSeq: 2, Audit: proto.Audit{
		RequestID: "0d6c1f7e4b2a49c8", Phase: proto.PhaseEnd, Time: noon, Client: "192.0.2.10", Provider: "anthropic", RequestModel: "claude-sonnet-4-5",
		ResponseModel: "claude-sonnet-4-5-20250929", Decision: proto.DecisionBlocked, Status: 200, Severity: proto.SeverityHigh,
		Usage: &proto.Usage{Input: 12087, Output: 143}, Duration: 1.873,
		ToolCalls: []proto.ToolCall{{Name: "exec"}, {Name: "@SUM(A1)"}}, Findings: []proto.Finding{{Rule: "secret"}},
	}}
	open := audit.Request{State: audit.StateInterrupted, StartSeq: 3, Audit: proto.Audit{RequestID: "-1+1", Time: noon, Client: "two\nlines", RequestModel: "gpt-5"}}
	return []audit.Request{done, open}
}

func seq(all []audit.Request, err error) iter.Seq2[audit.Request, error] {
	return func(yield func(audit.Request, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(audit.Request{}, err)
		}
	}
}

func TestGolden(t *testing.T) {
	uses := []audit.ToolUse{{Tool: "exec", Client: "agent", Requests: 2, Calls: 3, Allowed: 1, Blocked: 1, First: noon, Last: noon.Add(time.Hour)}}
	for _, format := range []auditview.Format{auditview.Text, auditview.JSON, auditview.CSV} {
		tests := []struct {
			name  string
			write func(*bytes.Buffer) error
		}{
			{"summary", func(b *bytes.Buffer) error { return auditview.Summary(b, format, summary()) }},
			{"list", func(b *bytes.Buffer) error {
				return auditview.List(b, format, seq(requests(), nil), time.FixedZone("CET", 3600))
			}},
			{"tools", func(b *bytes.Buffer) error { return auditview.Tools(b, format, uses, nil) }},
		}
		for _, tt := range tests {
			t.Run(tt.name+" as "+string(format), func(t *testing.T) {
				var got bytes.Buffer
				if err := tt.write(&got); err != nil {
					t.Fatal(err)
				}
				golden.Compare(t, filepath.Join("testdata", tt.name+"."+string(format)), got.Bytes())
			})
		}
	}
}

func TestJSONIsWhatTheIndexSays(t *testing.T) {
	var b bytes.Buffer
	if err := auditview.Summary(&b, auditview.JSON, summary()); err != nil {
		t.Fatal(err)
	}
	var got audit.Report
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || !reflect.DeepEqual(&got, summary()) {
		t.Errorf("got %+v, %v", got, err)
	}
	b.Reset()
	if err := auditview.List(&b, auditview.JSON, seq(requests(), nil), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range requests() {
		line, err := b.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var got audit.Request
		if err := json.Unmarshal(line, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestNamesAreHarmless(t *testing.T) {
	tests := []struct{ name, cell string }{
		{"=1+1", "'=1+1"},
		{"+1", "'+1"},
		{"-1", "'-1"},
		{"@SUM(A1)", "'@SUM(A1)"},
		{"  =1", "'  =1"},
		{"\t=1", "'\t=1"},
		{"\r=1", "'\r=1"},
		{"＝1", "'＝1"},
		{"a=1", "a=1"},
		{"", ""},
		{"two\nlines, \"quoted\"", "two\nlines, \"quoted\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			uses := []audit.ToolUse{{Tool: tt.name, Client: tt.name}}
			var b bytes.Buffer
			if err := auditview.Tools(&b, auditview.CSV, uses, nil); err != nil {
				t.Fatal(err)
			}
			rows, err := csv.NewReader(&b).ReadAll()
			if err != nil || len(rows) != 2 || rows[1][0] != tt.cell || rows[1][1] != tt.cell {
				t.Errorf("got %q, %v", rows, err)
			}
		})
	}
	var b bytes.Buffer
	if err := auditview.Tools(&b, auditview.Text, []audit.ToolUse{{Tool: "\x1b[2J\nforged \u202eline" + strings.Repeat("x", 100)}}, nil); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(b.String(), "\n"); len(lines) != 3 || strings.ContainsAny(b.String(), "\x1b\u202e") || strings.Count(b.String(), "x") > 60 {
		t.Errorf("got %q", b.String())
	}
}

func TestErrorsAreTold(t *testing.T) {
	broken := errors.New("the index is damaged")
	for _, format := range []auditview.Format{auditview.Text, auditview.JSON, auditview.CSV} {
		var b bytes.Buffer
		if err := auditview.List(&b, format, seq(requests(), broken), nil); !errors.Is(err, broken) || !strings.Contains(b.String(), "0d6c1f7e4b2a49c8") {
			t.Errorf("%s: %v after %q", format, err, b.String())
		}
		if err := auditview.List(fullDisk{}, format, seq(requests(), nil), nil); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
		if err := auditview.Summary(fullDisk{}, format, summary()); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if err := auditview.Summary(&bytes.Buffer{}, "xml", summary()); err == nil {
		t.Error("reported in XML")
	}
}

func TestExport(t *testing.T) {
	lines := func(n int, err error) iter.Seq2[auditor.ExportLine, error] {
		return func(yield func(auditor.ExportLine, error) bool) {
			for i := range n {
				if !yield(auditor.ExportLine{ID: fmt.Sprint(i), JSON: []byte("{}\n")}, nil) {
					return
				}
			}
			if err != nil {
				yield(auditor.ExportLine{}, err)
			}
		}
	}
	var b bytes.Buffer
	if written, last, err := auditview.Export(&b, lines(100_000, nil)); err != nil || written != 100_000 || last != "99999" || b.Len() != 3*100_000 {
		t.Errorf("%d written, the last is %q, %d bytes, %v", written, last, b.Len(), err)
	}
	b.Reset()
	broken := errors.New("the log is damaged")
	if written, last, err := auditview.Export(&b, lines(2, broken)); !errors.Is(err, broken) || written != 2 || last != "1" || b.String() != "{}\n{}\n" {
		t.Errorf("%d written, the last is %q, %q, %v", written, last, b.String(), err)
	}
	if written, last, err := auditview.Export(fullDisk{}, lines(3, nil)); !errors.Is(err, errFull) || written != 0 || last != "" {
		t.Errorf("%d written, the last is %q, %v", written, last, err)
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
