package suricata

import (
	"time"

	"github.com/go-json-experiment/json"
)

// KindStats is the kind of the records in which Suricata reports about itself.
const KindStats = "stats"

// TagRulesFailed marks a stats record that reports rules which do not load.
const TagRulesFailed = "rules-failed"

// Stats are the counters of a stats record that say whether Suricata can see.
// They count from its start; a restart begins them anew. A nil pointer means that
// the record does not say: there is no capture section when a file is read, and
// counters of single threads are not looked at.
type Stats struct {
	Uptime  time.Duration
	Decoded *uint64  // packets that reached the decoder
	Capture *Capture // what the kernel counted
	Rules   *Rules   // of all detection engines together
}

// Capture is what the kernel counted at the interface. Packets includes Drops.
type Capture struct {
	Packets uint64
	Drops   uint64 // never seen by Suricata, for want of room
}

// Rules says how many rules are loaded and how many could not be.
type Rules struct {
	Loaded, Failed uint64
}

// ParseStats reads a record of [KindStats]. It reports false for a record that is
// not of the form that Suricata writes.
func ParseStats(record []byte) (Stats, bool) {
	var r struct {
		Stats *struct {
			Uptime  uint64 `json:"uptime"` // seconds
			Capture struct {
				Packets *uint64 `json:"kernel_packets"`
				Drops   uint64  `json:"kernel_drops"`
			} `json:"capture"`
			Decoder struct {
				Packets *uint64 `json:"pkts"`
			} `json:"decoder"`
			Detect struct {
				Engines []struct {
					Loaded uint64 `json:"rules_loaded"`
					Failed uint64 `json:"rules_failed"`
				} `json:"engines"`
			} `json:"detect"`
		} `json:"stats"`
	}
	if json.Unmarshal(record, &r) != nil || r.Stats == nil {
		return Stats{}, false
	}
	s := Stats{Decoded: r.Stats.Decoder.Packets}
	const longest = 100 * 365 * 24 * 3600 // seconds; keeps the duration in its range
	s.Uptime = time.Duration(min(r.Stats.Uptime, longest)) * time.Second
	if c := r.Stats.Capture; c.Packets != nil {
		s.Capture = &Capture{Packets: *c.Packets, Drops: c.Drops}
	}
	if engines := r.Stats.Detect.Engines; len(engines) > 0 {
		s.Rules = new(Rules)
		for _, e := range engines {
			s.Rules.Loaded += e.Loaded
			s.Rules.Failed += e.Failed
		}
	}
	return s, true
}
