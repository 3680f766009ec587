package shipper_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// A rule that fires too often is folded and counted: every line is published once,
// under its id, and those above the limit as events. Another rule's alert is one.
func TestAFloodIsFolded(t *testing.T) {
	const limit, many = 50, 500
	b := bustest.Start(t)
	f := listen(t, b)
	path := filepath.Join(t.TempDir(), "eve.json")
	r := start(t, b, shipper.SourceSuricata, path, fmt.Sprint("ALERT_FLOOD=", limit))
	at := time.Now().UTC().Truncate(time.Minute).Format("2006-01-02T15:04:05.000000-0700")
	line := func(rule, i int) []byte {
		return fmt.Appendf(nil, `{"timestamp":%q,"event_type":"alert","src_ip":"10.0.%d.%d","dest_ip":"91.92.242.30","alert":{"signature":"rule %d","signature_id":%d,"severity":1}}`+"\n",
			at, i/256, i%256, rule, rule)
	}
	var text []byte
	for i := range many {
		text = append(text, line(1, i)...)
	}
	appendTo(t, path, append(text, line(2, 0)...))

	seen := make(map[string]bool)
	alerts, folded := make(map[string]int), 0
	var reports []*proto.Event
	collect := func(lines int) {
		t.Helper()
		for want := len(seen) + lines; len(seen) < want || len(reports) == 0; {
			m, e := f.next()
			class := proto.ClassAlert
			switch {
			case e.Kind == proto.KindFlood:
				reports = append(reports, e)
			case seen[e.ID]:
				t.Errorf("line %d of the file was published twice", e.Origin.Offset)
			case slices.Contains(e.Tags, "flood"):
				seen[e.ID] = true
				folded++
				class = proto.ClassEvent
				if !slices.Contains(e.Tags, "was-high") || e.Rule.ID != "1" || len(e.Raw) == 0 {
					t.Errorf("folded: %s", m.Data)
				}
			default:
				seen[e.ID] = true
				alerts[e.Rule.ID]++
			}
			if !strings.HasPrefix(m.Subject, proto.StoredPrefix+"."+string(class)+".") {
				t.Errorf("%s with the tags %q is under %s", e.Title, e.Tags, m.Subject)
			}
		}
	}
	collect(many + 1)
	if alerts["1"] != limit || alerts["2"] != 1 || folded != many-limit {
		t.Errorf("alerts %v, folded %d", alerts, folded)
	}
	report := reports[0]
	if report.Rule.ID != "1" || report.Severity != proto.SeverityHigh || !strings.Contains(report.Title, `Flood of rule "1" since`) {
		t.Errorf("the report is %+v", report)
	}
	var raw struct {
		Samples []string `json:"samples"`
	}
	if err := json.Unmarshal(report.Raw, &raw); err != nil || !slices.Equal(raw.Samples, []string{"10.0.0.50 → 91.92.242.30"}) {
		t.Errorf("it says %s (%v)", report.Raw, err)
	}

	// A shipper that starts counts from the beginning, and repeats nothing.
	r.end(t)
	start(t, b, shipper.SourceSuricata, path, fmt.Sprint("ALERT_FLOOD=", limit))
	appendTo(t, path, bytes.Join([][]byte{line(1, many), line(2, 1)}, nil))
	collect(2)
	if alerts["1"] != limit+1 || alerts["2"] != 2 {
		t.Errorf("after a restart: %v", alerts)
	}
}
