package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/service"
)

type provisionCommand struct {
	targetFlags
	Replicas    int           `default:"1" help:"Replicas of each stream: 1, or 3 or 5 on a cluster of as many servers."`
	AllowShrink bool          `help:"Allow smaller limits than those in force, which deletes messages beyond them."`
	Recover     bool          `help:"Look for streams of an earlier version that a cluster has left on the disk of this one server, which does not load them by itself."`
	Wait        time.Duration `default:"5s" help:"How long to wait for the server (${default}), and for the servers of a cluster to find each other."`
	JSON        bool          `help:"Print what was done as JSON."`
}

// Help is shown by --help.
func (provisionCommand) Help() string {
	return "Repeating it changes nothing. It refuses to touch what a newer version has made, and to do what would delete messages. How much all streams keep together is set by STORE_MAX, of which each has a share; docs/configuration.md lists what sets one by itself. Each chat and each webhook that is configured (TELEGRAM_CHAT_ID, WEBHOOK_URL) gets durables of its own, which begin where the most advanced sink stands."
}

// Run creates or migrates streams and durables.
func (c *provisionCommand) Run(ctx context.Context, term Terminal, table []service.Spec) error {
	var retention Retention
	layout, err := service.Join(table, service.NewDeployment(term.Environ))
	if err := config.Join(config.Load(&retention, term.Environ), err); err != nil {
		return err
	}
	if err := retention.check(layout.Streams); err != nil {
		return err
	}
	conn, err := c.connectWithin(ctx, c.Wait, bus.RoleProvisioner, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	result, err := conn.Provision(ctx, bus.ProvisionConfig{
		Streams:     layout.Streams,
		Consumers:   layout.Durables,
		Replicas:    c.Replicas,
		Limits:      retention.limits(layout.Streams),
		AllowShrink: c.AllowShrink,
		Recover:     c.Recover,
		Wait:        c.Wait,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.Stdout, result)
	}
	_, err = fmt.Fprintln(term.Stdout, result)
	return err
}

// Retention says how much each stream keeps.
type Retention struct {
	StoreMax         int64         `env:"STORE_MAX, default=8589934592" doc:"Max bytes that all streams keep together. Each has a share of it: a half is for events and a fifth for alerts, divided among their sources. What is too little for them is refused; without further sources 240 MiB are enough. The settings that follow replace single shares."`
	SecurityMaxBytes int64         `env:"SECURITY_MAX_BYTES" doc:"Max bytes that the streams of events, EVENTS_*, keep together; beyond its part of them, the oldest of a source go. Unset means half of STORE_MAX."`
	SecurityMaxAge   time.Duration `env:"SECURITY_MAX_AGE, default=720h" doc:"How long events are kept."`
	AlertsMaxBytes   int64         `env:"SECURITY_ALERTS_MAX_BYTES" doc:"Max bytes that the streams of alerts, ALERTS_*, keep together; beyond its part of them, the oldest of a source go. Unset means a fifth of STORE_MAX."`
	AlertsMaxAge     time.Duration `env:"SECURITY_ALERTS_MAX_AGE, default=8760h" doc:"How long alerts are kept."`
	AuditMaxBytes    int64         `env:"SECURITY_AUDIT_MAX_BYTES" doc:"Max bytes that the stream SECURITY_AUDIT keeps; beyond, new records are refused. Unset means an eighth of STORE_MAX."`
	AuditMaxAge      time.Duration `env:"SECURITY_AUDIT_MAX_AGE, default=2160h" doc:"How long the stream SECURITY_AUDIT keeps LLM audit records."`
	DeadMaxBytes     int64         `env:"SECURITY_DEAD_MAX_BYTES" doc:"Max bytes that the stream SECURITY_DEAD keeps; beyond, the oldest go. Unset means a thirty-second of STORE_MAX."`
	DeadMaxAge       time.Duration `env:"SECURITY_DEAD_MAX_AGE, default=2160h" doc:"How long the stream SECURITY_DEAD keeps dead letters."`
}

// Bounds of the settings. Less would drop an alert before a slow consumer has had
// a chance to read it.
const (
	minBytes = 1 << 20
	minAge   = time.Hour
	maxBytes = 1 << 50
	maxAge   = 100 * 365 * 24 * time.Hour
)

// Validate implements the check that [config.Load] makes.
func (r Retention) Validate() error {
	// Unset is a share of the store.
	bytes := func(key string, value int64) error {
		if value == 0 {
			return nil
		}
		return config.Between(key, value, minBytes, maxBytes)
	}
	return errors.Join(
		config.Between("STORE_MAX", r.StoreMax, minBytes, maxBytes),
		bytes("SECURITY_MAX_BYTES", r.SecurityMaxBytes),
		config.Between("SECURITY_MAX_AGE", r.SecurityMaxAge, minAge, maxAge),
		bytes("SECURITY_ALERTS_MAX_BYTES", r.AlertsMaxBytes),
		config.Between("SECURITY_ALERTS_MAX_AGE", r.AlertsMaxAge, minAge, maxAge),
		bytes("SECURITY_AUDIT_MAX_BYTES", r.AuditMaxBytes),
		config.Between("SECURITY_AUDIT_MAX_AGE", r.AuditMaxAge, minAge, maxAge),
		bytes("SECURITY_DEAD_MAX_BYTES", r.DeadMaxBytes),
		config.Between("SECURITY_DEAD_MAX_AGE", r.DeadMaxAge, minAge, maxAge),
	)
}

// limits are the settings by stream. More are the streams beside those that every
// bus has.
func (r Retention) limits(more []proto.Stream) map[string]bus.Limits {
	all := append(proto.Streams(), more...)
	// What the streams of a group have together replaces their part of the store.
	together := func(prefix string, set int64) (of, part int64) {
		for _, s := range all {
			if strings.HasPrefix(s.Name, prefix) {
				part += s.MaxBytes
			}
		}
		if set == 0 {
			return r.StoreMax, proto.DefaultStoreMax
		}
		return set, part
	}
	limits := make(map[string]bus.Limits)
	for _, s := range all {
		group, set := r.group(s.Name)
		age := map[string]time.Duration{
			proto.AlertsPrefix: r.AlertsMaxAge, proto.EventsPrefix: r.SecurityMaxAge, proto.StreamAudit: r.AuditMaxAge, proto.StreamDead: r.DeadMaxAge,
		}[group]
		of, part := together(group, set)
		least := int64(minBytes)
		if set == 0 {
			least = max(least, s.MinBytes)
		}
		limits[s.Name] = bus.Limits{MaxBytes: max(least, int64(float64(s.MaxBytes)*float64(of)/float64(part))), MaxAge: age}
	}
	limits[proto.StreamSecurity] = bus.Limits{MaxAge: r.SecurityMaxAge}
	limits[proto.StreamAlerts] = bus.Limits{MaxAge: r.AlertsMaxAge}
	return limits
}

// check says whether the store is large enough for the streams: each share with which a
// stream would not do its work is raised, and what all have then must be within the
// store.
func (r Retention) check(more []proto.Stream) error {
	needed := sort.Search(maxBytes>>20, func(mib int) bool {
		trial := r
		trial.StoreMax = int64(mib) << 20
		return trial.shares(more) <= trial.StoreMax
	})
	if r.StoreMax >= int64(needed)<<20 {
		return nil
	}
	return config.Faultf("STORE_MAX", "%d bytes are too few for the %d streams of this deployment, which need %d", r.StoreMax, len(more)+len(proto.Streams()), needed<<20)
}

// shares are what all streams have together whose size is a share of the store.
func (r Retention) shares(more []proto.Stream) (sum int64) {
	limits := r.limits(more)
	for _, s := range slices.Concat(proto.Streams(), more) {
		if _, set := r.group(s.Name); set == 0 {
			sum += limits[s.Name].MaxBytes
		}
	}
	return sum
}

// group is the group of streams whose size one setting replaces to which a stream
// belongs, by the prefix of their names, and what it is set to; 0 is unset.
func (r Retention) group(stream string) (prefix string, set int64) {
	switch {
	case strings.HasPrefix(stream, proto.AlertsPrefix):
		return proto.AlertsPrefix, r.AlertsMaxBytes
	case strings.HasPrefix(stream, proto.EventsPrefix):
		return proto.EventsPrefix, r.SecurityMaxBytes
	case stream == proto.StreamAudit:
		return stream, r.AuditMaxBytes
	case stream == proto.StreamDead:
		return stream, r.DeadMaxBytes
	}
	return "", 0
}

// storeLimit is what the server may use for all streams together, those of the
// services included: their sum, and once more as much for what an upgraded bus still
// holds of the version before.
func (r Retention) storeLimit(more []proto.Stream) int64 {
	var sum int64
	for _, l := range r.limits(more) {
		sum += l.MaxBytes
	}
	return 2 * sum
}
