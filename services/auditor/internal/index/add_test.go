package index_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/price"
)

func TestAddMergesStartAndEnd(t *testing.T) {
	at := noon.Add(-2 * time.Hour)
	began, ended := start("r1", at), end("r1", at)
	tests := []struct {
		name    string
		records []proto.Audit
		want    audit.Request
	}{
		{"both", []proto.Audit{began, ended}, audit.Request{Audit: ended, State: audit.StateDone, StartSeq: 1, EndSeq: 2}},
		{"the end first", []proto.Audit{ended, began}, audit.Request{Audit: ended, State: audit.StateDone, StartSeq: 2, EndSeq: 1}},
		{"only the end", []proto.Audit{ended}, audit.Request{Audit: ended, State: audit.StateDone, EndSeq: 1}},
		{"only the start", []proto.Audit{began}, audit.Request{Audit: began, State: audit.StateInterrupted, StartSeq: 1}},
		{"only the start, lately", []proto.Audit{start("r1", noon.Add(-time.Minute))}, audit.Request{Audit: start("r1", noon.Add(-time.Minute)), State: audit.StateOpen, StartSeq: 1}},
		{"others between", []proto.Audit{began, start("r2", at), end("r2", at), ended}, audit.Request{Audit: ended, State: audit.StateDone, StartSeq: 1, EndSeq: 4}},
	}
	for _, tt := range tests {
		for _, batch := range []int{1, 100} {
			t.Run(tt.name, func(t *testing.T) {
				x, _ := open(t)
				var l tape
				for _, a := range tt.records {
					l.add(t, a)
				}
				for i := 0; i < len(l); i += batch {
					fill(t, x, l[i:min(i+batch, len(l))])
				}
				got, err := x.Get(t.Context(), "r1")
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("batches of %d:\ngot  %+v\nwant %+v", batch, got, tt.want)
				}
			})
		}
	}
}

func TestAddTakesEachRecordOnce(t *testing.T) {
	x, path := open(t)
	var l tape
	for _, id := range []string{"a", "b", "c"} {
		l.add(t, start(id, noon))
		l.add(t, end(id, noon))
	}
	fill(t, x, l[:3])
	fill(t, x, l[:3])
	fill(t, x, l[1:5])
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = reopen(t, path, index.Options{})
	if seq, head := x.Position(); seq != 5 || head != "head 5" {
		t.Errorf("reopened at %d, %q", seq, head)
	}
	fill(t, x, l)
	fill(t, x, nil)
	if seq, head := x.Position(); seq != 6 || head != "head 6" {
		t.Errorf("ended at %d, %q", seq, head)
	}
	r := report(t, x, audit.ByModel, audit.Filter{})
	if r.Total.Requests != 3 || r.Total.Allowed != 3 || r.Total.Input != 3000 || r.Unindexed != 0 {
		t.Errorf("got %+v, %d left out", r.Total, r.Unindexed)
	}
}

func TestAddRefusesDisorder(t *testing.T) {
	x, _ := open(t)
	var l tape
	l.add(t, start("a", noon))
	l.add(t, end("a", noon))
	if err := x.Add(t.Context(), []index.Record{l[1], l[0]}); err == nil {
		t.Error("took the second record before the first")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Add(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if seq, _ := x.Position(); seq != 0 {
		t.Errorf("is at %d", seq)
	}
	fill(t, x, l)
}

func TestAddCountsWhatIsInNoRow(t *testing.T) {
	x, _ := open(t)
	var l tape
	l.raw("no JSON at all")
	l.raw("")
	l.raw(`{"phase":"start"}`)
	l.raw(`{"request_id":"a","phase":"middle"}`)
	l.raw(`{"request_id":"a","phase":"end","phase":"start"}`)
	l.raw(`{"request_id":"a","phase":"end","severity":"awful"}`)
	l.add(t, end("a", noon))
	l.add(t, end("a", noon))
	fill(t, x, l)
	l.add(t, end("a", noon)) // again, in a batch of its own
	fill(t, x, l)
	if r := report(t, x, audit.ByDay, audit.Filter{}); r.Unindexed != 8 || r.Total.Requests != 1 || r.Total.Input != 1000 {
		t.Errorf("%d left out, %+v", r.Unindexed, r.Total)
	}
}

func TestWhatWasSaidIsNotKept(t *testing.T) {
	const secret = "the words of the prompt"
	x, path := open(t)
	a := end("a", noon)
	a.Prompt = []proto.Message{{Role: "user", Text: secret}}
	a.Answer = secret
	var l tape
	l.add(t, a)
	fill(t, x, l)
	a.Prompt, a.Answer = nil, ""
	got, err := x.Get(t.Context(), "a")
	if err != nil || !reflect.DeepEqual(got.Audit, a) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err != nil || bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s has it, or cannot be read: %v", file, err)
		}
	}
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte(`{"request_id":"a","phase":"end","time":"2026-11-22T12:00:00Z","duration":1e300,"usage":{"gen_ai.usage.input_tokens":9223372036854775807}}`))
	f.Add([]byte(`{"request_id":"a","phase":"start","time":"0000-01-01T00:00:00Z","client":"\u0000'; DROP TABLE requests; --"}`))
	f.Add([]byte(`{"request_id":"\ud83d\ude00","phase":"end","time":"9999-12-31T23:59:59.999999999Z","tool_calls":[{},{"gen_ai.tool.name":"x"},{}],"findings":[{"rule":"","severity":"low","where":""}],"duration":-1}`))
	f.Add([]byte(`[]`))
	x, _ := open(f) // one for all, since creating it takes longest
	f.Fuzz(func(t *testing.T, payload []byte) {
		seq, _ := x.Position()
		for range 2 { // the second time, what it says is known
			seq++
			if err := x.Add(t.Context(), []index.Record{{Seq: seq, Payload: payload}}); err != nil {
				t.Fatal(err)
			}
		}
		r, err := x.Report(t.Context(), audit.ByDay, audit.Filter{}, price.Shipped(), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if r.Total.Requests+r.Unindexed == 0 {
			t.Error("the record has left no trace")
		}
		var listed int64
		for _, err := range x.List(t.Context(), audit.Filter{}, audit.Order{}) {
			if err != nil {
				t.Fatal(err)
			}
			listed++
		}
		if r.Total.Requests != listed {
			t.Errorf("%d listed, %d reported", listed, r.Total.Requests)
		}
	})
}
