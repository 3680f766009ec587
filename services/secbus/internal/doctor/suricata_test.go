package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestJudgePackets(t *testing.T) {
	for _, test := range []struct {
		name, stats string
		want        want
	}{
		{"well", `{"uptime":7200,"capture":{"kernel_packets":1000,"kernel_drops":10},"decoder":{"pkts":990}}`, want{"p", Good, "1000 packets in 2h00m, 1.0 % lost, as of 30s ago"}},
		{"dropping", `{"uptime":7200,"capture":{"kernel_packets":1000,"kernel_drops":11}}`, want{"p", Warning, "1.1 % lost"}},
		{"dropping all", `{"uptime":7200,"capture":{"kernel_packets":0,"kernel_drops":11}}`, want{"p", Warning, "100.0 % lost"}},
		{"a file", `{"uptime":0,"decoder":{"pkts":302}}`, want{"p", Good, "302 packets in 0s"}},
		{"just started", `{"uptime":299,"capture":{"kernel_packets":0,"kernel_drops":0}}`, want{"p", Good, "no packet in the 4m"}},
		{"blind", `{"uptime":300,"capture":{"kernel_packets":0,"kernel_drops":0}}`, want{"p", Fault, "watch the bridge"}},
		{"blind, without capture", `{"uptime":300}`, want{"p", Fault, "watch the bridge"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			statistics(t, test.stats).judgePackets(&f, "p", 30*time.Second)
			check(t, f.all, test.want)
		})
	}
}

func TestJudgeRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "suricata.rules")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	written := noon.Add(-15 * day)
	if err := os.Chtimes(file, written, written); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, engines, file string
		wants               []want
	}{
		{
			"fresh", `{"last_reload":"2026-11-22T11:00:00.449888+0000","rules_loaded":13}`, "",
			[]want{{"r", Good, "13 rules in force, 0 failed to load; Suricata loaded them 59m ago"}},
		},
		{
			"none", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":0,"rules_failed":3}`, "",
			[]want{{"r", Fault, "no rule is loaded"}},
		},
		{
			"failed", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":9,"rules_failed":3}`, "",
			[]want{{"r", Warning, "3 failed to load"}},
		},
		{
			"fourteen days", `{"last_reload":"2026-11-08T13:00:00.000000+0100","rules_loaded":9}`, "",
			[]want{{"r", Good, "14 days ago"}},
		},
		{
			"older", `{"last_reload":"2026-11-08T12:59:59.000000+0100","rules_loaded":9}`, "",
			[]want{{"r", Warning, "update them"}},
		},
		{
			"two engines", `{"last_reload":"2026-01-01T00:00:00.000000+0000","rules_loaded":9},{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":1}`, "",
			[]want{{"r", Good, "10 rules in force"}},
		},
		{
			"an old file, loaded lately", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":9}`, file,
			[]want{{"r", Warning, "their file was written 15 days ago: update them"}},
		},
		{
			"a missing file", `{"last_reload":"2026-11-22T11:00:00.000000+0000","rules_loaded":9}`, file + ".gone",
			[]want{{"r file", Warning, "its age cannot be told"}, {"r", Good, "loaded them 1h00m ago"}},
		},
		{"a time that cannot be read", `{"last_reload":"never","rules_loaded":9}`, "", []want{{"r", Good, "9 rules in force"}}},
		{"no engine", ``, "", []want{{"r", Warning, "do not tell"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			statistics(t, `{"detect":{"engines":[`+test.engines+`]}}`).judgeRules(&f, "r", test.file, noon)
			check(t, f.all, test.wants...)
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
