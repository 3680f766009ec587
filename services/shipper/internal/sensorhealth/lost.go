package sensorhealth

import "time"

// lostEvery is how often lost events are reported while more are lost.
const lostEvery = 10 * time.Minute

// lost is what is known of a sensor's counter of lost events.
type lost struct {
	at         time.Time // of the last reading; zero before the first
	total      uint64
	unreported uint64

	losing burst
}

// judge judges how many events the sensor says it has lost since it started.
// What was lost before the first call is not reported: nobody knows when that was.
func (l *lost) judge(m *Monitor, now time.Time, total uint64) {
	var grown uint64
	switch {
	case l.at.IsZero():
	case total < l.total: // the sensor has been restarted
		grown = total
	default:
		grown = total - l.total
	}
	l.unreported += grown
	o, since := l.losing.note(l.at, now, grown > 0, m.stands(LostEvents))
	l.at, l.total = now, total
	switch o {
	case begun:
		m.raise(LostEvents, since, now, " has lost %d events since %s, before it could write them; it needs larger buffers, more CPU or fewer events", l.unreported, clock(since))
		l.unreported = 0
	case ended:
		m.end(LostEvents, now, " has lost no more events for %s", lostEvery)
	}
}

// burst decides when a condition that comes and goes is reported: at once when it
// begins, then at most once every so long while it goes on, and as over when it
// has been away for as long.
type burst struct {
	every  time.Duration
	raised time.Time // when it was reported last
	first  time.Time // when what has not been reported yet began; zero if there is nothing
}

// outcome is what a burst asks for.
type outcome uint8

const (
	unchanged outcome = iota
	begun
	ended
)

// note says whether it happened between two times. Stands says whether it has been
// reported and is not over. On begun, since is when what is to be reported began.
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
		return begun, since
	case stands:
		return ended, time.Time{}
	}
	return unchanged, time.Time{}
}
