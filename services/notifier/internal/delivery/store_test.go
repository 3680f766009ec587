package delivery

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// When the answer to a write is lost, the write is found to be this process's
// own, and nothing is sent or stored twice.
func TestLostAnswers(t *testing.T) {
	for _, step := range []string{"attempt stored", "sent", "recorded"} {
		t.Run("after "+step, func(t *testing.T) {
			t.Parallel()
			g := newRigWith(t, time.Second, bus.ProvisionConfig{})
			wire := g.bus.Wire(t, bus.RoleNotifier)
			g.change = func(o *Options) { o.Conn = wire.Conn }
			other := g.operator()
			revision := func() uint64 {
				_, r, err := other.Get(t.Context(), proto.KeyDelivery(chatName))
				if err != nil {
					t.Error(err)
				}
				return r
			}
			d := New(g.options())
			cut := make(chan struct{})
			once := false
			d.at = func(s string) {
				if s != step || once {
					return
				}
				once = true
				before := revision()
				wire.Mute()
				go func() {
					defer close(cut)
					if step != "attempt stored" { // after which nothing is written until the chat has answered
						bustest.Eventually(t, "the state is written", func() bool { return revision() > before })
					}
					wire.Cut()
				}()
			}
			stop := g.background(d)
			g.publish(alert(proto.SeverityHigh, "it"))
			<-cut
			g.settled()
			stop()
			got := g.chat.requests()
			if len(got) != 1 || got[0].mayRepeat {
				t.Errorf("sent %+v", got)
			}
			if l := g.ledger(); len(l) != 1 {
				t.Errorf("the ledger has %+v", l)
			}
		})
	}
}

// A source that has lost its place publishes events again: they are sent once.
func TestRepeatedEvents(t *testing.T) {
	g := newRig(t)
	same := func() { g.publish(event(proto.SeverityHigh, "the id", "it")) }
	same()
	same()
	g.stored()
	metrics := prometheus.NewRegistry()
	g.change = func(o *Options) { o.Metrics = metrics }
	g.start()
	eventually(g, "it is sent", func(s []sent) bool { return len(s) == 1 })
	same()
	g.settled()
	g.publish(alert(proto.SeverityHigh, "another"))
	eventually(g, "the other one is sent", func([]sent) bool { return g.titles()["another"] == 1 })
	if n := g.titles()["it"]; n != 1 {
		t.Errorf("told %d times", n)
	}
	want := "# HELP notifier_chat_alerts_repeated_total Alerts that were delivered to the notifier again after a message about them had been accepted.\n" +
		"# TYPE notifier_chat_alerts_repeated_total counter\n" +
		"notifier_chat_alerts_repeated_total{sink=\"fake\"} 1\n"
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "notifier_chat_alerts_repeated_total"); err != nil {
		t.Error(err)
	}
}
