package bus_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
)

// What is replayed reaches who listens, and nothing stores it.
func TestBroadcast(t *testing.T) {
	b := bustest.Start(t)
	listener, err := b.Raw(t, bus.RoleTail).SubscribeSync(proto.ReplayPrefix + ".>")
	if err != nil {
		t.Fatal(err)
	}
	replay := b.Conn(t, bus.RoleReplay)
	const subject = proto.ReplayPrefix + ".security.alert.box1.suricata.alert.high"
	bustest.Eventually(t, "the listener hears it", func() bool {
		if err := replay.Broadcast(&nats.Msg{Subject: subject, Data: []byte("again")}); err != nil {
			t.Fatal(err)
		}
		if err := replay.Flush(deadlineContext(t)); err != nil {
			t.Fatal(err)
		}
		m, err := listener.NextMsg(deadline / 100)
		return err == nil && m.Subject == subject && string(m.Data) == "again"
	})
}
