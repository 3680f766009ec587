package delivery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// What waits decides the messages.
func TestMessages(t *testing.T) {
	const high, medium = proto.SeverityHigh, proto.SeverityMedium
	join := func(parts ...[]*nats.Msg) (all []*nats.Msg) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	same := func(severity proto.Severity, n int) (all []*nats.Msg) {
		for _, m := range numbered(severity, "id", n) {
			all = append(all, event(severity, m.Header.Get(proto.HeaderEventID), "the same"))
		}
		return all
	}
	for _, test := range []struct {
		name   string
		alerts []*nats.Msg
		want   []string // kind and titles of each message
	}{
		{"one", numbered(high, "u", 1), []string{"cards u0"}},
		{"three urgent ones have a message each", numbered(high, "u", 3), []string{"cards u0", "cards u1", "cards u2"}},
		{"the most severe comes first", join(numbered(high, "h", 1), numbered(proto.SeverityCritical, "c", 1)), []string{"cards c0", "cards h0"}},
		{"more share one", numbered(high, "u", 5), []string{"cards u0 u1 u2 u3 u4"}},
		{"routine ones share one", numbered(medium, "r", 2), []string{"cards r0 r1"}},
		{"both lanes share one", join(numbered(high, "u", 4), numbered(medium, "r", 2)), []string{"cards u0 u1 u2 u3 r0 r1"}},
		{"urgent ones go before routine ones", join(numbered(medium, "r", 9), numbered(high, "u", 1)), []string{"cards u0", "digest r0 r1 r2 r3 r4 r5 r6 r7 r8"}},
		{"many become a digest", numbered(high, "u", 8), []string{"digest u0 u1 u2 u3 u4 u5 u6 u7"}},
		{"repeated ones are one card", same(high, 50), []string{"cards the same"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			g.publish(test.alerts...)
			g.stored()
			g.start()
			g.settled()
			var got []string
			total := 0
			for _, s := range g.chat.accepted() {
				got = append(got, strings.Join(append([]string{string(s.Kind)}, s.Titles...), " "))
				total += s.Total
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("messages\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if total != len(test.alerts) {
				t.Errorf("they are about %d alerts, want %d", total, len(test.alerts))
			}
			bustest.Eventually(t, "the ledger has every message", func() bool { return len(g.ledger()) == len(test.want) })
			for seq := range uint64(len(test.alerts)) {
				covered := 0
				for _, d := range g.ledger() {
					if d.Covers(g.stream, seq+1) {
						covered++
					}
				}
				if covered != 1 {
					t.Errorf("%d records cover the alert %d", covered, seq+1)
				}
			}
			g.checkRate()
		})
	}
}

// An alert that needs no message is acknowledged, and told of where it matters.
func TestAlertsWithoutMessage(t *testing.T) {
	g := newRig(t)
	g.change = func(o *Options) {
		o.Min = proto.SeverityHigh
		o.Silenced = func(e *proto.Event, payload []byte) string {
			if len(payload) == 0 {
				t.Error("no payload")
			}
			if strings.HasPrefix(e.Title, "silent") {
				return "maintenance"
			}
			return ""
		}
	}
	broken := alert(proto.SeverityHigh, "broken")
	broken.Data = []byte("{broken")
	g.publish(append(numbered(proto.SeverityHigh, "silent", 3), broken, alert(proto.SeverityMedium, "below"))...)
	// Its subject is what the server vouches for.
	liar := alert(proto.SeverityCritical, "liar")
	liar.Data = alert(proto.SeverityLow, "liar").Data
	g.publish(liar)
	g.stored()
	g.start()
	g.settled()
	got := g.chat.accepted()
	if len(got) != 1 || got[0].Total != 1 || got[0].Titles[0] != "liar" {
		t.Fatalf("sent %+v", got)
	}
	all := strings.Join(got[0].Notices, "\n")
	if !strings.Contains(all, "3 alerts silenced by maintenance") || !strings.Contains(all, "1 alert was unreadable") {
		t.Errorf("notices\n%s", all)
	}
	if dead := g.dead(); len(dead) != 1 || !strings.Contains(dead[0], "decoding the event") {
		t.Errorf("dead letters %q", dead)
	}
}

// dead are the reasons and payloads of the dead letters.
func (g *rig) dead() (all []string) {
	g.t.Helper()
	for m, err := range g.operator().History(g.t.Context(), proto.StreamDead, proto.DeadPrefix+".>", bus.Start{}) {
		if err != nil {
			g.t.Fatal(err)
		}
		all = append(all, m.Header.Get(proto.HeaderDeadReason)+" "+string(m.Data))
	}
	return all
}

// What an answer means for the attempts that follow.
func TestAnswers(t *testing.T) {
	moved := failure(sink.Moved)
	moved.MovedTo = "-100"
	later := failure(sink.NotSent)
	later.RetryAfter = 90 * time.Second
	for _, test := range []struct {
		name    string
		answers []error
		want    sent // the attempt that is accepted
		notice  string
		wait    time.Duration // before it, at least
	}{
		{name: "not sent", answers: []error{failure(sink.NotSent)}, wait: 500 * time.Millisecond},
		{name: "not sent, with a time", answers: []error{later}, wait: 90 * time.Second},
		{name: "ambiguous", answers: []error{failure(sink.Ambiguous)}, want: sent{mayRepeat: true}},
		{name: "ambiguous stays so", answers: []error{failure(sink.Ambiguous), failure(sink.NotSent)}, want: sent{mayRepeat: true}},
		{name: "an unknown error", answers: []error{errors.New("what?")}, want: sent{mayRepeat: true}},
		{name: "refused", answers: []error{failure(sink.Refused)}, want: sent{text: text{Level: 1}}},
		{name: "moved", answers: []error{moved}, want: sent{where: sink.Place{Chat: "-100"}}, notice: "new id, -100"},
		{name: "no thread", answers: []error{failure(sink.NoThread)}, want: sent{where: sink.Place{NoThread: true}}, notice: "topic of the chat is gone"},
		{name: "refused, then broken in the last form", answers: []error{failure(sink.Refused), failure(sink.Broken)}, want: sent{text: text{Level: 0}}, notice: "No message could be sent here from", wait: time.Minute},
		{name: "unclear", answers: []error{failure(sink.Unclear)}, want: sent{text: text{Level: 0}}, notice: "No message could be sent here from", wait: time.Minute},
		{name: "unclear again", answers: []error{failure(sink.Unclear), failure(sink.Unclear)}, want: sent{text: text{Level: 1}}, notice: "No message could be sent here from"},
		{name: "broken", answers: []error{failure(sink.Broken)}, notice: "No message could be sent here from", wait: time.Minute},
		{name: "no thread twice is broken", answers: []error{failure(sink.NoThread), failure(sink.NoThread)}, want: sent{where: sink.Place{NoThread: true}}, wait: time.Minute, notice: "No message could be sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			g.chat.onSend = func(n int, _ *sent) error {
				if n < len(test.answers) {
					return test.answers[n]
				}
				return nil
			}
			g.start()
			g.publish(alert(proto.SeverityHigh, "it"))
			got := eventually(g, "it is accepted", func(s []sent) bool { return len(s) > 0 })[0]
			all := g.chat.requests()
			if got.where != test.want.where || got.mayRepeat != test.want.mayRepeat || got.Level != test.want.Level || got.Titles[0] != "it" {
				t.Errorf("accepted %+v", got)
			}
			n := len(test.answers)
			if waited := all[n].at.Sub(all[n-1].at); waited < test.wait {
				t.Errorf("waited %s, want %s", waited, test.wait)
			}
			if test.notice != "" {
				got := eventually(g, "it is told", func(s []sent) bool { return len(notices(s)) > 0 })
				if all := strings.Join(notices(got), "\n"); !strings.Contains(all, test.notice) {
					t.Errorf("notices\n%s", all)
				}
			}
			g.settled()
			g.checkRate()
		})
	}
}

