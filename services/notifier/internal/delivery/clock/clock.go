// Package clock has the time of deliveries, and compares it between processes.
package clock

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Clock has the time and timers.
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

// System is the machine's clock.
type System struct{}

var _ Clock = System{}

// Now is [time.Now].
func (System) Now() time.Time { return time.Now() }

// Uptime asks Linux, proc(5). Elsewhere it is unknown.
func (System) Uptime() (boot string, up time.Duration) {
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

// Timer is a [time.Timer].
func (System) Timer(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// Stamp is a moment that another process can compare with its own.
type Stamp struct {
	Wall time.Time     `json:"wall"`
	Boot string        `json:"boot,omitempty"`
	Up   time.Duration `json:"up,omitempty"`
}

// Now returns the present moment of c.
func Now(c Clock) Stamp {
	boot, up := c.Uptime()
	return Stamp{Wall: c.Now().Round(0).UTC(), Boot: boot, Up: up}
}

// Elapsed is the min time that has passed from then to now. The clock on the wall
// may have been set meanwhile, forward by hours where a small board had no time at
// first; the machine's uptime cannot be. After a reboot the uptime is still a
// bound, unless the two are different machines; then the wall is.
func Elapsed(then, now Stamp) time.Duration {
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
