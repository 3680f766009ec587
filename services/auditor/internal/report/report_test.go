package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/auditor/internal/report"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

func summary() *index.Report {
	row := index.Row{
		Key: "claude-sonnet-4-5", Requests: 12, Allowed: 7, Blocked: 1, Refused: 1, Failed: 1, Interrupted: 1, Open: 1,
		Input: 1_234_567, Output: 89, CacheRead: 1000, CacheCreation: 20, Incomplete: 2, Cost: 3.14159, Unpriced: 3,
		Duration: index.Percentiles{P50: 1.5, P95: 10, P99: 60.25}, FirstChunk: index.Percentiles{P50: .4, P95: .9, P99: 1},
	}
	odd, total := row, row
	odd.Key, total.Key = "=cmd|' /C calc'!A0\x1b[2J", "total"
	return &index.Report{By: index.ByModel, Rows: []index.Row{row, odd}, Total: total, PricesOf: "2026-11-01", Unpriced: []string{"llama3:8b"}, Unindexed: 4}
}

func requests() []index.Request {
	done := index.Request{State: index.StateDone, StartSeq: 1, EndSeq: 2, Audit: proto.Audit{
		RequestID: "0d6c1f7e4b2a49c8", Phase: proto.PhaseEnd, Time: noon, Client: "192.0.2.10", Provider: "anthropic", RequestModel: "claude-sonnet-4-5",
		ResponseModel: "claude-sonnet-4-5-20250929", Decision: proto.DecisionBlocked, Status: 200, Severity: proto.SeverityHigh,
		Usage: &proto.Usage{Input: 12087, Output: 143}, Duration: 1.873,
		ToolCalls: []proto.ToolCall{{Name: "exec"}, {Name: "@SUM(A1)"}}, Findings: []proto.Finding{{Rule: "secret"}},
	}}
	open := index.Request{State: index.StateInterrupted, StartSeq: 3, Audit: proto.Audit{RequestID: "-1+1", Time: noon, Client: "two\nlines", RequestModel: "gpt-5"}}
	return []index.Request{done, open}
}

func seq(all []index.Request, err error) iter.Seq2[index.Request, error] {
	return func(yield func(index.Request, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(index.Request{}, err)
		}
	}
}

func TestGolden(t *testing.T) {
	uses := []index.ToolUse{{Tool: "exec", Client: "agent", Requests: 2, Calls: 3, Allowed: 1, Blocked: 1, First: noon, Last: noon.Add(time.Hour)}}
	for _, format := range []report.Format{report.Text, report.JSON, report.CSV} {
		tests := []struct {
			name  string
			write func(*bytes.Buffer) error
		}{
			{"summary", func(b *bytes.Buffer) error { return report.Summary(b, format, summary()) }},
			{"list", func(b *bytes.Buffer) error {
				return report.List(b, format, seq(requests(), nil), time.FixedZone("CET", 3600))
			}},
			{"tools", func(b *bytes.Buffer) error { return report.Tools(b, format, uses, nil) }},
		}
		for _, tt := range tests {
			t.Run(tt.name+" as "+string(format), func(t *testing.T) {
				var got bytes.Buffer
				if err := tt.write(&got); err != nil {
					t.Fatal(err)
				}
				golden := filepath.Join("testdata", tt.name+"."+string(format))
				if *update {
					if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
				}
			})
		}
	}
}

func TestJSONIsWhatTheIndexSays(t *testing.T) {
	var b bytes.Buffer
	if err := report.Summary(&b, report.JSON, summary()); err != nil {
		t.Fatal(err)
	}
	var got index.Report
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || !reflect.DeepEqual(&got, summary()) {
		t.Errorf("got %+v, %v", got, err)
	}
	b.Reset()
	if err := report.List(&b, report.JSON, seq(requests(), nil), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range requests() {
		line, err := b.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var got index.Request
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
			uses := []index.ToolUse{{Tool: tt.name, Client: tt.name}}
			var b bytes.Buffer
			if err := report.Tools(&b, report.CSV, uses, nil); err != nil {
				t.Fatal(err)
			}
			rows, err := csv.NewReader(&b).ReadAll()
			if err != nil || len(rows) != 2 || rows[1][0] != tt.cell || rows[1][1] != tt.cell {
				t.Errorf("got %q, %v", rows, err)
			}
		})
	}
	var b bytes.Buffer
	if err := report.Tools(&b, report.Text, []index.ToolUse{{Tool: "\x1b[2J\nforged \u202eline" + strings.Repeat("x", 100)}}, nil); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(b.String(), "\n"); len(lines) != 3 || strings.ContainsAny(b.String(), "\x1b\u202e") || strings.Count(b.String(), "x") > 60 {
		t.Errorf("got %q", b.String())
	}
}

func TestErrorsAreTold(t *testing.T) {
	broken := errors.New("the index is damaged")
	for _, format := range []report.Format{report.Text, report.JSON, report.CSV} {
		var b bytes.Buffer
		if err := report.List(&b, format, seq(requests(), broken), nil); !errors.Is(err, broken) || !strings.Contains(b.String(), "0d6c1f7e4b2a49c8") {
			t.Errorf("%s: %v after %q", format, err, b.String())
		}
		if err := report.List(fullDisk{}, format, seq(requests(), nil), nil); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
		if err := report.Summary(fullDisk{}, format, summary()); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if err := report.Summary(&bytes.Buffer{}, "xml", summary()); err == nil {
		t.Error("reported in XML")
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
