package delivery

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/notifier/internal/sink"
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
	panic("slots do not wait")
}

// Whatever happens to clocks and processes, no window of a minute has more
// requests than are allowed, and the next one is never more than a window away.
func TestSlotsKeepTheBound(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		limits := sink.Limits{PerMinute: 1 + r.IntN(12), Gap: time.Duration(r.IntN(1500)) * time.Millisecond}
		c := &setClock{now: time.Unix(1e9, 0), boot: "one", up: time.Hour}
		s := slots{limits: limits}
		var made []time.Time // in the time that passes
		for range 100 {
			wait := s.next(0).Sub(c.Now())
			if wait > window {
				t.Fatalf("seed %d: the next attempt is %s away", seed, wait)
			}
			switch r.IntN(6) {
			case 0: // a new process, after the clock was set
				underWay := r.IntN(2) == 0
				l := s.log(c)
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
				var stored slotLog
				if err := json.Unmarshal(data, &stored); err != nil {
					t.Fatal(err)
				}
				s = slots{limits: limits}
				s.restore(stored, c, underWay)
			case 1:
				c.pass(time.Duration(r.IntN(20)) * time.Second)
			default:
				c.pass(max(0, wait))
				s.begin(c.Now())
				made = append(made, c.now)
				c.pass(time.Duration(r.IntN(3000)) * time.Millisecond)
				s.end(c.Now())
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

func TestElapsed(t *testing.T) {
	at := func(wall time.Duration, boot string, up time.Duration) stamp {
		return stamp{Wall: time.Unix(1e9, 0).Add(wall), Boot: boot, Up: up}
	}
	for _, test := range []struct {
		name      string
		then, now stamp
		want      time.Duration
	}{
		{"same boot", at(0, "a", time.Hour), at(5*time.Second, "a", time.Hour+4*time.Second), 4 * time.Second},
		{"clock set forward", at(0, "a", time.Hour), at(time.Hour, "a", time.Hour+time.Second), time.Second},
		{"clock set back", at(0, "a", time.Hour), at(-time.Hour, "a", time.Hour+time.Second), time.Second},
		{"reboot", at(0, "a", time.Hour), at(time.Hour, "b", time.Minute), time.Minute},
		{"another machine", at(0, "a", time.Hour), at(2*time.Second, "b", time.Hour), 2 * time.Second},
		{"uptime unknown", at(0, "", 0), at(3*time.Second, "", 0), 3 * time.Second},
		{"uptime unknown, clock set back", at(0, "", 0), at(-3*time.Second, "", 0), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := elapsed(test.then, test.now); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// A wait that a server has asked for survives, and no step of the clock makes it
// longer.
func TestNotBefore(t *testing.T) {
	c := &setClock{now: time.Unix(1e9, 0), boot: "one", up: time.Hour}
	s := slots{limits: sink.Limits{PerMinute: 10}}
	s.wait(c.Now(), 10*time.Minute)
	l := s.log(c)
	c.pass(time.Minute)
	c.step = -24 * time.Hour
	again := slots{limits: s.limits}
	again.restore(l, c, false)
	if wait := again.next(0).Sub(c.Now()); wait != 9*time.Minute {
		t.Errorf("%s, want 9m", wait)
	}
}

func TestCalmLeavesOneForWhatIsUrgent(t *testing.T) {
	c := &setClock{now: time.Unix(1e9, 0)}
	s := slots{limits: sink.Limits{PerMinute: 10, Gap: time.Second}}
	for range 1000 {
		if wait := s.calm().Sub(c.Now()); wait > 0 {
			c.pass(wait)
		}
		if s.next(0).After(c.Now()) {
			t.Fatal("no attempt is left")
		}
		s.begin(c.Now())
		c.pass(10 * time.Millisecond)
		s.end(c.Now())
		if wait := s.next(0).Sub(c.Now()); wait > s.limits.Gap {
			t.Fatalf("what is urgent would wait %s", wait)
		}
	}
}

func TestSystemClock(t *testing.T) {
	var c systemClock
	boot, up := c.Uptime()
	if boot != "" && up <= 0 {
		t.Errorf("boot %q, up %s", boot, up)
	}
	if age := time.Since(c.Now()); age < 0 {
		t.Errorf("now is %s ago", age)
	}
}
