package auditor

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/anomaly"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// A watch that was restored from the index finds what one finds that had all
// records.
func TestWatchIsRestored(t *testing.T) {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	x, err := index.Open(filepath.Join(t.TempDir(), "audit.sqlite"), index.Options{Now: func() time.Time { return begin }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	now := begin.Add(20*24*time.Hour + 20*time.Minute)
	whole := anomaly.New("box1", anomaly.State{})
	var records []index.Record
	add := func(a proto.Audit) chain.Record {
		r := ended(t, a)
		records = append(records, index.Record{Seq: uint64(len(records) + 1), Payload: r.Payload})
		return r
	}
	for i := range 400 {
		r := add(proto.Audit{
			RequestID: fmt.Sprint("r", i), Client: fmt.Sprint("client", i%3), ToolCalls: []proto.ToolCall{{Name: fmt.Sprint("tool", i%7)}},
			Time: begin.Add(time.Duration(i) * 72 * time.Minute), Usage: &proto.Usage{Input: 9000, Output: 1000},
		})
		features, _ := watched(r)
		whole.Add(features)
	}
	add(proto.Audit{RequestID: "forged", Time: now.Add(24 * 365 * time.Hour), Usage: &proto.Usage{Input: 1 << 40}})
	open, err := json.Marshal(proto.Audit{RequestID: "open", Phase: proto.PhaseStart, Time: now})
	if err != nil {
		t.Fatal(err)
	}
	records = append(records, index.Record{Seq: uint64(len(records) + 1), Payload: open})
	if err := x.Add(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	past, err := watchState(t.Context(), x, now)
	if err != nil {
		t.Fatal(err)
	}
	if !past.First.Equal(begin) || past.Requests != 401 || len(past.Uses) != 21 || len(past.Hours) < 24 {
		t.Errorf("first %s, %d requests, %d uses, %d hours", past.First, past.Requests, len(past.Uses), len(past.Hours))
	}
	restored := anomaly.New("box1", past)
	for i, a := range []proto.Audit{
		{RequestID: "a", Client: "client1", ToolCalls: []proto.ToolCall{{Name: "tool1"}}},
		{RequestID: "b", Client: "client1", ToolCalls: []proto.ToolCall{{Name: "tool8"}}},
		{RequestID: "c", Client: "client9", ToolCalls: []proto.ToolCall{{Name: "tool1"}}},
		{RequestID: "d", Client: "agent", Usage: &proto.Usage{Input: 100_000}},
		{RequestID: "e", Client: "agent", Usage: &proto.Usage{Input: 149_000, Output: 1000}},
	} {
		a.Time = now
		features, _ := watched(ended(t, a))
		want, got := whole.Add(features), restored.Add(features)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("record %d: got %+v, want %+v", i, got, want)
		}
		if found := len(want) > 0; found != (i == 1 || i == 2 || i == 4) {
			t.Errorf("record %d: %d findings", i, len(want))
		}
	}
}

// ended is the record of a request's end, stored when the request came in.
func ended(t *testing.T, a proto.Audit) chain.Record {
	t.Helper()
	a.Phase = proto.PhaseEnd
	payload, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return chain.Record{Stored: a.Time, Payload: payload}
}

func TestFindingAsEvent(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 30, 0, 0, time.UTC)
	a := &auditor{host: bustest.Host}
	for _, tt := range []struct {
		finding     anomaly.Finding
		subject, id string
	}{
		{anomaly.Finding{Kind: "first-seen", Key: "r", Severity: proto.SeverityLow}, "security.alert.box1.auditor.first-seen.low", proto.AuditID("r", "first-seen")},
		{
			anomaly.Finding{Kind: "token-burst", Key: "2026-11-01T00:00:00Z box1", Severity: proto.SeverityMedium},
			"security.alert.box1.auditor.token-burst.medium", proto.AuditID("2026-11-01T00:00:00Z box1", "token-burst"),
		},
	} {
		tt.finding.Time, tt.finding.Title, tt.finding.Detail = at, "a title", json.RawMessage(`{"count":1}`)
		e := a.finding(tt.finding)
		if err := e.Subject().Validate(); err != nil || e.Subject().Stored() != tt.subject {
			t.Errorf("subject %s, %v", e.Subject().Stored(), err)
		}
		if e.ID != tt.id || e.Title != "a title" || e.SeverityID != tt.finding.Severity.ID() || !e.Time.Equal(at) || e.Rule.ID != tt.finding.Kind || string(e.Raw) != `{"count":1}` {
			t.Errorf("got %+v", e)
		}
	}
}
