package checkup

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/checktest"

	"github.com/openclaw-security/bus/services/internal/check"
)

// noon is when the judgements of these tests are made.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestJudgePackets(t *testing.T) {
	for _, test := range []struct {
		name, stats string
		want        checktest.Wanted
	}{
		{"well", `{"uptime":7200,"capture":{"kernel_packets":1000,"kernel_drops":10},"decoder":{"pkts":990}}`, checktest.Want("p", check.Good, "1000 packets in 2h00m, 1.0 % lost, as of 30s ago")},
		{"dropping", `{"uptime":7200,"capture":{"kernel_packets":1000,"kernel_drops":11}}`, checktest.Want("p", check.Warning, "1.1 % lost")},
		{"dropping all", `{"uptime":7200,"capture":{"kernel_packets":0,"kernel_drops":11}}`, checktest.Want("p", check.Warning, "100.0 % lost")},
		{"a file", `{"uptime":0,"decoder":{"pkts":302}}`, checktest.Want("p", check.Good, "302 packets in 0s")},
		{"just started", `{"uptime":299,"capture":{"kernel_packets":0,"kernel_drops":0}}`, checktest.Want("p", check.Good, "no packet in the 4m")},
		{"blind", `{"uptime":300,"capture":{"kernel_packets":0,"kernel_drops":0}}`, checktest.Want("p", check.Fault, "watch the bridge")},
		{"blind, without capture", `{"uptime":300}`, checktest.Want("p", check.Fault, "watch the bridge")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			statistics(t, test.stats).judgePackets(&f, "p", 30*time.Second)
			checktest.Compare(t, f.All, test.want)
		})
	}
}

func TestJudgeRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "suricata.rules")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	written := noon.Add(-15 * 24 * time.Hour)
	if err := os.Chtimes(file, written, written); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, engines, file string
		wants               []checktest.Wanted
	}{
		{
			"fresh", `{"last_reload":"2026-11-22T11:00:00.449888+0000","rules_loaded":13}`, "",
			[]checktest.Wanted{checktest.Want("r", check.Good, "13 rules in force, 0 failed to load; Suricata loaded them 59m ago")},
		},
		{
			"none", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":0,"rules_failed":3}`, "",
			[]checktest.Wanted{checktest.Want("r", check.Fault, "no rule is loaded")},
		},
		{
			"failed", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":9,"rules_failed":3}`, "",
			[]checktest.Wanted{checktest.Want("r", check.Warning, "3 failed to load")},
		},
		{
			"fourteen days", `{"last_reload":"2026-11-08T13:00:00.000000+0100","rules_loaded":9}`, "",
			[]checktest.Wanted{checktest.Want("r", check.Good, "14 days ago")},
		},
		{
			"older", `{"last_reload":"2026-11-08T12:59:59.000000+0100","rules_loaded":9}`, "",
			[]checktest.Wanted{checktest.Want("r", check.Warning, "update them")},
		},
		{
			"two engines", `{"last_reload":"2026-01-01T00:00:00.000000+0000","rules_loaded":9},{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":1}`, "",
			[]checktest.Wanted{checktest.Want("r", check.Good, "10 rules in force")},
		},
		{
			"an old file, loaded lately", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":9}`, file,
			[]checktest.Wanted{checktest.Want("r", check.Warning, "their file was written 15 days ago: update them")},
		},
		{
			"a missing file", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":9}`, file + ".gone",
			[]checktest.Wanted{checktest.Want("r file", check.Warning, "its age cannot be told"), checktest.Want("r", check.Good, "loaded them 1h00m ago")},
		},
		{"a time that cannot be read", `{"last_reload":"never","rules_loaded":9}`, "", []checktest.Wanted{checktest.Want("r", check.Good, "9 rules in force")}},
		{"no engine", ``, "", []checktest.Wanted{checktest.Want("r", check.Warning, "do not tell")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			statistics(t, `{"detect":{"engines":[`+test.engines+`]}}`).judgeRules(&f, "r", test.file, noon)
			checktest.Compare(t, f.All, test.wants...)
		})
	}
}

func statistics(t *testing.T, text string) *eveStats {
	t.Helper()
	var e eveStats
	if err := json.Unmarshal([]byte(`{"stats":`+text+`}`), &e); err != nil {
		t.Fatal(err)
	}
	return &e
}
