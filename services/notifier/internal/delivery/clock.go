package delivery

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
)

// Clock tells the time and waits.
type Clock interface {
	// Now is the time; differences of two such times are not to change when the
	// clock is set, as those of [time.Now] do not.
	Now() time.Time
	// Uptime is how long the machine has been running, and a name for that run.
	// The name is empty where neither is known.
	Uptime() (boot string, up time.Duration)
	// Timer sends once d has passed, unless stopped.
	Timer(d time.Duration) (c <-chan time.Time, stop func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// Uptime asks Linux, proc(5). Elsewhere it is unknown.
func (systemClock) Uptime() (boot string, up time.Duration) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "", 0
	}
	first, _, _ := strings.Cut(string(uptime), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(id)), time.Duration(seconds * float64(time.Second))
}

func (systemClock) Timer(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// stamp is a moment that another process can compare with its own.
type stamp struct {
	Wall time.Time     `json:"wall"`
	Boot string        `json:"boot,omitempty"`
	Up   time.Duration `json:"up,omitempty"`
}

func stampOf(c Clock) stamp {
	boot, up := c.Uptime()
	return stamp{Wall: c.Now().Round(0).UTC(), Boot: boot, Up: up}
}

// elapsed is how much time has passed from then to now at the least. The clock
// on the wall may have been set meanwhile, forward by hours where a small board
// had no time at first; the machine's uptime cannot be. After a reboot the uptime
// is still a bound, unless the two are different machines; then the wall is.
func elapsed(then, now stamp) time.Duration {
	wall := max(0, now.Wall.Sub(then.Wall))
	switch {
	case then.Boot == "" || now.Boot == "":
		return wall
	case then.Boot == now.Boot:
		return max(0, now.Up-then.Up)
	default:
		return min(wall, now.Up)
	}
}

// Waits of attempts to reach the bus, in real time.
const (
	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
)

// retry paces attempts to reach the bus.
type retry struct{ d time.Duration }

func newRetry() *retry { return &retry{minRetry} }

// wait returns the context's error if it ends first.
func (r *retry) wait(ctx context.Context) error {
	t := time.NewTimer(r.d/2 + rand.N(r.d/2))
	defer t.Stop()
	r.d = min(2*r.d, maxRetry)
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sleep waits on the delivery's own clock.
func (d *Delivery) sleep(ctx context.Context, until time.Time) error {
	c, stop := d.Clock.Timer(until.Sub(d.Clock.Now()))
	defer stop()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
