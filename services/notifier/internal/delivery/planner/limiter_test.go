package planner

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// setClock is set by hand: time that passes, and a wall clock that is set.
type setClock struct {
	now  time.Time     // as a monotonic reading would be
	step time.Duration // that the wall clock was set forward
	boot string
	up   time.Duration
}

func (c *setClock) pass(d time.Duration) { c.now, c.up = c.now.Add(d), c.up+d }

func (c *setClock) Now() time.Time                  { return c.now.Add(c.step) }
func (c *setClock) Uptime() (string, time.Duration) { return c.boot, c.up }
func (c *setClock) Timer(time.Duration) (<-chan time.Time, func()) {
	panic("a limiter does not wait")
}

// Whatever happens to clocks and processes, no window of a minute has more
// requests than are allowed, and the next one is never more than a window away.
func TestLimiterKeepsTheBound(t *testing.T) {
	seed := testenv.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		limits := sink.Limits{PerMinute: 1 + r.IntN(12), Gap: time.Duration(r.IntN(1500)) * time.Millisecond}
		c := &setClock{now: time.Unix(1e9, 0), boot: "one", up: time.Hour}
		s := NewLimiter(limits)
		var made []time.Time // in the time that passes
		for range 100 {
			wait := s.Next(0).Sub(c.Now())
			if wait > window {
				t.Fatalf("seed %d: the next attempt is %s away", seed, wait)
			}
			switch r.IntN(6) {
			case 0: // a new process, after the clock was set
				underWay := r.IntN(2) == 0
				l := s.Log(c)
				c.pass(time.Duration(r.IntN(10)) * time.Second)
				c.step += time.Duration(r.IntN(7200)-3600) * time.Second
				if r.IntN(4) == 0 { // after a reboot
					c.boot, c.up = c.boot+"'", 0
					c.pass(time.Duration(r.IntN(10)) * time.Second)
				}
				data, err := json.Marshal(l)
				if err != nil {
					t.Fatal(err)
				}
				var stored store.RateLog
				if err := json.Unmarshal(data, &stored); err != nil {
					t.Fatal(err)
				}
				s = NewLimiter(limits)
				s.Restore(stored, c, underWay)
			case 1:
				c.pass(time.Duration(r.IntN(20)) * time.Second)
			default:
				c.pass(max(0, wait))
				s.Begin(c.Now())
				made = append(made, c.now)
				c.pass(time.Duration(r.IntN(3000)) * time.Millisecond)
				s.End(c.Now())
			}
		}
		for i, at := range made {
			if i > 0 && at.Sub(made[i-1]) < limits.Gap {
				t.Fatalf("seed %d: attempts %s apart", seed, at.Sub(made[i-1]))
			}
			if n := limits.PerMinute; i >= n && at.Sub(made[i-n]) < time.Minute {
				t.Fatalf("seed %d: %d attempts in %s", seed, n+1, at.Sub(made[i-n]))
			}
		}
	}
}

// A wait that a server has asked for survives, and no step of the clock makes it
// longer.
func TestNotBefore(t *testing.T) {
	c := &setClock{now: time.Unix(1e9, 0), boot: "one", up: time.Hour}
	s := NewLimiter(sink.Limits{PerMinute: 10})
	s.Wait(c.Now(), 10*time.Minute)
	l := s.Log(c)
	c.pass(time.Minute)
	c.step = -24 * time.Hour
	again := NewLimiter(s.limits)
	again.Restore(l, c, false)
	if wait := again.Next(0).Sub(c.Now()); wait != 9*time.Minute {
		t.Errorf("%s, want 9m", wait)
	}
}

func TestCalmLeavesOneForWhatIsUrgent(t *testing.T) {
	c := &setClock{now: time.Unix(1e9, 0)}
	s := NewLimiter(sink.Limits{PerMinute: 10, Gap: time.Second})
	for range 1000 {
		if wait := s.Calm().Sub(c.Now()); wait > 0 {
			c.pass(wait)
		}
		if s.Next(0).After(c.Now()) {
			t.Fatal("no attempt is left")
		}
		s.Begin(c.Now())
		c.pass(10 * time.Millisecond)
		s.End(c.Now())
		if wait := s.Next(0).Sub(c.Now()); wait > s.limits.Gap {
			t.Fatalf("what is urgent would wait %s", wait)
		}
	}
}
