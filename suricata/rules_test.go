package suricata

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// alert is what the tests need of an EVE alert.
type alert struct {
	EventType string `json:"event_type"`
	Source    string `json:"src_ip"`
	Target    string `json:"dest_ip"`
	Alert     struct {
		ID       int    `json:"signature_id"`
		Title    string `json:"signature"`
		Severity int    `json:"severity"`
	} `json:"alert"`
}

func alerts(t *testing.T, lines []string) []alert {
	t.Helper()
	var found []alert
	for _, line := range lines {
		var a alert
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("reading %q: %v", line, err)
		}
		if a.EventType == "alert" {
			found = append(found, a)
		}
	}
	return found
}

// TestRules plays every case to Suricata in one capture: what must fire a rule,
// and what lies next to it and must not.
func TestRules(t *testing.T) {
	engine := findEngine(t)
	cases := ruleCases()
	byClient := make(map[string]int, len(cases))
	c := newCapture()
	for i, test := range cases {
		client := test.client
		if client == "" {
			client = fmt.Sprintf("10.20.%d.%d", i/100, 1+i%100)
		}
		if _, taken := byClient[client]; taken {
			t.Fatalf("%s: client %s has had a conversation", test.name, client)
		}
		byClient[client] = i
		test.traffic(c, netip.MustParseAddr(client), netip.MustParseAddr(test.server))
		c.pause(time.Second)
	}
	dir := t.TempDir()
	pcap := filepath.Join(dir, "cases.pcap")
	c.save(t, pcap)

	fired := make([][]int, len(cases))
	lines := engine.read(t, dir, pcap, "--set", "vars.address-groups.LLM_PROXY=["+llmProxy+"/32]")
	for _, a := range alerts(t, lines) {
		i, ok := byClient[a.Source]
		if !ok {
			i, ok = byClient[a.Target]
		}
		if !ok {
			t.Errorf("alert of nobody: %+v", a)
			continue
		}
		fired[i] = append(fired[i], a.Alert.ID)
	}
	for i, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			slices.Sort(fired[i])
			if got := slices.Compact(fired[i]); !slices.Equal(got, test.fires) {
				t.Errorf("fired %v, want %v", got, test.fires)
			}
		})
	}
}

// TestLimits checks that a rule with a limit fires once where the cause repeats.
func TestLimits(t *testing.T) {
	engine := findEngine(t)
	c := newCapture()
	client, server := netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr(outside)
	repeated(5, handshake("api.openai.com"))(c, client, server)
	repeated(5, lookup(strings.Repeat("x", 60)+".example"))(c, client, server)
	dir := t.TempDir()
	pcap := filepath.Join(dir, "limits.pcap")
	c.save(t, pcap)
	counts := make(map[int]int)
	for _, a := range alerts(t, engine.read(t, dir, pcap)) {
		counts[a.Alert.ID]++
	}
	for _, id := range []int{9900009, 9900015} {
		if counts[id] != 1 {
			t.Errorf("rule %d fired %d times, want once", id, counts[id])
		}
	}
}

// TestLabCapture reads a capture of a real lab: an agent, its gateway and a host
// outside.
func TestLabCapture(t *testing.T) {
	engine := findEngine(t)
	pcap, err := filepath.Abs(filepath.Join("testdata", "openclaw-lab.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, a := range alerts(t, engine.read(t, t.TempDir(), pcap)) {
		got = append(got, a.Alert.ID)
	}
	slices.Sort(got)
	want := []int{
		9900001, 9900002, 9900003, 9900004, 9900005, 9900005, 9900006, 9900007,
		9900008, 9900009, 9900010, 9900011, 9900012, 9900013, 9900015,
	}
	if !slices.Equal(got, want) {
		t.Errorf("fired %v\nwant  %v", got, want)
	}
}

// TestEveKeepsSecretsOut checks that no record holds what was in a packet.
func TestEveKeepsSecretsOut(t *testing.T) {
	engine := findEngine(t)
	c := newCapture()
	post(80, "/collect", "key="+anthropicKey, "Host: collect.example", "x-api-key: "+openaiKey)(
		c, netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr(outside))
	dir := t.TempDir()
	pcap := filepath.Join(dir, "secrets.pcap")
	c.save(t, pcap)
	lines := engine.read(t, dir, pcap)
	if len(alerts(t, lines)) == 0 {
		t.Fatal("no alert, so that nothing is proved")
	}
	for _, line := range lines {
		for _, secret := range []string{anthropicKey, openaiKey, `"payload`, `"packet"`, `"http_request_body`} {
			if strings.Contains(line, secret) {
				t.Errorf("%s is in %s", secret, line)
			}
		}
	}
}

// TestStats checks that there are the counters of which the shipper makes its
// alarms of drops and silence.
func TestStats(t *testing.T) {
	engine := findEngine(t)
	pcap, err := filepath.Abs(filepath.Join("testdata", "openclaw-lab.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		EventType string `json:"event_type"`
		Stats     struct {
			Uptime  *int64 `json:"uptime"`
			Decoder struct {
				Packets      int64  `json:"pkts"`
				PacketsDelta *int64 `json:"pkts_delta"`
			} `json:"decoder"`
		} `json:"stats"`
	}
	for _, line := range engine.read(t, t.TempDir(), pcap) {
		if strings.Contains(line, `"event_type":"stats"`) {
			if err := json.Unmarshal([]byte(line), &stats); err != nil {
				t.Fatal(err)
			}
		}
	}
	if stats.Stats.Uptime == nil || stats.Stats.Decoder.Packets == 0 {
		t.Fatalf("stats lack uptime or packets: %+v", stats)
	}
	if stats.Stats.Decoder.PacketsDelta == nil {
		t.Error("stats have no deltas")
	}
}

// TestConfigurationLoads has Suricata check configuration and rules.
func TestConfigurationLoads(t *testing.T) {
	engine := findEngine(t)
	out, err := engine.run(t, t.TempDir(), "-T")
	if err != nil {
		t.Fatalf("suricata -T: %v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "W:") || strings.HasPrefix(line, "E:") {
			t.Errorf("suricata -T says %s", line)
		}
	}
}
