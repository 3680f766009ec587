package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// holdCopies has the server copy no alerts until the returned function is called:
// as if the copies had fallen behind.
func (g *rig) holdCopies() (release func()) {
	g.t.Helper()
	js, err := jetstream.New(g.bus.Raw(g.t, bus.RoleProvisioner))
	if err != nil {
		g.t.Fatal(err)
	}
	s, err := js.Stream(g.t.Context(), proto.StreamAlerts)
	if err != nil {
		g.t.Fatal(err)
	}
	set := func(sources []*jetstream.StreamSource) {
		g.t.Helper()
		config := s.CachedInfo().Config
		config.Sources = sources
		if _, err := js.UpdateStream(g.t.Context(), config); err != nil {
			g.t.Fatal(err)
		}
	}
	sources := s.CachedInfo().Config.Sources
	set(nil)
	return func() { set(sources) }
}

// hears makes a delivery that hears of m, and is killed at a step if there is one.
func (g *rig) hears(m *nats.Msg, kill string) *Delivery {
	d := New(g.options())
	var once sync.Once
	d.at = func(step string) {
		if step == "listening" {
			once.Do(func() {
				if err := g.source.Publish(g.t.Context(), []*nats.Msg{m}); err != nil {
					g.t.Error(err)
				}
			})
		}
		if step == kill {
			panic(errKilled)
		}
	}
	g.published++
	return d
}

// A critical alert is told of before its copy comes, and not again when it does,
// whatever happens to the notifier in between. The ledger then has both.
func TestCriticalGoesAheadOfItsCopy(t *testing.T) {
	for _, test := range []struct {
		name string
		kill string // the step at which the notifier is killed, "" for none
		mark bool   // the message may have come twice
	}{
		{"and the notifier goes on", "", false},
		{"and the notifier is killed before it sends", "attempt stored", true},
		{"and the notifier is killed after it has sent", "sent", true},
		{"and the notifier is killed once that is stored", "accepted stored", false},
		{"and the notifier is killed after all", "cleared", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			release := g.holdCopies()
			d := g.hears(alert(proto.SeverityCritical, "the one that counts"), test.kill)
			if test.kill != "" {
				if err := run(t.Context(), d); !errors.Is(err, errKilled) {
					t.Fatalf("not killed: %v", err)
				}
				d = New(g.options())
			}
			stop := g.background(d)
			bustest.Eventually(t, "the ledger has the message", func() bool { return len(g.ledger()) == 1 })
			if g.ledger()[0].Covers(1) {
				t.Fatal("there was a copy")
			}
			release()
			g.settled()
			stop()

			all := g.ledger()
			if len(all) != 1 || all[0].Alerts != 1 || !slices.Equal(all[0].Ranges, []proto.SequenceRange{{First: 1, Last: 1}}) {
				t.Errorf("the ledger has %+v", all)
			}
			for i, s := range g.chat.accepted() {
				if s.mayRepeat != (test.mark && i == len(g.chat.accepted())-1) {
					t.Errorf("message %d may repeat: %t", i, s.mayRepeat)
				}
			}
			if n := len(g.chat.accepted()); n > 1 && test.kill != "sent" {
				t.Errorf("%d messages", n)
			}
			if len(d.state.Ahead) != 0 {
				t.Errorf("still ahead: %+v", d.state.Ahead)
			}
		})
	}
}

