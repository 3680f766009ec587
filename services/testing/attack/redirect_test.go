package attack

import (
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestRedirects: no key has the server publish where its holder may not: not as the
// destination of a trace, and not as the reply to a request. The provisioner's may,
// whose task is to change streams.
func TestRedirects(t *testing.T) {
	s := newStack(t).up()
	keys, err := os.ReadDir(s.path("data/keys"))
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{
		"security.alert." + host + ".suricata.alert.critical", "ingest.alert." + host + ".suricata.alert.critical",
		"$JS.ACK.ALERTS_suricata.notifier-telegram-42-urgent.1.1.1.1.0", "ingest.audit." + host + ".proxy.request.info", "$KV.SECURITY_STATE.silences",
	}
	before, tried := s.room("suricata"), 0
	for _, entry := range keys {
		role, isSeed := strings.CutSuffix(entry.Name(), ".nk")
		if !isSeed || role == "provisioner" || role == "shipper-suricata" || role == "proxy" {
			continue // they may do one or the other themselves
		}
		nc := s.holder(role)
		for _, target := range targets {
			for _, via := range []string{
				"$JS.API.STREAM.INFO.ALERTS_suricata", "$JS.API.DIRECT.GET.ALERTS_suricata", "$JS.API.STREAM.MSG.GET.ALERTS_suricata", "$JS.API.CONSUMER.MSG.NEXT.ALERTS_suricata.x",
				"ingest.event." + host + "." + strings.TrimPrefix(role, "shipper-") + ".alert.info", "deliveries.x", "replay.x", "$SRV.PING",
			} {
				traced := nats.Header{"Nats-Trace-Dest": {target}, "traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
				_ = nc.PublishMsg(&nats.Msg{Subject: via, Header: traced, Data: []byte("{}")})
				_ = nc.PublishMsg(&nats.Msg{Subject: via, Reply: target, Data: []byte("{}")})
				tried++
			}
		}
		_ = nc.Flush()
	}
	if tried < 200 {
		t.Fatalf("tried %d times only", tried)
	}
	s.write("eve.json", alert("what Suricata says itself", 1, "Major"))
	s.inChat("what Suricata says itself")
	all := strings.TrimSpace(s.stored("--all"))
	for line := range strings.Lines(all) {
		if strings.Contains(line, `"source":"suricata"`) && !strings.Contains(line, "what Suricata says itself") {
			t.Errorf("stored in Suricata's name: %s", line)
		}
	}
	if took := s.room("suricata") - before; took > 16<<10 {
		t.Errorf("%d bytes are stored in Suricata's name", took)
	}
	if out, _ := s.secbus("audit", "list", "--json"); strings.TrimSpace(out) != "" {
		t.Errorf("recorded in the proxy's name: %s", out)
	}
}
