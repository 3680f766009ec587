package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/flood"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
)

// taken is an appender that keeps alerts.
type taken struct{ alerts []*proto.Event }

func (*taken) AppendAudit(*proto.Audit) error { return nil }

func (t *taken) AppendAlert(e *proto.Event) error {
	t.alerts = append(t.alerts, e)
	return nil
}

// A model that makes up any number of calls to object to fills no stream: what is over
// is counted, and what another detection finds is an alert.
func TestFindingsThatFlood(t *testing.T) {
	const limit, many = 200, 2700
	now := time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	spool := new(taken)
	records := &records{redact: func(s string) string { return s }, spool: spool, host: "box", now: clock, flood: &floods{folder: flood.New(limit, clock)}}
	r := &record{to: records, Audit: proto.Audit{RequestID: "r"}}
	for i := range many {
		r.findings++
		r.alert(detect.Finding{Rule: detect.DangerousCommand, Severity: proto.SeverityCritical, Where: detect.InToolCall, Detail: "pipe to a shell"}, fmt.Sprint("tool", i))
	}
	r.findings++
	r.alert(detect.Finding{Rule: detect.Secret, Severity: proto.SeverityCritical, Where: detect.InRequest, Detail: "a key"}, "")
	now = now.Add(10 * time.Minute)
	records.tellFloods()

	count := make(map[string]int)
	var reports []string
	for _, e := range spool.alerts {
		if e.Kind == proto.KindFlood {
			reports = append(reports, e.Title)
		} else {
			count[e.Rule.ID]++
		}
		if e.Severity != proto.SeverityCritical || slices.Contains(e.Tags, "was-critical") {
			t.Errorf("published: %+v", e)
		}
	}
	if count[detect.DangerousCommand] != limit || count[detect.Secret] != 1 {
		t.Errorf("alerts %v", count)
	}
	if len(reports) != 2 || !strings.Contains(reports[1], fmt.Sprintf("is over: %d more", many-limit)) {
		t.Errorf("reports %q", reports)
	}
}
