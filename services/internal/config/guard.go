package config

import (
	"errors"
	"time"
)

// Guard says whether and where a classifier is asked about prompts and tool
// calls.
type Guard struct {
	Enabled   bool          `env:"GUARD_ENABLED, default=false" doc:"Ask the guard at GUARD_URL about what is new in each request, and about each tool call."`
	URL       string        `env:"GUARD_URL" doc:"URL of the guard; required if GUARD_ENABLED is true. secbus up runs the shipped guard if it is unset."`
	Threshold float64       `env:"GUARD_THRESHOLD, default=0.8" doc:"Score from 0 to 1 at and above which what the guard was asked about is blocked."`
	Timeout   time.Duration `env:"GUARD_TIMEOUT, default=2s" doc:"How long the guard may take for one answer, from 10ms to 1m."`
	FailOpen  bool          `env:"GUARD_FAIL_OPEN, default=false" doc:"Let requests pass while the guard does not answer. Each is recorded as such."`
}

// Validate implements the check that [Load] makes.
func (g Guard) Validate() error {
	errs := []error{
		Between("GUARD_THRESHOLD", g.Threshold, 0, 1),
		Between("GUARD_TIMEOUT", g.Timeout, 10*time.Millisecond, time.Minute),
	}
	switch {
	case g.URL != "":
		errs = append(errs, URL("GUARD_URL", g.URL, "http", "https"))
	case g.Enabled:
		errs = append(errs, Faultf("GUARD_URL", "required while GUARD_ENABLED is true"))
	}
	return errors.Join(errs...)
}
