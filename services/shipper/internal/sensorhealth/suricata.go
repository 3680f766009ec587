package sensorhealth

import (
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

const (
	// dropsEvery is how often drops are reported while they go on.
	dropsEvery = time.Hour
	// dropsShare is the share of packets, in percent, of which more must be
	// dropped between two stats records. A few are lost at any reload of rules.
	dropsShare = 1
	// minPackets is how many packets the share must be of to mean anything.
	minPackets = 1000
)

// idle is for how long no packet may come once this process of Suricata has seen some:
// so its interface is the right one, or was, and an agent that has nothing to do is quiet.
// When an interface goes away and comes back, suricata/run.sh starts another process.
const idle = 24 * time.Hour

// minFlatRecords is how many records in a row without a new packet it takes: after the
// machine has slept, a single one says nothing.
const minFlatRecords = 2

// packets is what is known of Suricata's packet counters.
type packets struct {
	last suricata.Stats
	at   time.Time // of last; zero before the first

	grew time.Time // when the newest packet was known to be there, or the process started
	flat int       // records since then

	blind time.Time // what grew was when the alarm was raised

	dropping       burst
	dropped, total uint64 // since drops were reported last, in the intervals that count
}

// judge judges a stats record that Suricata wrote at the time.
func (p *packets) judge(m *Monitor, at time.Time, s suricata.Stats) {
	// Less uptime, or counters that went down, mean another process.
	same := !p.at.IsZero() && s.Uptime >= p.last.Uptime && !fell(p.last, s)
	if s.Decoded != nil {
		p.decoded(m, at, s, same && p.last.Decoded != nil)
	}
	if s.Capture != nil {
		p.captured(m, at, *s.Capture, same && p.last.Capture != nil)
	}
	if s.Rules != nil {
		m.rules.judge(m, at, s, same)
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
func (p *packets) decoded(m *Monitor, at time.Time, s suricata.Stats, compare bool) {
	switch {
	case compare && *s.Decoded > *p.last.Decoded, !compare && *s.Decoded > 0:
		p.grew, p.flat = at, 0
		m.end(NoPackets, at, " sees packets again, after %s", length(p.blind, at))
		return
	case !compare:
		p.grew, p.flat = at.Add(-s.Uptime), 0
	case at.Before(p.at): // the clock was set back
		p.grew = at
	}
	p.flat++
	patience := m.cfg.Silence
	if *s.Decoded > 0 {
		patience = max(patience, idle)
	}
	if m.cfg.Silence == 0 || m.stands(NoPackets) || p.flat < minFlatRecords || at.Sub(p.grew) < patience {
		return
	}
	p.blind = p.grew
	if *s.Decoded > 0 {
		m.raiseAs(proto.SeverityMedium, NoPackets, p.grew, at, " has seen no packet for %s, since %s; is the agent still on the network that it watches?", length(p.grew, at), clock(p.grew))
		return
	}
	m.raise(NoPackets, processStart(at, s), at, " has seen no packet since it was started %s ago, at %s; does it watch the interface that the agent's traffic passes?", length(p.grew, at), clock(p.grew))
}

// processStart is when the Suricata process that wrote s at the time started, to
// the minute, because the uptime is in whole seconds and every record must lead to
// the same time, from which an alarm has its id.
func processStart(at time.Time, s suricata.Stats) time.Time {
	return at.Add(-s.Uptime).Truncate(time.Minute)
}

// captured looks for packets that the kernel has dropped since the last record.
// Compare says whether that is one to compare with.
func (p *packets) captured(m *Monitor, at time.Time, c suricata.Capture, compare bool) {
	happened := false
	if compare {
		total, dropped := c.Packets-p.last.Capture.Packets, c.Drops-p.last.Capture.Drops
		// By a quotient, which cannot overflow.
		if happened = total >= minPackets && dropped > total/100*dropsShare; happened {
			p.total += total
			p.dropped += dropped
		}
	}
	o, since := p.dropping.note(p.at, at, happened, m.stands(Drops))
	switch o {
	case begun:
		m.raise(Drops, since, at, " drops packets: %d of %d (%.1f %%) since %s; it needs more CPU or larger buffers", p.dropped, p.total, 100*float64(p.dropped)/float64(p.total), clock(since))
		p.dropped, p.total = 0, 0
	case ended:
		m.end(Drops, at, " has dropped no more packets for %s", dropsEvery)
	}
}

// rules is what is known of the rules that Suricata has loaded.
type rules struct {
	none  int       // stats records in a row that report no rule
	since time.Time // the first of them
	had   bool      // this process has had rules
}

// minRecordsWithoutRules is how many of them make an alarm: with delayed detection a first
// record may come before the rules are loaded.
const minRecordsWithoutRules = 2

// judge detects a Suricata without rules. Same says whether it is the process
// that wrote the last record.
func (r *rules) judge(m *Monitor, at time.Time, s suricata.Stats, same bool) {
	r.had = r.had && same
	if s.Rules.Loaded > 0 {
		r.none, r.had = 0, true
		m.end(NoRules, at, " has rules again: %d are loaded", s.Rules.Loaded)
		return
	}
	if r.none++; r.none == 1 {
		r.since = at
	}
	if r.none < minRecordsWithoutRules || m.stands(NoRules) {
		return
	}
	since := r.since
	if !r.had {
		since = processStart(at, s)
	}
	m.raise(NoRules, since, at, " runs without rules and detects nothing; is there a rule file, and does it load (%d rules failed)?", s.Rules.Failed)
}
