package clock

import (
	"testing"
	"time"
)

func TestElapsed(t *testing.T) {
	at := func(wall time.Duration, boot string, up time.Duration) Stamp {
		return Stamp{Wall: time.Unix(1e9, 0).Add(wall), Boot: boot, Up: up}
	}
	for _, test := range []struct {
		name      string
		then, now Stamp
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
			if got := Elapsed(test.then, test.now); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestSystemClock(t *testing.T) {
	var c System
	boot, up := c.Uptime()
	if boot != "" && up <= 0 {
		t.Errorf("boot %q, up %s", boot, up)
	}
	if age := time.Since(c.Now()); age < 0 {
		t.Errorf("now is %s ago", age)
	}
}
