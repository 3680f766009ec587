package vigil

import (
	"time"

	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

const (
	// dropsEvery is how often drops are told while they go on.
	dropsEvery = time.Hour
	// dropsShare is the share of packets, in percent, of which more must be
	// dropped between two stats records. A few are lost at any reload of rules.
	dropsShare = 1
	// dropsLeast is how many packets the share must be of to mean anything.
	dropsLeast = 1000
)

// flatLeast is how many records in a row without a new packet it takes: after the
// machine has slept, a single one says nothing.
const flatLeast = 2

// packets is what is known of Suricata's packet counters.
type packets struct {
	last suricata.Stats
	at   time.Time // of last; zero before the first

	grew time.Time // when the newest packet was known to be there, or the process started
	flat int       // records since then

	blind time.Time // what grew was when the alarm was raised

	dropping       burst
	dropped, total uint64 // since drops were told last, in the intervals that count
}

// Stats tells what a stats record of Suricata says that was written at the time.
func (v *Vigil) Stats(at time.Time, s suricata.Stats) {
	p := &v.packets
	// Less uptime, or counters that went down, mean another process.
	same := !p.at.IsZero() && s.Uptime >= p.last.Uptime && !fell(p.last, s)
	if s.Decoded != nil {
		v.decoded(at, s, same && p.last.Decoded != nil)
	}
	if s.Capture != nil {
		v.captured(at, *s.Capture, same && p.last.Capture != nil)
	}
	if s.Rules != nil {
		v.ruleset(at, s, same)
	}
	p.last, p.at = s, at
}

func fell(before, now suricata.Stats) bool {
	if before.Decoded != nil && now.Decoded != nil && *now.Decoded < *before.Decoded {
		return true
	}
	return before.Capture != nil && now.Capture != nil &&
		(now.Capture.Packets < before.Capture.Packets || now.Capture.Drops < before.Capture.Drops)
}

// decoded looks for a counter of packets that does not grow. It looks at the
// decoder's, which every way of capturing has, and which also stands still when
// packets arrive that Suricata does not look at. A restart begins the wait anew:
// loading rules takes minutes. Compare says whether the last record is one to
// compare with.
func (v *Vigil) decoded(at time.Time, s suricata.Stats, compare bool) {
	p := &v.packets
	switch {
	case compare && *s.Decoded > *p.last.Decoded, !compare && *s.Decoded > 0:
		p.grew, p.flat = at, 0
		v.end(NoPackets, at, " sees packets again, after %s", length(p.blind, at))
		return
	case !compare:
		p.grew, p.flat = at.Add(-s.Uptime), 0
	case at.Before(p.at): // the clock was set back
		p.grew = at
	}
	p.flat++
	if v.cfg.Silence == 0 || v.Stands(NoPackets) || p.flat < flatLeast || at.Sub(p.grew) < v.cfg.Silence {
		return
	}
	p.blind = p.grew
	since := p.grew
	if *s.Decoded == 0 {
		since = processStart(at, s)
	}
	v.raise(NoPackets, since, at, " has seen no packet for %s, since %s; does it watch the interface that the agent's traffic passes?", length(p.grew, at), clock(p.grew))
}

// processStart is when the Suricata process that wrote s at the time started, to
// the minute, because the uptime is in whole seconds and every record must lead to
// the same time, from which an alarm has its id.
func processStart(at time.Time, s suricata.Stats) time.Time {
	return at.Add(-s.Uptime).Truncate(time.Minute)
}

// captured looks for packets that the kernel has dropped since the last record.
// Compare says whether that is one to compare with.
func (v *Vigil) captured(at time.Time, c suricata.Capture, compare bool) {
	p := &v.packets
	happened := false
	if compare {
		total, dropped := c.Packets-p.last.Capture.Packets, c.Drops-p.last.Capture.Drops
		// By a quotient, which cannot overflow.
		if happened = total >= dropsLeast && dropped > total/100*dropsShare; happened {
			p.total += total
			p.dropped += dropped
		}
	}
	o, since := p.dropping.note(p.at, at, happened, v.Stands(Drops))
	switch o {
	case tell:
		v.raise(Drops, since, at, " drops packets: %d of %d (%.1f %%) since %s; it needs more CPU or larger buffers", p.dropped, p.total, 100*float64(p.dropped)/float64(p.total), clock(since))
		p.dropped, p.total = 0, 0
	case ended:
		v.end(Drops, at, " has dropped no more packets for %s", dropsEvery)
	}
}
