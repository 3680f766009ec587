package planner

import (
	"time"

	"github.com/openclaw-security/bus/services/notifier/internal/delivery/clock"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// window is the time in which a chat accepts [sink.Limits.PerMinute] requests,
// and a little more: the server's clock is not ours.
const window = time.Minute + 100*time.Millisecond

// maxWait is the max time for which a server can refuse requests.
const maxWait = 24 * time.Hour

// Limiter is the rate limiter of a chat. It holds the times of the last attempts,
// as many as are allowed in a window, so that the oldest says when the next may be
// made. A bucket of tokens would allow twice as many in some windows, and one that
// is not stored would start full in every process of a crash loop.
//
// An attempt counts from its end. The request reached the server before that, so
// requests are never closer together there than attempts are here.
type Limiter struct {
	limits    sink.Limits
	ended     []time.Time // oldest first, at most PerMinute
	notBefore time.Time
}

// NewLimiter returns a Limiter that has seen no attempt.
func NewLimiter(limits sink.Limits) *Limiter {
	limits.PerMinute = max(1, limits.PerMinute)
	return &Limiter{limits: limits}
}

// Next is when an attempt may begin that leaves reserve more in its window.
func (l *Limiter) Next(reserve int) time.Time {
	at := l.notBefore
	if n := len(l.ended); n > 0 {
		at = later(at, l.ended[n-1].Add(l.limits.Gap))
		if need := max(1, l.limits.PerMinute-reserve); n >= need {
			at = later(at, l.ended[n-need].Add(window))
		}
	}
	return at
}

// Calm is when an attempt may begin that is in no hurry: spread evenly over the
// window, so that a storm does not use up in seconds what a minute has, and with
// one attempt left for what is urgent.
func (l *Limiter) Calm() time.Time {
	reserve := 0
	if l.limits.PerMinute >= 3 {
		reserve = 1
	}
	at := l.Next(reserve)
	if n := len(l.ended); n > 0 {
		at = later(at, l.ended[n-1].Add(window/time.Duration(l.limits.PerMinute)))
	}
	return at
}

// Free is how many attempts the window that ends now has left.
func (l *Limiter) Free(now time.Time) int {
	free := l.limits.PerMinute
	for _, t := range l.ended {
		if now.Sub(t) < window {
			free--
		}
	}
	return free
}

// Begin notes an attempt that is about to be made.
func (l *Limiter) Begin(now time.Time) {
	l.ended = append(l.ended, now)
	l.trim()
}

// End notes that the last attempt is over.
func (l *Limiter) End(now time.Time) {
	if n := len(l.ended); n > 0 {
		l.ended[n-1] = now
	}
}

// Wait lets nothing begin before d has passed, a day at most.
func (l *Limiter) Wait(now time.Time, d time.Duration) {
	l.notBefore = later(l.notBefore, now.Add(min(d, maxWait)))
}

func (l *Limiter) trim() {
	if over := len(l.ended) - l.limits.PerMinute; over > 0 {
		l.ended = append(l.ended[:0], l.ended[over:]...)
	}
}

// Log is the limiter's memory as it is stored.
func (l *Limiter) Log(c clock.Clock) store.RateLog {
	now := c.Now()
	log := store.RateLog{Stamp: clock.Now(c), NotBefore: max(0, l.notBefore.Sub(now))}
	for _, t := range l.ended {
		log.Ages = append(log.Ages, max(0, now.Sub(t)))
	}
	return log
}

// Restore takes over what another process has stored. underWay says that its
// last attempt has no known end: it can have ended just now.
func (l *Limiter) Restore(log store.RateLog, c clock.Clock, underWay bool) {
	now := c.Now()
	since := clock.Elapsed(log.Stamp, clock.Now(c))
	l.ended = nil
	for _, age := range log.Ages {
		l.ended = append(l.ended, now.Add(-max(0, age)-since))
	}
	if underWay {
		l.End(now)
	}
	l.trim()
	l.notBefore = now.Add(min(max(0, log.NotBefore), maxWait) - since)
}

// NotBefore is before which time nothing may begin, even if the rate allows it.
func (l *Limiter) NotBefore() time.Time { return l.notBefore }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
