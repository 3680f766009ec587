package config

import "github.com/openclaw-security/bus/proto"

// Alert says which alerts reach the owner and how many.
type Alert struct {
	MaxPerMinute int            `env:"ALERT_MAX_PER_MINUTE, default=10" doc:"Most messages to one chat in any 60 seconds, from 1 to 60; what is over becomes a digest."`
	MinSeverity  proto.Severity `env:"ALERT_MIN_SEVERITY, default=medium" doc:"Least severity that is sent: info, low, medium, high or critical."`
}

// Validate implements the check that [Load] makes.
func (a Alert) Validate() error {
	return Between("ALERT_MAX_PER_MINUTE", a.MaxPerMinute, 1, 60)
}
