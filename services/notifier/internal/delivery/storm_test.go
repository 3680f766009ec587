package delivery

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// A storm is drained in few messages that count every alert, and a critical one
// that comes in the middle of it has a message of its own, the next.
func TestStorm(t *testing.T) {
	// Few, if enough for more than one digest: copying 100,000 alerts into their
	// stream takes an embedded server that syncs every write more than a minute.
	n := testenv.Count(t, "TEST_ALERTS", 10_000)
	g := newRig(t)
	storm := make([]*nats.Msg, 0, n)
	for i := range n {
		storm = append(storm, event(proto.SeverityMedium, fmt.Sprint("id", i), fmt.Sprint("rule ", i%700)))
	}
	g.publish(storm...)
	g.stored()
	const comes = "the one that counts"
	g.chat.onSend = func(i int, _ *sent) error {
		if i != 1 {
			return nil
		}
		g.published++
		return g.source.Publish(t.Context(), []*nats.Msg{alert(proto.SeverityCritical, comes)})
	}
	g.start()
	eventually(g, "the critical alert is sent", func([]sent) bool { return g.titles()[comes] == 1 })
	g.settled()

	got := g.chat.accepted()
	total := 0
	for i, s := range got {
		total += s.Total
		if !slices.Contains(s.Titles, comes) {
			continue
		}
		// The digest after the one in which it came may have been on its way.
		if i > 3 || s.Kind != proto.DeliveryCards {
			t.Errorf("the critical alert is in message %d, %s", i, s.Kind)
		}
	}
	if total != n+1 {
		t.Errorf("the messages are about %d alerts, want %d", total, n+1)
	}
	if most := n/8192 + 5; len(got) > most {
		t.Errorf("%d messages, want at most %d", len(got), most)
	}
	t.Logf("%d alerts in %d messages, the last %s after the first", n+1, len(got), got[len(got)-1].at.Sub(got[0].at).Round(time.Second))
	g.checkRate()
	bustest.Eventually(t, "the ledger has every message", func() bool { return len(g.ledger()) == len(got) })
}

// However many urgent alerts keep coming, the routine ones have their turn.
func TestRoutineHasItsTurn(t *testing.T) {
	g := newRig(t)
	g.chat.limits.PerMinute = 3
	g.publish(numbered(proto.SeverityMedium, "r", 20)...)
	g.stored()
	next := 0
	g.chat.onSend = func(int, *sent) error {
		next++
		return g.source.Publish(t.Context(), []*nats.Msg{alert(proto.SeverityHigh, fmt.Sprint("u", next))})
	}
	g.publish(alert(proto.SeverityHigh, "u0"))
	g.stored()
	_, stop := g.start()
	got := eventually(g, "the routine alerts are sent", func(s []sent) bool {
		return len(s) > 0 && slices.Contains(s[len(s)-1].Titles, "r0")
	})
	stop()
	if len(got) > 3 {
		t.Errorf("only in message %d", len(got))
	}
}
