package delivery

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// sources are made up; each has a stream of alerts of its own.
var sources = []string{"cameras", "doors"}

// streamOf is the stream of a made-up source. It stores what is published under
// stored subjects, so that it does not overlap those of production.
func streamOf(source string) proto.Stream {
	return proto.Stream{
		Name:     proto.AlertsStream(source),
		Subjects: []string{proto.StoredPrefix + "." + string(proto.ClassAlert) + ".*." + source + ".>"},
		MaxAge:   time.Hour, MaxBytes: 64 << 20, Discard: proto.DiscardOld,
	}
}

// newRigOfSources starts a rig with the streams of the made-up sources, of which only
// the first are there from the start.
func newRigOfSources(t testing.TB, ackWait time.Duration, first int, options ...bustest.Option) *rig {
	t.Helper()
	names := bustest.AlertStreams()
	options = append(options, bustest.Grant(bus.RoleProvisioner, proto.StoredPrefix+".>"))
	var plan bus.ProvisionConfig
	for i, source := range sources {
		s := streamOf(source)
		options = append(options,
			bustest.Grant(bus.RoleProvisioner, append(bus.GrantCreate(s.Name), bus.GrantDurables(s.Name)...)...),
			bustest.Grant(bus.RoleOperator, append(bus.GrantInfo(s.Name), bus.GrantDurables(s.Name)...)...),
			bustest.Grant(bus.RoleNotifier, append(bus.GrantInfo(s.Name), bus.GrantRead(s.Name)...)...))
		if i < first {
			names, plan.Streams = append(names, s.Name), append(plan.Streams, s)
		} else {
			options = append(options, bustest.Durables(lanesOf(s.Name, ackWait)...))
		}
	}
	return newRigOf(t, ackWait, plan, names, options...)
}

