package vigil

import (
	"cmp"
	"time"

	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// Lines tells that lines of the sensor were read.
func (v *Vigil) Lines(now time.Time) {
	v.quiet = now
	since := v.standing[Silent].Since
	v.end(Silent, now, " writes again, after %s of silence", length(since, now))
}

// Busy tells that the shipper has not looked for lines until now, because it had
// to wait for the bus. That was no silence.
func (v *Vigil) Busy(now time.Time) { v.quiet = now }

// Idle tells that all there is has been read. Waiting says what the shipper waits
// for, such as a file that does not exist, and is empty if only for lines;
// unreachable says why the sensor's own endpoint does not answer, if it has one
// and does not.
func (v *Vigil) Idle(now time.Time, waiting, unreachable string) {
	if v.cfg.Silence == 0 || v.Stands(Silent) || now.Sub(v.quiet) < v.cfg.Silence {
		return
	}
	reason := cmp.Or(waiting, "nothing was written to "+v.cfg.Path+" since "+clock(v.quiet))
	if unreachable != "" {
		reason += "; its metrics endpoint does not answer"
	}
	v.raise(Silent, v.quiet, now, " has been silent for %s: %s; is it running, and does it write there?", v.cfg.Silence, reason)
}

// Restore goes on from the last thing that was published of the source, if that
// was an alarm: a silence that was reported before a restart is not reported
// again, and its end is. Nothing follows the report of a silence before its end,
// so that the last message tells; of other conditions it does not, and they are
// found anew.
func (v *Vigil) Restore(last normalize.Alarm) {
	if last.Condition == Silent && !last.Over && v.cfg.Silence > 0 {
		v.standing[Silent] = last
	}
}
