package vigil

import "time"

// burst decides when a condition that comes and goes is told: at once when it
// begins, then at most once every so long while it goes on, and as over when it
// has been away for as long.
type burst struct {
	every  time.Duration
	raised time.Time // when it was told last
	first  time.Time // when what has not been told yet began; zero if there is nothing
}

// outcome is what a burst has come to.
type outcome uint8

const (
	unchanged outcome = iota
	tell
	ended
)

// note says whether it happened between two times. Stands says whether it has been
// told and is not over. On tell, since is when what is to be told began.
func (b *burst) note(from, at time.Time, happened, stands bool) (o outcome, since time.Time) {
	if happened && b.first.IsZero() {
		b.first = from
	}
	switch {
	case stands && at.Sub(b.raised) < b.every:
		return unchanged, time.Time{}
	case !b.first.IsZero():
		since = b.first
		b.raised, b.first = at, time.Time{}
		return tell, since
	case stands:
		return ended, time.Time{}
	}
	return unchanged, time.Time{}
}