// from stores alerts of a made-up source.
func (g *rig) from(source string, msgs ...*nats.Msg) {
	g.t.Helper()
	nc := g.bus.Raw(g.t, bus.RoleProvisioner)
	js, err := nc.JetStream(nats.PublishAsyncMaxPending(1 << 16))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, m := range msgs {
		var e proto.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			g.t.Fatal(err)
		}
		e.Source = source
		m = &nats.Msg{Subject: e.Subject().Stored(), Header: m.Header, Data: e.AppendJSON(nil)}
		if _, err := js.PublishMsgAsync(m); err != nil {
			g.t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	g.published += uint64(len(msgs))
}

// The alerts of all streams are delivered, each once, and the ledger has where each
// is stored.
func TestSeveralStreams(t *testing.T) {
	g := newRigOfSources(t, time.Second, len(sources))
	mixed := func(prefix string) (all []*nats.Msg) {
		for _, s := range []proto.Severity{proto.SeverityCritical, proto.SeverityHigh, proto.SeverityMedium, proto.SeverityLow} {
			all = append(all, numbered(s, prefix+s.String(), 3)...)
		}
		return all
	}
	g.publish(mixed("own ")...)
	for _, source := range sources {
		g.from(source, mixed(source+" ")...)
	}
	g.killAt("sent", 1)
	g.start()
	g.settled()
	for title, n := range g.titles() {
		if n != 1 && !slices.ContainsFunc(g.chat.accepted(), func(s sent) bool { return s.mayRepeat && slices.Contains(s.Titles, title) }) {
			t.Errorf("%s is told %d times", title, n)
		}
	}
	if n := len(g.titles()); n != 36 {
		t.Errorf("%d alerts are told, want 36", n)
	}
	streams := map[string]bool{}
	for _, lane := range g.lanes {
		streams[lane.Stream] = true
	}
	bustest.Eventually(t, "each alert is in one record", func() bool {
		ledger := g.ledger()
		for stream := range streams {
			for sequence := range uint64(12) {
				n := 0
				for _, d := range ledger {
					if d.Covers(stream, sequence+1) {
						n++
					}
				}
				if n > 1 {
					t.Fatalf("alert %d of %s is in %d records", sequence+1, stream, n)
				}
				if n == 0 && (stream == g.stream || slices.Contains(sources, strings.TrimPrefix(stream, proto.AlertsPrefix))) {
					return false
				}
			}
		}
		return true
	})
	g.checkRate()
}

// A flood of one source keeps neither its own critical alerts nor any alert of
// another waiting.
func TestFloodOfOneSource(t *testing.T) {
	const many = 8192 + 2000 // more than the server hands out, or a message is about
	for _, severity := range []proto.Severity{proto.SeverityHigh, proto.SeverityMedium} {
		t.Run(severity.String(), func(t *testing.T) {
			g := newRigOfSources(t, 30*time.Second, len(sources))
			flood := make([]*nats.Msg, 0, many)
			for i := range many {
				flood = append(flood, event(severity, fmt.Sprint("id", i), fmt.Sprint("flood ", i%50)))
			}
			g.from(sources[0], flood...)
			g.from(sources[0], alert(proto.SeverityCritical, "its own critical one"))
			g.from(sources[1], alert(severity, "another's"), alert(proto.SeverityCritical, "another's critical one"))
			g.stored()
			g.start()
			// The critical ones come first, and the first digest behind them.
			got := eventually(g, "the first digest is sent", func(s []sent) bool { return len(s) > 0 && s[len(s)-1].Kind == proto.DeliveryDigest })
			var first []string
			for _, s := range got[:len(got)-1] {
				first = append(first, s.Titles...)
			}
			slices.Sort(first)
			if !slices.Equal(first, []string{"another's critical one", "its own critical one"}) {
				t.Errorf("before the first digest come %q", first)
			}
			if digest := got[len(got)-1]; !slices.Contains(digest.Titles, "another's") || digest.Total > maxInPlan {
				t.Errorf("the first digest is about %d alerts, that of the other source among them: %t", digest.Total, slices.Contains(digest.Titles, "another's"))
			}
			g.settled()
			total := 0
			for _, n := range g.titles() {
				total += n
			}
			if total != many+3 {
				t.Errorf("%d alerts are told, want %d", total, many+3)
			}
		})
	}
}

// maxInPlan is how many alerts one message is about at most: two full queues.
const maxInPlan = 2 * 8192

// Alerts that wait for the rate limiter for longer than AckWait, while those of another
// stream keep coming, are told once.
func TestWhatWaitsIsToldOnce(t *testing.T) {
	g := newRigOfSources(t, 200*time.Millisecond, len(sources))
	g.clock = newFastClock(30)
	g.chat.clock, g.chat.limits.PerMinute = g.clock, 1
	g.start()
	g.from(sources[0], alert(proto.SeverityHigh, "first"))
	eventually(g, "the first is sent", func(s []sent) bool { return len(s) == 1 })
	for i := range 4 { // which wait two seconds
		g.from(sources[0], alert(proto.SeverityHigh, fmt.Sprint("waits ", i)))
		g.from(sources[1], alert(proto.SeverityHigh, fmt.Sprint("comes ", i)))
	}
	g.settled()
	total := 0
	for title, n := range g.titles() {
		if total += n; n != 1 {
			t.Errorf("%s is told %d times", title, n)
		}
	}
	if total != 9 {
		t.Errorf("%d alerts are told, want 9", total)
	}
}

// A stream that is added while the notifier runs is read too, as soon as its durables
// are there.
func TestStreamIsAdded(t *testing.T) {
	g := newRigOfSources(t, time.Second, 1)
	g.start()
	g.from(sources[0], alert(proto.SeverityHigh, "before"))
	eventually(g, "the first is sent", func(s []sent) bool { return len(s) == 1 })

	added := streamOf(sources[1])
	provision := func(consumers ...proto.Consumer) {
		t.Helper()
		config := bus.ProvisionConfig{Streams: append(g.added, added), Consumers: append(append(bustest.Consumers(), g.lanes...), consumers...)}
		if _, err := g.bus.Conn(t, bus.RoleProvisioner).Provision(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	provision()
	bustest.Eventually(t, "the missing durables are reported", func() bool {
		err := <-g.ready
		return err != nil && strings.Contains(err.Error(), added.Name)
	})
	lanes := lanesOf(added.Name, time.Second)
	provision(lanes...)
	g.lanes, g.added = append(g.lanes, lanes...), append(g.added, added)
	g.from(sources[1], alert(proto.SeverityHigh, "after"))
	eventually(g, "that of the new stream is sent", func([]sent) bool { return g.titles()["after"] == 1 })
	bustest.Eventually(t, "nothing is missing any more", func() bool { return <-g.ready == nil })
	g.settled()
}

// A stream that is removed while the notifier runs ends nothing.
func TestStreamIsRemoved(t *testing.T) {
	remove := "$JS.API.STREAM.DELETE." + proto.AlertsStream(sources[1])
	g := newRigOfSources(t, time.Second, len(sources), bustest.Grant(bus.RoleProvisioner, remove))
	g.start()
	g.from(sources[1], alert(proto.SeverityHigh, "before"))
	eventually(g, "the first is sent", func(s []sent) bool { return len(s) == 1 })
	g.settled()
	if _, err := g.bus.Raw(t, bus.RoleProvisioner).Request(remove, nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		title := fmt.Sprint("after ", i)
		g.from(sources[0], alert(proto.SeverityHigh, title))
		eventually(g, "one of another stream is sent", func([]sent) bool { return g.titles()[title] == 1 })
	}
}

// A few critical alerts do not wait for the many that are less severe.
func TestCriticalGoesAheadOfOthers(t *testing.T) {
	g := newRig(t)
	g.publish(numbered(proto.SeverityHigh, "h", 40)...)
	g.publish(numbered(proto.SeverityCritical, "c", 2)...)
	g.stored()
	g.start()
	g.settled()
	got := g.chat.accepted()
	if len(got) != 2 || got[0].Kind != proto.DeliveryCards || !slices.Equal(got[0].Titles, []string{"c0", "c1"}) {
		t.Fatalf("messages: %+v", got)
	}
	if got[1].Kind != proto.DeliveryDigest || got[1].Total != 40 {
		t.Errorf("the second is %s about %d", got[1].Kind, got[1].Total)
	}
	g.checkRate()
}
