package export_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/export"
	"github.com/openclaw-security/bus/services/testing/golden"
)

// records are the examples of the protocol, and one that cannot be decoded.
func records(t testing.TB) []export.Record {
	t.Helper()
	var all []export.Record
	for _, file := range []string{"audit-start.json", "audit-end.json"} {
		payload, err := os.ReadFile(filepath.Join("../../../../proto/examples", file))
		if err != nil {
			t.Fatal(err)
		}
		var a proto.Audit
		if err := json.Unmarshal(payload, &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, export.Record{ID: a.ID, Payload: payload})
	}
	all = append(all, export.Record{ID: "broken", Payload: []byte("{\"id\":\"broken\",\u2028\xff\n")})
	for i := range all {
		all[i].Seq, all[i].Stored = uint64(i+1), time.Date(2026, 11, 22, 7, 14, 12, i*1e6, time.UTC)
	}
	return all
}

func seq(all []export.Record, err error) iter.Seq2[export.Record, error] {
	return func(yield func(export.Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(export.Record{}, err)
		}
	}
}

// written is what an export yields before its end or an error.
func written(ctx context.Context, schema export.Schema, records iter.Seq2[export.Record, error], after string) (text string, ids []string, err error) {
	for line, err := range export.Lines(ctx, schema, records, after) {
		if err != nil {
			return text, ids, err
		}
		text += string(line.JSON)
		ids = append(ids, line.ID)
	}
	return text, ids, nil
}

func TestLines(t *testing.T) {
	for _, schema := range []export.Schema{export.OCSF, export.OTel} {
		t.Run(string(schema), func(t *testing.T) {
			got, ids, err := written(t.Context(), schema, seq(records(t), nil), "")
			if err != nil || len(ids) != 3 || ids[2] != "broken" {
				t.Fatal(ids, err)
			}
			golden.Compare(t, filepath.Join("testdata", string(schema)+".golden.jsonl"), []byte(got))
		})
	}
	if _, _, err := written(t.Context(), "xml", seq(nil, nil), ""); err == nil {
		t.Error("exported as XML")
	}
}

// Nothing of a record may be lost: whatever it says is somewhere in the export.
func TestEveryValueIsExported(t *testing.T) {
	all := records(t)[1:2]
	for _, format := range []export.Schema{export.OCSF, export.OTel} {
		text, _, err := written(t.Context(), format, seq(all, nil), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{
			"fce4845b48bea30d5794896af33875db", "0d6c1f7e4b2a49c8", "end", "box1", "proxy", "192.0.2.10", "POST", "/v1/messages", "200",
			"blocked", "a tool call sends a secret to the network", "chat", "anthropic", "api.anthropic.com", "443", "claude-sonnet-4-5",
			"msg_01Qm7RkVtX3bYpLcZs9dWfGh", "tool_use", "12087", "143", "11520", "48213", "2964", "0.412", "exec", "toolu_01H8nKq2vPzRwXy4TbJmCdEs",
			"secret-in-tool-arguments", "0.12", "0.8", "cf07194ee232eb531e15f690000d19846dea69cf05504782658afcfacb9228a2",
		} {
			if !strings.Contains(text, value) {
				t.Errorf("%s lacks %q", format, value)
			}
		}
	}
}

func TestLinesAfterARecord(t *testing.T) {
	all := records(t)
	whole, _, err := written(t.Context(), export.OTel, seq(all, nil), "")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the log is damaged")
	first, ids, err := written(t.Context(), export.OTel, seq(all[:2], broken), "")
	if !errors.Is(err, broken) || len(ids) != 2 || ids[1] != all[1].ID {
		t.Fatalf("%q, %v", ids, err)
	}
	second, _, err := written(t.Context(), export.OTel, seq(all, nil), ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if first+second != whole {
		t.Error("the two parts are not the whole")
	}
	if _, _, err := written(t.Context(), export.OTel, seq(all, nil), "nobody"); !errors.Is(err, export.ErrNotFound) {
		t.Errorf("after a record that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := written(ctx, export.OCSF, seq(all, nil), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func FuzzLines(f *testing.F) {
	for _, r := range records(f) {
		f.Add(r.Payload)
	}
	f.Add([]byte(`{"severity":"critical","duration":1e308,"time":"9999-12-31T23:59:59Z","phase":"end","usage":{},"guard":{},"tool_calls":[{}],"client":"\u2028"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, format := range []export.Schema{export.OCSF, export.OTel} {
			got, _, err := written(t.Context(), format, seq([]export.Record{{Seq: 1, ID: "a", Payload: payload}}, nil), "")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(got, "\n") != 1 || !json.Valid([]byte(got)) {
				t.Errorf("no line of JSON: %q", got)
			}
		}
	})
}
