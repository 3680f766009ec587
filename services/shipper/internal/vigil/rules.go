package vigil

import (
	"time"

	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

// rules is what is known of the rules that Suricata has loaded.
type rules struct {
	none  int       // stats records in a row that tell of no rule
	since time.Time // the first of them
	had   bool      // this process has had rules
}

// noneLeast is how many of them make an alarm: with delayed detection a first
// record may come before the rules are loaded.
const noneLeast = 2

// ruleset looks for a Suricata without rules. Same says whether it is the process
// that wrote the last record.
func (v *Vigil) ruleset(at time.Time, s suricata.Stats, same bool) {
	r := &v.rules
	r.had = r.had && same
	if s.Rules.Loaded > 0 {
		r.none, r.had = 0, true
		v.end(NoRules, at, " has rules again: %d are loaded", s.Rules.Loaded)
		return
	}
	if r.none++; r.none == 1 {
		r.since = at
	}
	if r.none < noneLeast || v.Stands(NoRules) {
		return
	}
	since := r.since
	if !r.had {
		since = processStart(at, s)
	}
	v.raise(NoRules, since, at, " runs without rules and detects nothing; is there a rule file, and does it load (%d rules failed)?", s.Rules.Failed)
}
