package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/export"
)

var update = flag.Bool("update", false, "write the golden files")

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

func TestWrite(t *testing.T) {
	for _, format := range []export.Format{export.OCSF, export.OTel} {
		t.Run(string(format), func(t *testing.T) {
			var got bytes.Buffer
			done, err := export.Write(t.Context(), &got, format, seq(records(t), nil), "")
			if err != nil || done != (export.Progress{Written: 3, Last: "broken"}) {
				t.Fatal(done, err)
			}
			golden := filepath.Join("testdata", string(format)+".golden.jsonl")
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
	if _, err := export.Write(t.Context(), &bytes.Buffer{}, "xml", seq(nil, nil), ""); err == nil {
		t.Error("exported as XML")
	}
}

// Nothing of a record may be lost: whatever it says is somewhere in the export.
func TestEveryValueIsExported(t *testing.T) {
	all := records(t)[1:2]
	for _, format := range []export.Format{export.OCSF, export.OTel} {
		var got bytes.Buffer
		if _, err := export.Write(t.Context(), &got, format, seq(all, nil), ""); err != nil {
			t.Fatal(err)
		}
		text := got.String()
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

func TestWriteGoesOnBehindARecord(t *testing.T) {
	all := records(t)
	var whole, first, second bytes.Buffer
	if _, err := export.Write(t.Context(), &whole, export.OTel, seq(all, nil), ""); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the log is damaged")
	done, err := export.Write(t.Context(), &first, export.OTel, seq(all[:2], broken), "")
	if !errors.Is(err, broken) || done.Written != 2 || done.Last != all[1].ID {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := export.Write(t.Context(), &second, export.OTel, seq(all, nil), done.Last); err != nil {
		t.Fatal(err)
	}
	if first.String()+second.String() != whole.String() {
		t.Error("the two parts are not the whole")
	}
	if _, err := export.Write(t.Context(), &first, export.OTel, seq(all, nil), "nobody"); !errors.Is(err, export.ErrNotFound) {
		t.Errorf("behind a record that is not there: %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteTellsWhatItHasWritten(t *testing.T) {
	if done, err := export.Write(t.Context(), fullDisk{}, export.OCSF, seq(records(t), nil), ""); err == nil || done != (export.Progress{}) {
		t.Errorf("%+v, %v", done, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := export.Write(ctx, &bytes.Buffer{}, export.OCSF, seq(records(t), nil), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func FuzzWrite(f *testing.F) {
	for _, r := range records(f) {
		f.Add(r.Payload)
	}
	f.Add([]byte(`{"severity":"critical","duration":1e308,"time":"9999-12-31T23:59:59Z","phase":"end","usage":{},"guard":{},"tool_calls":[{}],"client":"\u2028"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, format := range []export.Format{export.OCSF, export.OTel} {
			var got bytes.Buffer
			if _, err := export.Write(t.Context(), &got, format, seq([]export.Record{{Seq: 1, ID: "a", Payload: payload}}, nil), ""); err != nil {
				t.Fatal(err)
			}
			if bytes.Count(got.Bytes(), []byte("\n")) != 1 || !json.Valid(got.Bytes()) {
				t.Errorf("no line of JSON: %q", got.Bytes())
			}
		}
	})
}