// A chat that refuses for an unknown reason, however often, gets the alert in the end;
// and it gets it in the last form, which says least, only if it has refused each other
// form twice, with a wait between. Others are not held up by it.
func TestUnclearAnswers(t *testing.T) {
	for n, level := range []int{0, 1, 2, 0, 1, 2, 3, 0, 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			g.chat.levels = 4
			g.chat.onSend = func(i int, _ *sent) error {
				if i < n {
					return failure(sink.Unclear)
				}
				return nil
			}
			_, stop := g.start()
			g.publish(alert(proto.SeverityCritical, "it"))
			if n%2 == 1 { // over a restart too
				bustest.Eventually(t, "it is refused", func() bool { return len(g.chat.requests()) > 0 })
				stop()
				g.start()
			}
			got := eventually(g, "it is accepted", func(s []sent) bool { return len(s) > 0 })[0]
			if got.Level != level || got.Titles[0] != "it" {
				t.Errorf("accepted in form %d, want %d: %+v", got.Level, level, got)
			}
			g.settled()
			if dead := g.dead(); len(dead) > 0 {
				t.Errorf("dead letters %q", dead)
			}
			g.checkRate()
		})
	}
	t.Run("a text that it refuses always", func(t *testing.T) {
		t.Parallel()
		g := newRig(t)
		g.chat.levels = 4
		g.chat.onSend = func(_ int, s *sent) error {
			if s.Level < 3 && len(s.Titles) > 0 && s.Titles[0] == "poison" {
				return failure(sink.Unclear)
			}
			return nil
		}
		g.start()
		g.publish(alert(proto.SeverityHigh, "poison"))
		eventually(g, "it is accepted", func(s []sent) bool { return len(s) > 0 })
		g.publish(alert(proto.SeverityHigh, "after"))
		eventually(g, "what follows is accepted", func([]sent) bool { return g.titles()["after"] == 1 && g.titles()["poison"] == 1 })
	})
}

