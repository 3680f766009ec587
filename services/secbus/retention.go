package main

import (
	"cmp"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
)

// limits are the retention settings as a plan has them.
func limits(r config.Retention) map[string]bus.Limits {
	return map[string]bus.Limits{
		proto.StreamSecurity: {MaxBytes: r.SecurityMaxBytes, MaxAge: r.SecurityMaxAge},
		proto.StreamAlerts:   {MaxBytes: r.AlertsMaxBytes, MaxAge: r.AlertsMaxAge},
		proto.StreamAudit:    {MaxBytes: r.AuditMaxBytes, MaxAge: r.AuditMaxAge},
		proto.StreamDead:     {MaxBytes: r.DeadMaxBytes, MaxAge: r.DeadMaxAge},
	}
}

// storeLimit is what the server may use for all streams together. Beyond their
// sum it needs no room of its own.
func storeLimit(r config.Retention) int64 {
	set := limits(r)
	var sum int64
	for _, stream := range proto.Streams() {
		sum += cmp.Or(set[stream.Name].MaxBytes, stream.MaxBytes)
	}
	return sum
}