// A critical alert that the chat refuses in every form is a dead letter when its
// copy comes.
func TestRefusedAheadOfItsCopy(t *testing.T) {
	g := newRig(t)
	release := g.holdCopies()
	g.chat.onSend = func(_ int, s *sent) error {
		if slices.Contains(s.Titles, "refused") {
			return failure(sink.Refused)
		}
		return nil
	}
	g.background(g.hears(alert(proto.SeverityCritical, "refused"), ""))
	bustest.Eventually(t, "it is refused in every form", func() bool { return len(g.chat.requests()) >= g.chat.levels })
	release()
	g.settled()
	if letters := g.dead(); len(letters) != 1 {
		t.Errorf("dead letters: %q", letters)
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

func TestPile(t *testing.T) {
	put := func(p *pile, severity proto.Severity, sequence uint64, title string) {
		m := event(severity, title, title)
		e, err := decodeAlert(m.Subject, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if sequence == 0 {
			p.hear(hash(title), time.Unix(1, 0), e)
			return
		}
		p.add(urgent, &bus.Msg{Subject: m.Subject, Sequence: sequence}, hash(title), e)
	}
	fill := func(p *pile, severity proto.Severity, from, n int) {
		for i := range n {
			put(p, severity, uint64(from+i), fmt.Sprint(severity, from+i))
		}
	}
	t.Run("critical among many", func(t *testing.T) {
		var p pile
		fill(&p, proto.SeverityHigh, 1, 100)
		fill(&p, proto.SeverityCritical, 101, maxCards)
		if p.few() || !p.pressing() {
			t.Fatalf("few %t, pressing %t", p.few(), p.pressing())
		}
		cards := p.cards(isCritical)
		if taken := p.take(isCritical); len(cards) != maxCards || len(taken) != maxCards || len(p.members) != 100 {
			t.Errorf("%d cards of %d alerts, %d left", len(cards), len(taken), len(p.members))
		}
		if p.few() || p.pressing() {
			t.Errorf("then: few %t, pressing %t", p.few(), p.pressing())
		}
		if lowest, _ := p.lowest(); lowest != 1 {
			t.Errorf("the lowest is %d", lowest)
		}
	})
	t.Run("many critical ones", func(t *testing.T) {
		var p pile
		fill(&p, proto.SeverityCritical, 1, maxCards+1)
		if p.few() || p.pressing() {
			t.Errorf("few %t, pressing %t", p.few(), p.pressing())
		}
	})
	t.Run("what was few before is not few after", func(t *testing.T) {
		var p pile
		fill(&p, proto.SeverityHigh, 1, maxCards)
		fill(&p, proto.SeverityCritical, 100, 1)
		p.take(isCritical)
		if p.few() {
			t.Error("the pile promises cards that it has not kept")
		}
		p.take(anyKey)
		if !p.few() || !p.empty() {
			t.Error("an empty pile is not as new")
		}
	})
	t.Run("a copy after the alert was heard", func(t *testing.T) {
		var p pile
		put(&p, proto.SeverityCritical, 0, "it")
		if _, ok := p.lowest(); ok || p.heard != 1 {
			t.Errorf("lowest %t, heard %d", ok, p.heard)
		}
		put(&p, proto.SeverityCritical, 7, "it")
		put(&p, proto.SeverityCritical, 7, "it")
		put(&p, proto.SeverityCritical, 0, "it")
		lowest, _ := p.lowest()
		if lowest != 7 || p.heard != 0 || len(p.members) != 1 || p.cards(anyKey)[0].Count != 1 {
			t.Errorf("lowest %d, heard %d, members %+v", lowest, p.heard, p.members)
		}
		var key digest.Key
		for key = range p.groups {
		}
		if taken := p.take(func(k digest.Key) bool { return k == key }); len(taken) != 1 || taken[0].msg == nil {
			t.Errorf("taken %+v", taken)
		}
	})
}

func TestAheadIsBounded(t *testing.T) {
	var d Delivery
	for i := range 2 * maxAhead {
		d.sentAhead(keys{hash(fmt.Sprint(i))}, proto.Delivery{MessageID: fmt.Sprint(i)})
	}
	if n := len(d.state.Ahead); n != maxAhead || d.state.Ahead[n-1].Delivery.MessageID != fmt.Sprint(2*maxAhead-1) {
		t.Errorf("%d are remembered, the last %+v", n, d.state.Ahead[n-1])
	}
	value, err := json.Marshal(d.state.Ahead)
	if err != nil || len(value) > maxState/8 {
		t.Errorf("they take %d bytes (%v)", len(value), err)
	}
}
