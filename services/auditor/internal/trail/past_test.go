package trail_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/auditor/internal/trail"
)

// A watch that was restored from the index tells what one tells that saw it all.
func TestPast(t *testing.T) {
	x, err := index.Open(filepath.Join(t.TempDir(), "audit.sqlite"), index.Options{Now: func() time.Time { return begin }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	now := begin.Add(20*24*time.Hour + 20*time.Minute)
	seen := trail.New("box1", trail.State{})
	var records []index.Record
	add := func(a *proto.Audit) {
		payload, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, index.Record{Seq: uint64(len(records) + 1), Payload: payload})
	}
	for i := range 400 {
		a := request(fmt.Sprint("r", i), fmt.Sprint("client", i%3), fmt.Sprint("tool", i%7))
		a.Time = begin.Add(time.Duration(i) * 72 * time.Minute)
		a.Usage = &proto.Usage{Input: 9000, Output: 1000}
		add(a)
		seen.End(a.Time, a)
	}
	add(&proto.Audit{RequestID: "open", Phase: proto.PhaseStart, Time: now})
	add(&proto.Audit{RequestID: "forged", Phase: proto.PhaseEnd, Time: now.Add(24 * 365 * time.Hour), Usage: &proto.Usage{Input: 1 << 40}})
	if err := x.Add(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	past, err := trail.Past(t.Context(), x, now)
	if err != nil {
		t.Fatal(err)
	}
	if !past.First.Equal(begin) || past.Requests != 401 || len(past.Uses) != 21 || len(past.Hours) < 24 {
		t.Errorf("first %s, %d requests, %d uses, %d hours", past.First, past.Requests, len(past.Uses), len(past.Hours))
	}
	restored := trail.New("box1", past)
	for i, a := range []*proto.Audit{request("a", "client1", "tool1"), request("b", "client1", "tool8"), request("c", "client9", "tool1"), spend(100_000), spend(150_000)} {
		want, got := seen.End(now, a), restored.End(now, a)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("record %d: got %+v, want %+v", i, got, want)
		}
		if told := len(want) > 0; told != (i == 1 || i == 2 || i == 4) {
			t.Errorf("record %d: %d events", i, len(want))
		}
	}
}
