package auditor

import (
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/checktest"
)

func TestCheckup(t *testing.T) {
	r := checktest.New(t)
	found := func(ahead time.Duration) []check.Finding {
		return checkup(t.Context(), service.Checkup{Bus: r.Read(ahead)})
	}
	checktest.Compare(t, found(0), checktest.Want("signature", check.Good, "nothing has been signed yet"))
	a := &proto.Audit{Host: bustest.Host, Source: bus.RoleProxy, Kind: "request", Decision: proto.DecisionAllowed}
	r.Store(bus.RoleProxy, a.Subject().Ingest(), a, nil)
	checktest.Compare(t, found(time.Hour), checktest.Want("signature", check.Warning, "a record of 1h00m ago has no signature"))
	r.Event(Role, Role, KindCheckpoint, proto.SeverityInfo, "c", nil)
	checktest.Compare(t, found(time.Hour), checktest.Want("signature", check.Good, "signed 1h00m ago"))
	checktest.Compare(t, checkup(t.Context(), service.Checkup{})) // no bus
}

// noon is when the judgements of these tests are made.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) *bus.Stored { return &bus.Stored{Sequence: 1, Time: noon.Add(-d)} }

func TestJudgeSignature(t *testing.T) {
	for _, test := range []struct {
		name             string
		signed, unsigned *bus.Stored
		want             checktest.Wanted
	}{
		{"nothing yet", nil, nil, checktest.Want("signature", check.Good, "nothing has been signed yet")},
		{"not yet", nil, before(time.Minute), checktest.Want("signature", check.Good, "nothing has been signed yet")},
		{"never", nil, before(time.Hour), checktest.Want("signature", check.Warning, "a record of 1h00m ago has no signature")},
		{"signed", before(time.Hour), nil, checktest.Want("signature", check.Good, "signed 1h00m ago")},
		{"a new record", before(time.Hour), before(time.Minute), checktest.Want("signature", check.Good, "signed 1h00m ago")},
		{"behind", before(2 * time.Hour), before(time.Hour), checktest.Want("signature", check.Warning, "is the auditor running")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			judgeSignature(&f, test.signed, test.unsigned, noon)
			checktest.Compare(t, f.All, test.want)
		})
	}
}