// What a chat takes in no form becomes a dead letter, with its payload; a crash
// changes nothing about that.
func TestRefusedAlerts(t *testing.T) {
	for _, step := range []string{"", "refused stored"} {
		t.Run("killed at "+step, func(t *testing.T) {
			t.Parallel()
			g := newRigWith(t, time.Second, bus.ProvisionConfig{})
			g.chat.onSend = func(_ int, s *sent) error {
				if len(s.Titles) > 0 && strings.HasPrefix(s.Titles[0], "poison") {
					return failure(sink.Refused)
				}
				return nil
			}
			g.publish(numbered(proto.SeverityHigh, "poison", 4)...)
			g.stored()
			if step != "" {
				g.killAt(step, 1)
			}
			g.start()
			bustest.Eventually(t, "there are dead letters", func() bool { return len(g.dead()) == 4 })
			for i, d := range g.dead() {
				if !strings.Contains(d, "refused it in every form: the chat says refused") || !strings.Contains(d, `"title":"poison`) {
					t.Errorf("dead letter %d: %s", i, d)
				}
			}
			got := eventually(g, "it is told", func(s []sent) bool { return len(notices(s)) > 0 })
			if all := strings.Join(notices(got), "\n"); !strings.Contains(all, "4 alerts were not accepted") {
				t.Errorf("notices\n%s", all)
			}
			g.settled()
		})
	}
}

