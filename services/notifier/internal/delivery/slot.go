package delivery

import (
	"time"

	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// window is the time in which a chat takes [sink.Limits.PerMinute] requests,
// and a little more: the server's clock is not ours.
const window = time.Minute + 100*time.Millisecond

// slots are the times of the last attempts: as many as are allowed in a window,
// so that the oldest says when the next may be made. A bucket of tokens would
// allow twice as many in some windows.
//
// An attempt counts from its end. The request reached the server before that, so
// requests are never closer together there than attempts are here.
type slots struct {
	limits    sink.Limits
	ended     []time.Time // oldest first, at most PerMinute
	notBefore time.Time
}

// next is when an attempt may begin that leaves reserve more in its window.
func (s *slots) next(reserve int) time.Time {
	at := s.notBefore
	if n := len(s.ended); n > 0 {
		at = later(at, s.ended[n-1].Add(s.limits.Gap))
		if need := max(1, s.limits.PerMinute-reserve); n >= need {
			at = later(at, s.ended[n-need].Add(window))
		}
	}
	return at
}

// calm is when an attempt may begin that is in no hurry: spread evenly over the
// window, so that a storm does not use up in seconds what a minute has, and with
// one attempt left for what is urgent.
func (s *slots) calm() time.Time {
	reserve := 0
	if s.limits.PerMinute >= 3 {
		reserve = 1
	}
	at := s.next(reserve)
	if n := len(s.ended); n > 0 {
		at = later(at, s.ended[n-1].Add(window/time.Duration(s.limits.PerMinute)))
	}
	return at
}

// free is how many attempts the window that ends now has left.
func (s *slots) free(now time.Time) int {
	free := s.limits.PerMinute
	for _, t := range s.ended {
		if now.Sub(t) < window {
			free--
		}
	}
	return free
}

// begin notes an attempt that is about to be made.
func (s *slots) begin(now time.Time) {
	s.ended = append(s.ended, now)
	s.trim()
}

// end notes that the last attempt is over.
func (s *slots) end(now time.Time) {
	if n := len(s.ended); n > 0 {
		s.ended[n-1] = now
	}
}

// wait lets nothing begin before d has passed.
func (s *slots) wait(now time.Time, d time.Duration) {
	s.notBefore = later(s.notBefore, now.Add(d))
}

func (s *slots) trim() {
	if over := len(s.ended) - s.limits.PerMinute; over > 0 {
		s.ended = append(s.ended[:0], s.ended[over:]...)
	}
}

// slotLog is slots as they are stored: not as times, which a step of the clock
// would move, but as ages at the moment of the stamp.
type slotLog struct {
	Stamp     stamp           `json:"stamp"`
	Ages      []time.Duration `json:"ages,omitempty"`       // of the attempts, oldest first
	NotBefore time.Duration   `json:"not_before,omitempty"` // after the stamp
}

func (s *slots) log(c Clock) slotLog {
	now := c.Now()
	l := slotLog{Stamp: stampOf(c), NotBefore: max(0, s.notBefore.Sub(now))}
	for _, t := range s.ended {
		l.Ages = append(l.Ages, max(0, now.Sub(t)))
	}
	return l
}

// restore takes over what another process has stored. underWay says that its
// last attempt has no known end: it can have ended just now.
func (s *slots) restore(l slotLog, c Clock, underWay bool) {
	now := c.Now()
	since := elapsed(l.Stamp, stampOf(c))
	s.ended = nil
	for _, age := range l.Ages {
		s.ended = append(s.ended, now.Add(-max(0, age)-since))
	}
	if underWay {
		s.end(now)
	}
	s.trim()
	s.notBefore = now.Add(min(max(0, l.NotBefore), maxRetryAfter) - since)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
