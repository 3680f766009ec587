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

const (
	chunkedHead = "POST /c HTTP/1.1\r\nHost: drop.example\r\nTransfer-Encoding: chunked\r\n\r\n"
	longHead    = "POST /c HTTP/1.1\r\nHost: drop.example\r\nContent-Length: 5000\r\n\r\n"
	subscribe   = `{"id":1,"method":"mining.subscribe","params":["miner/1"]}` + "\n"
	xmrig       = `{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4A","pass":"x","agent":"XMRig/6.21.0 (Linux x86_64)","algo":["rx/0"]}}` + "\n"
)

// TestAlertsWhileOpen: an alert is of the packet that completes its cause, also if
// nothing follows on the connection, and if the cause comes in pieces.
func TestAlertsWhileOpen(t *testing.T) {
	engine := findEngine(t)
	cases := []struct {
		name  string
		rule  int
		port  uint16
		turns []turn
	}{
		{"shell that speaks first", 9900003, 4444, []turn{says(idOutput)}},
		{"shell on the port of HTTP", 9900003, 80, []turn{says(idOutput)}},
		{"shell that answers", 9900003, 4444, []turn{answers("id\n"), says(idOutput)}},
		{"shell with a prompt", 9900003, 4444, []turn{says("bash: no job control\nroot@box:/# "), answers("id\n"), says(idOutput + "root@box:/# ")}},
		{"shell on a terminal", 9900003, 4444, []turn{says("$ "), answers("id\n"), says("i"), says("d"), says("\r\n" + idOutput + "$ ")}},
		{"shell that says it in two pieces", 9900003, 4444, []turn{says("uid=0(root) g"), says("id=0(root) groups=0(root)\n")}},
		{"shell that says it byte by byte", 9900003, 4444, bytewise("uid=0(root) gid=0(root)\n")},
		{"shell of which much was seen", 9900020, 4444, []turn{says(strings.Repeat("drwxr-xr-x 2 node node 4096 .\n", 100)), answers(strings.Repeat("ls -la; ", 400) + "\n"), says("$ "), answers("id\n"), says(idOutput)}},
		{"shell after a lost packet", 9900003, 4444, []turn{says("$ "), says("a lost line\n").isLost(), answers("id\n"), says(idOutput)}},
		{"Stratum", 9900011, 3333, []turn{says(subscribe)}},
		{"Stratum in two pieces", 9900011, 3333, []turn{says(subscribe[:20]), says(subscribe[20:])}},
		{"Monero miner", 9900019, 3333, []turn{says(xmrig)}},
		{"foreign origin", 9900002, 18789, []turn{request("GET", "/", "", "Host: gw:18789", "Origin: https://evil.example")}},
		{"key in a header, without an answer", 9900016, 80, []turn{request("GET", "/", "", "Host: llm.example", "x-api-key: "+anthropicKey)}},
		{"key in a query, without an answer", 9900017, 80, []turn{request("GET", "/?t="+githubKey, "", "Host: git.example")}},
		{"key in a body that does not end", 9900004, 80, []turn{says(longHead + "key=" + anthropicKey + "&")}},
		{"key in a body that comes later", 9900004, 80, []turn{says(longHead), says("key=" + anthropicKey[:12]), says(anthropicKey[12:] + "&")}},
		{"shell by chunks of HTTP", 9900018, 80, []turn{says(chunkedHead), says(fmt.Sprintf("%x\r\n%s\r\n", len(idOutput), idOutput))}},
		{"script", 9900006, 80, []turn{request("GET", "/install.sh", "", "Host: get.example", "User-Agent: curl/8.5.0")}},
		{"ELF that does not end", 9900007, 80, []turn{request("GET", "/x", "", "Host: get.example"), answers("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 200))}},
		{"container created", 9900013, 2375, []turn{says("POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Length: 500\r\n\r\n{")}},
		{"a token made anew", 9900023, 18789, []turn{upgrade(), switching(), says(clientFrame(`{"method":"device.token.rotate"}`))}},
		{"approvals set", 9900025, 18789, []turn{upgrade(), switching(), says(clientFrame(`{"method":"exec.approvals.set"}`))}},
		{"configuration changed", 9900026, 18789, []turn{upgrade(), switching(), says(clientFrame(`{"method":"config.patch"}`))}},
		{"SSH", 9900010, 22, []turn{answers("SSH-2.0-OpenSSH_9.6\r\n"), says("SSH-2.0-Go\r\n")}},
	}
	c := newCapture()
	last := make([]int, len(cases)) // number of each connection's last packet
	server := netip.MustParseAddr(outside)
	client := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("10.20.0.%d", i+1)) }
	for i, test := range cases {
		open(test.port, test.turns...)(c, client(i), server)
		last[i] = c.packets
	}
	// Time goes on, on another connection.
	c.pause(time.Second)
	get(80, "/", "Host: quiet.example")(c, client(len(cases)), server)
	dir := t.TempDir()
	pcap := filepath.Join(dir, "open.pcap")
	c.save(t, pcap)

	found := make(map[string][]int)
	for _, line := range engine.read(t, dir, pcap) {
		var a struct {
			alert
			// Packet is 0 where the cause is inspected because the connection
			// has ended or timed out.
			Packet int `json:"pcap_cnt"`
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		if a.EventType != "alert" {
			continue
		}
		for i := range cases {
			if ip := client(i).String(); ip != a.Source && ip != a.Target {
				continue
			}
			if a.Packet == 0 || a.Packet > last[i] {
				t.Errorf("%s: rule %d fires with packet %d, want one up to %d", cases[i].name, a.Alert.ID, a.Packet, last[i])
			}
			found[cases[i].name] = append(found[cases[i].name], a.Alert.ID)
		}
	}
	for _, test := range cases {
		if got := slices.Compact(found[test.name]); !slices.Equal(got, []int{test.rule}) {
			t.Errorf("%s fires %v, want %d", test.name, got, test.rule)
		}
	}
}

func bytewise(data string) (turns []turn) {
	for _, b := range []byte(data) {
		turns = append(turns, says(string(rune(b))))
	}
	return turns
}