// While a chat is out of reach for long, each alert is printed once, and all are
// delivered afterwards.
func TestLongOutage(t *testing.T) {
	later := failure(sink.NotSent)
	later.RetryAfter = 6 * time.Minute
	for name, answer := range map[string]error{"broken": failure(sink.Broken), "told to wait": later} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			printed := make(chan string, 100)
			g.change = func(o *Options) { o.Fallback = func(e *proto.Event, _ []byte) { printed <- e.Title } }
			works := make(chan struct{})
			up := func() error {
				select {
				case <-works:
					return nil
				default:
					return answer
				}
			}
			g.chat.onSend = func(int, *sent) error { return up() }
			_, stop := g.start()
			g.publish(alert(proto.SeverityHigh, "first"))
			if got := <-printed; got != "first" {
				t.Fatalf("printed %q", got)
			}
			bustest.Eventually(t, "readiness tells", func() bool {
				select {
				case err := <-g.ready:
					return err != nil && strings.Contains(err.Error(), "the chat says")
				default:
					return false
				}
			})
			g.publish(alert(proto.SeverityMedium, "second"))
			if got := <-printed; got != "second" {
				t.Fatalf("printed %q", got)
			}
			stop()
			g.start() // does not print them again
			g.publish(alert(proto.SeverityHigh, "third"))
			if got := <-printed; got != "third" {
				t.Fatalf("printed %q", got)
			}
			close(works)
			got := eventually(g, "it is told", func(s []sent) bool { return len(notices(s)) > 0 })
			if all := strings.Join(notices(got), "\n"); !strings.Contains(all, "No message could be sent here from") || !strings.Contains(all, "3 alerts were printed") {
				t.Errorf("notices\n%s", all)
			}
			g.settled()
			for _, title := range []string{"first", "second", "third"} {
				if g.titles()[title] != 1 {
					t.Errorf("%s was delivered %d times", title, g.titles()[title])
				}
			}
			g.checkRate()
		})
	}
}

// Of two deliveries to one chat the first finds out, and stops.
func TestFencedOff(t *testing.T) {
	g := newRig(t)
	first := New(g.options())
	ended := make(chan error, 1)
	go func() { ended <- run(t.Context(), first) }()
	g.publish(alert(proto.SeverityHigh, "one"))
	eventually(g, "one is delivered", func(s []sent) bool { return len(s) == 1 })
	g.settled()
	g.start()
	bustest.Eventually(t, "the first is fenced off", func() bool {
		g.publish(alert(proto.SeverityHigh, "more"))
		select {
		case err := <-ended:
			if !errors.Is(err, bus.ErrFenced) || !strings.Contains(err.Error(), "stop one of the two") {
				t.Errorf("ended with %v", err)
			}
			return true
		default:
			return false
		}
	})
}

// Nothing is sent that cannot be stored before, and everything is once it can.
func TestBusAway(t *testing.T) {
	g := newRigWith(t, 2*time.Second, bus.ProvisionConfig{})
	d := New(g.options())
	away := make(chan struct{})
	d.at = func(step string) {
		if step == "sent" && len(g.chat.requests()) == 1 {
			g.bus.Stop(t)
			close(away)
		}
	}
	stop := g.background(d)
	g.publish(alert(proto.SeverityHigh, "one"))
	<-away
	g.bus.Restart(t)
	g.settled()
	bustest.Eventually(t, "the source is connected", func() bool {
		_, err := g.source.Last(t.Context())
		return err == nil
	})
	g.publish(alert(proto.SeverityHigh, "two"))
	eventually(g, "both are delivered", func([]sent) bool { return len(g.titles()) == 2 })
	g.settled()
	if n := g.titles()["one"]; n != 1 {
		t.Errorf("one was delivered %d times", n)
	}
	stop()
	bustest.Eventually(t, "the ledger has both", func() bool { return len(g.ledger()) == 2 })
}

func TestQuiet(t *testing.T) {
	g := newRig(t)
	g.change = func(o *Options) { o.Quiet = func(time.Time) bool { return true } }
	g.start()
	g.publish(alert(proto.SeverityHigh, "softly"))
	eventually(g, "it is delivered", func(s []sent) bool { return len(s) == 1 })
	g.publish(alert(proto.SeverityCritical, "loud"))
	got := eventually(g, "both are delivered", func(s []sent) bool { return len(s) == 2 })
	if !got[0].Silent || got[1].Silent {
		t.Errorf("silent: %t and %t", got[0].Silent, got[1].Silent)
	}
}

