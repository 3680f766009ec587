package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// steps are where a delivery can be killed, in their order.
var steps = []string{"attempt stored", "sent", "accepted stored", "recorded", "acknowledged", "cleared"}

// Killed at any step, a delivery is completed by the next one: the alerts come
// once, or again with a mark.
func TestKilledAtEachStep(t *testing.T) {
	for i, step := range steps {
		for _, n := range []int{1, 9} { // a card, a digest
			t.Run(fmt.Sprintf("%s with %d", step, n), func(t *testing.T) {
				t.Parallel()
				g := newRigWith(t, time.Second, bus.ProvisionConfig{})
				g.publish(numbered(proto.SeverityHigh, "u", n)...)
				g.stored()
				g.killAt(step, 1)
				g.start()
				g.settled()
				got := g.chat.accepted()
				want := 1
				if step == "sent" {
					want = 2
				}
				if len(got) != want {
					t.Fatalf("%d messages, want %d", len(got), want)
				}
				// Until the outcome is stored nobody knows that there was one.
				last := got[len(got)-1]
				if last.mayRepeat != (i < 2) || last.raw != got[0].raw {
					t.Errorf("the last message, marked %t:\n%s\nthe first:\n%s", last.mayRepeat, last.raw, got[0].raw)
				}
				if l := g.ledger(); len(l) != 1 || l[0].Alerts != n || l[0].MayRepeat != (i < 2) || !l[0].Covers(g.stream, uint64(n)) {
					t.Errorf("the ledger has %+v", l)
				}
				g.checkRate()
			})
		}
	}
}

// A campaign publishes in bursts while the chat fails in every way and the
// delivery is killed again and again.
func TestCampaign(t *testing.T) {
	campaigns, n := 3, 600
	if testing.Short() {
		campaigns = 2
	}
	first := testenv.Seed(t)
	for i := range campaigns {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			campaign(t, rand.New(rand.NewPCG(seed, 0)), n)
		})
	}
}

func campaign(t *testing.T, r *rand.Rand, n int) {
	g := newRigWith(t, 400*time.Millisecond, bus.ProvisionConfig{})
	g.chat.limits.PerMinute = 1 + r.IntN(12)
	trouble := true
	answers := rand.New(rand.NewPCG(r.Uint64(), 0)) // used under the chat's lock
	g.chat.onSend = func(n int, s *sent) error {
		if !trouble {
			return nil
		}
		return randomAnswer(answers, n, s)
	}
	published := make(chan struct{})
	burst := rand.New(rand.NewPCG(r.Uint64(), 0))
	go func() {
		defer close(published)
		severities := []proto.Severity{proto.SeverityLow, proto.SeverityMedium, proto.SeverityHigh, proto.SeverityCritical}
		for i := 0; i < n; {
			var msgs []*nats.Msg
			for range min(n-i, 1+burst.IntN(1+burst.IntN(60))) {
				msgs = append(msgs, alert(severities[burst.IntN(4)], fmt.Sprint("a", i)))
				i++
			}
			if err := g.source.Publish(t.Context(), msgs); err != nil {
				t.Error(err)
				return
			}
			pause := time.NewTimer(time.Duration(burst.IntN(100)) * time.Millisecond) // as traffic has it
			<-pause.C
		}
	}()
	kills := 0
	for done := false; !done; {
		select {
		case <-published:
			done = kills >= 25
		default:
		}
		g.killSomewhere(r)
		kills++
	}
	<-published
	g.chat.mu.Lock()
	trouble = false
	g.chat.mu.Unlock()
	g.published = uint64(n)
	_, stop := g.start()
	g.settled()
	stop()
	g.checkCampaign(n)
	t.Logf("%d alerts, %d kills, %d requests, %d accepted", n, kills, len(g.chat.requests()), len(g.chat.accepted()))
}

// killSomewhere runs a delivery for a while and kills it at some step, or in
// the middle of nothing.
func (g *rig) killSomewhere(r *rand.Rand) {
	g.t.Helper()
	step, nth := steps[r.IntN(len(steps))], 1+r.IntN(4)
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Duration(200+r.IntN(1500))*time.Millisecond)
	defer cancel()
	d := New(g.options())
	d.at = func(s string) {
		if s == step {
			if nth--; nth == 0 {
				panic(errKilled)
			}
		}
	}
	if err := run(ctx, d); err != nil && !errors.Is(err, errKilled) {
		g.t.Errorf("ended with %v", err)
	}
}

func randomAnswer(r *rand.Rand, n int, s *sent) error {
	switch r.IntN(12) {
	case 0:
		return failure(sink.NotSent)
	case 1:
		e := failure(sink.NotSent)
		e.RetryAfter = time.Duration(r.IntN(90)) * time.Second
		return e
	case 2:
		return failure(sink.Ambiguous)
	case 3: // accepted, but nobody learns that
		s.accepted = true
		return failure(sink.Ambiguous)
	case 4:
		if s.Level == 0 { // the last form is always taken
			return failure(sink.Refused)
		}
		return nil
	case 5:
		e := failure(sink.Moved)
		e.MovedTo = fmt.Sprint(n)
		return e
	case 6:
		return failure(sink.Broken)
	case 7:
		return failure(sink.NoThread)
	default:
		return nil
	}
}

// checkCampaign checks what must hold whatever happened: all n alerts were told
// of, none twice without a mark, all are in the ledger, and never too fast.
func (g *rig) checkCampaign(n int) {
	g.t.Helper()
	times := make(map[string]int)
	for _, s := range g.chat.accepted() {
		for _, title := range s.Titles {
			if times[title] > 0 && !s.mayRepeat {
				g.t.Errorf("%s comes again without a mark", title)
			}
			times[title]++
		}
	}
	var missing []string
	for i := range n {
		if title := fmt.Sprint("a", i); times[title] == 0 {
			missing = append(missing, title)
		}
	}
	if len(missing) > 0 {
		g.t.Errorf("%d alerts were not told of: %s", len(missing), strings.Join(missing, " "))
	}
	covered := make(map[uint64]int)
	for _, d := range g.ledger() {
		for _, run := range d.Ranges {
			for seq := run.First; seq <= run.Last; seq++ {
				covered[seq]++
			}
		}
	}
	for seq := uint64(1); seq <= uint64(n); seq++ {
		if covered[seq] != 1 {
			g.t.Errorf("the ledger has alert %d %d times", seq, covered[seq])
		}
	}
	g.checkRate()
}
