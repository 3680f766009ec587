package config

import "errors"

// Guard says whether and where a classifier is asked about prompts.
type Guard struct {
	Enabled   bool    `env:"GUARD_ENABLED, default=false" doc:"Ask the guard at GUARD_URL about each request."`
	URL       string  `env:"GUARD_URL" doc:"URL of the guard; required if GUARD_ENABLED is true."`
	Threshold float64 `env:"GUARD_THRESHOLD, default=0.8" doc:"Score from 0 to 1 at which the guard's answer counts as a detection."`
}

// Validate implements the check that [Load] makes.
func (g Guard) Validate() error {
	errs := []error{Between("GUARD_THRESHOLD", g.Threshold, 0, 1)}
	switch {
	case g.URL != "":
		errs = append(errs, URL("GUARD_URL", g.URL, "http", "https"))
	case g.Enabled:
		errs = append(errs, Faultf("GUARD_URL", "required while GUARD_ENABLED is true"))
	}
	return errors.Join(errs...)
}