func TestEnqueue(t *testing.T) {
	g := newRig(t)
	refuse := false
	g.chat.onSend = func(int, *sent) error {
		if refuse {
			return failure(sink.Refused)
		}
		return nil
	}
	d, stop := g.start()
	report := sink.Batch{Kind: proto.DeliveryReport, Text: "all is well"}
	receipt, err := d.Enqueue(t.Context(), "report 1", report)
	if err != nil || receipt.MessageID != "1" {
		t.Fatalf("receipt %+v, %v", receipt, err)
	}
	stop()
	if _, err := d.Enqueue(t.Context(), "report 2", report); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}

	d, _ = g.start()
	if receipt, err := d.Enqueue(t.Context(), "report 1", report); err != nil || receipt != (sink.Receipt{}) {
		t.Errorf("the same again: %+v, %v", receipt, err)
	}
	g.chat.mu.Lock()
	refuse = true
	g.chat.mu.Unlock()
	if _, err := d.Enqueue(t.Context(), "report 3", report); err == nil || !strings.Contains(err.Error(), "the chat says refused") {
		t.Errorf("refused: %v", err)
	}
	if got := g.chat.accepted(); len(got) != 1 || got[0].Text != "all is well" || got[0].Kind != proto.DeliveryReport {
		t.Errorf("accepted %+v", got)
	}
	if l := g.ledger(); len(l) != 1 || l[0].Kind != proto.DeliveryReport || l[0].Alerts != 0 {
		t.Errorf("the ledger has %+v", l)
	}
}

// What was learnt about a chat is kept until the configuration names another.
func TestPlaceIsForgotten(t *testing.T) {
	g := newRig(t)
	address := "-1"
	g.chat.onSend = func(n int, _ *sent) error {
		if n == 0 {
			return failure(sink.NoThread)
		}
		return nil
	}
	for i, want := range []bool{true, true, false} {
		if i == 2 {
			address = "-2"
		}
		g.chat.address = address
		_, stop := g.start()
		g.publish(alert(proto.SeverityHigh, "an alert"+address+string(rune('a'+i))))
		g.settled()
		stop()
		all := g.chat.accepted()
		if got := all[len(all)-1].where.NoThread; got != want {
			t.Errorf("message %d: without thread %t", i, got)
		}
	}
}

// The notifier reports alerts that retention removed before their delivery.
func TestEvicted(t *testing.T) {
	g := newRigWith(t, time.Second, bus.ProvisionConfig{Limits: map[string]bus.Limits{proto.AlertsStream(bustest.Suricata): {MaxBytes: 64 << 10}}})
	d, stop := g.start()
	g.publish(alert(proto.SeverityHigh, "one"))
	g.settled()
	// Once it is idle the delivery knows that it has missed nothing so far; the
	// next message stores that.
	bustest.Eventually(t, "it has looked", func() bool {
		_, err := d.Enqueue(t.Context(), time.Now().String(), sink.Batch{Kind: proto.DeliveryNotice})
		value, _, getErr := g.bus.Conn(t, bus.RoleNotifier).Get(t.Context(), proto.KeyDelivery(chatName))
		s, decodeErr := store.Decode(value)
		return err == nil && getErr == nil && decodeErr == nil && s.Streams[g.stream].Through == 1
	})
	stop()
	g.publish(numbered(proto.SeverityHigh, "lost", 1000)...)
	g.stored()
	g.start()
	g.settled()
	delivered := 0
	for _, n := range g.titles() {
		delivered += n
	}
	all := strings.Join(notices(g.chat.accepted()), "\n")
	lost := 1001 - delivered
	if lost <= 0 || !strings.Contains(all, store.Were(lost)+" lost: retention removed them") {
		t.Errorf("%d of 1001 delivered; notices\n%s", delivered, all)
	}
}
