package vigil

import "time"

// lostEvery is how often lost events are told while more are lost.
const lostEvery = 10 * time.Minute

// lost is what is known of a sensor's counter of lost events.
type lost struct {
	at     time.Time // of the last reading; zero before the first
	total  uint64
	untold uint64

	losing burst
}

// Lost tells how many events the sensor says it has lost since it started. What
// was lost before the first call is not told: nobody knows when that was.
func (v *Vigil) Lost(now time.Time, total uint64) {
	l := &v.lost
	var grown uint64
	switch {
	case l.at.IsZero():
	case total < l.total: // the sensor has been restarted
		grown = total
	default:
		grown = total - l.total
	}
	l.untold += grown
	o, since := l.losing.note(l.at, now, grown > 0, v.Stands(LostEvents))
	l.at, l.total = now, total
	switch o {
	case tell:
		v.raise(LostEvents, since, now, " has lost %d events since %s, before it could write them; it needs larger buffers, more CPU or fewer events", l.untold, clock(since))
		l.untold = 0
	case ended:
		v.end(LostEvents, now, " has lost no more events for %s", lostEvery)
	}
}
