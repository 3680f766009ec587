package config

import (
	"errors"
	"time"
)

// Retention says how much each stream keeps. Whoever provisions the streams
// reads it.
type Retention struct {
	SecurityMaxBytes int64         `env:"SECURITY_MAX_BYTES, default=4294967296" doc:"Most bytes that the stream SECURITY keeps; beyond, the oldest go."`
	SecurityMaxAge   time.Duration `env:"SECURITY_MAX_AGE, default=720h" doc:"How long the stream SECURITY keeps alerts and events."`
	AlertsMaxBytes   int64         `env:"SECURITY_ALERTS_MAX_BYTES, default=1073741824" doc:"Most bytes that the stream SECURITY_ALERTS keeps; beyond, the oldest go."`
	AlertsMaxAge     time.Duration `env:"SECURITY_ALERTS_MAX_AGE, default=8760h" doc:"How long the stream SECURITY_ALERTS keeps alerts."`
	AuditMaxBytes    int64         `env:"SECURITY_AUDIT_MAX_BYTES, default=1073741824" doc:"Most bytes that the stream SECURITY_AUDIT keeps; beyond, new records are refused."`
	AuditMaxAge      time.Duration `env:"SECURITY_AUDIT_MAX_AGE, default=2160h" doc:"How long the stream SECURITY_AUDIT keeps LLM audit records."`
	DeadMaxBytes     int64         `env:"SECURITY_DEAD_MAX_BYTES, default=268435456" doc:"Most bytes that the stream SECURITY_DEAD keeps; beyond, the oldest go."`
	DeadMaxAge       time.Duration `env:"SECURITY_DEAD_MAX_AGE, default=2160h" doc:"How long the stream SECURITY_DEAD keeps dead letters."`
}

// The least that a stream may be told to keep: less would drop an alert before
// a slow consumer has had a chance to read it.
const (
	minBytes = 1 << 20
	minAge   = time.Hour
)

const (
	maxBytes = 1 << 50
	maxAge   = 100 * 365 * 24 * time.Hour
)

// Validate implements the check that [Load] makes.
func (r Retention) Validate() error {
	return errors.Join(
		Between("SECURITY_MAX_BYTES", r.SecurityMaxBytes, minBytes, maxBytes),
		Between("SECURITY_MAX_AGE", r.SecurityMaxAge, minAge, maxAge),
		Between("SECURITY_ALERTS_MAX_BYTES", r.AlertsMaxBytes, minBytes, maxBytes),
		Between("SECURITY_ALERTS_MAX_AGE", r.AlertsMaxAge, minAge, maxAge),
		Between("SECURITY_AUDIT_MAX_BYTES", r.AuditMaxBytes, minBytes, maxBytes),
		Between("SECURITY_AUDIT_MAX_AGE", r.AuditMaxAge, minAge, maxAge),
		Between("SECURITY_DEAD_MAX_BYTES", r.DeadMaxBytes, minBytes, maxBytes),
		Between("SECURITY_DEAD_MAX_AGE", r.DeadMaxAge, minAge, maxAge),
	)
}
