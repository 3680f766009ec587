package notifier

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/stdout"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/telegram"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/webhook"
)

// sinks is the table of the kinds of sinks. Standard output is not in it: alerts go
// there when no other sink is configured, and while a chat is out of reach.
func sinks() []sink.Spec {
	return []sink.Spec{
		telegram.Spec(),
		webhook.Spec(),
	}
}

// Config says what the notifier delivers, where and how.
type Config struct {
	NATS   config.NATS
	Alert  Alert
	Sinks  Sinks
	Stdout stdout.Settings

	Host       string `env:"OPENCLAW_HOST" doc:"Name of this machine on the bus. Unset means the system's host name."`
	Zone       string `env:"NOTIFIER_TIMEZONE" doc:"Time zone of the reader, such as Europe/Berlin; unset means this machine's."`
	Quiet      string `env:"QUIET_HOURS" doc:"When messages make no sound, such as 22:00-07:00, in the reader's time zone. One about a critical alert always does."`
	ReportHour string `env:"DAILY_REPORT_HOUR, default=0" empty:"allowed" doc:"Hour at which each chat gets a report of the day before, from 0 to 23, in the reader's time zone; empty for none."`

	Heartbeat config.Secret `env:"NOTIFIER_HEARTBEAT_URL" doc:"URL that is asked each minute while alerts can be delivered, so that a service elsewhere tells you when this one has died; secret because who knows it can keep that service quiet."`

	// Out is where alerts are printed; nil for the process's standard output.
	Out *os.File

	// standby has a notifier wait while another delivers, rather than end.
	standby bool
}

// Alert says which alerts reach the owner and how many.
type Alert struct {
	MaxPerMinute int            `env:"ALERT_MAX_PER_MINUTE, default=10" doc:"Max messages to one chat in any 60 seconds, from 1 to 60; what is over becomes a digest."`
	MinSeverity  proto.Severity `env:"ALERT_MIN_SEVERITY, default=medium" doc:"Lowest severity that is sent: info, low, medium, high or critical."`
}

// Validate implements the check that [config.Load] makes.
func (a Alert) Validate() error {
	return config.Between("ALERT_MAX_PER_MINUTE", a.MaxPerMinute, 1, 60)
}

// Sinks are the settings of all kinds of sinks in the table.
type Sinks struct {
	table    []sink.Spec // nil for that of this package
	settings []sink.Settings
}

var _ config.Table = (*Sinks)(nil)

// Structs implements [config.Table].
func (s *Sinks) Structs() []any {
	if s.settings == nil {
		if s.table == nil {
			s.table = sinks()
		}
		for _, spec := range s.table {
			s.settings = append(s.settings, spec.Settings())
		}
	}
	structs := make([]any, len(s.settings))
	for i, settings := range s.settings {
		structs[i] = settings
	}
	return structs
}

// open returns the sinks of each kind that is configured.
func (s Sinks) open(shared sink.Shared) ([]sink.Opened, error) {
	var all []sink.Opened
	for _, settings := range s.settings {
		opened, err := settings.Open(shared)
		if err != nil {
			return nil, err
		}
		if len(opened.Chats)+len(opened.Sinks) > 0 {
			all = append(all, opened)
		}
	}
	return all, nil
}

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	var errs []error
	if _, err := time.LoadLocation(c.Zone); err != nil {
		errs = append(errs, config.Faultf("NOTIFIER_TIMEZONE", "%.100q is not a time zone such as Europe/Berlin", c.Zone))
	}
	if _, err := parseQuiet(c.Quiet); err != nil {
		errs = append(errs, config.Faultf("QUIET_HOURS", "%w", err))
	}
	if hour, err := strconv.Atoi(c.ReportHour); c.ReportHour != "" && (err != nil || hour < 0 || hour > 23) {
		errs = append(errs, config.Faultf("DAILY_REPORT_HOUR", "%.100q is neither an hour from 0 to 23 nor empty", c.ReportHour))
	}
	if !c.Heartbeat.IsZero() && config.URL("NOTIFIER_HEARTBEAT_URL", c.Heartbeat.Reveal(), "http", "https") != nil {
		errs = append(errs, config.Faultf("NOTIFIER_HEARTBEAT_URL", "not a URL that starts with http:// or https://"))
	}
	// Settings that are wrong are reported where they are.
	if others, err := c.Sinks.open(c.shared()); c.Stdout.Never() && err == nil && len(others) == 0 {
		errs = append(errs, config.Faultf("NOTIFIER_STDOUT", "never, while nothing else is configured: alerts would reach nobody"))
	}
	return errors.Join(errs...)
}

// Consumers returns the durables that the sinks of c need in these streams of alerts,
// beside those that every bus has. The settings must be valid.
func (c Config) Consumers(streams []string) []proto.Consumer {
	var all []proto.Consumer
	for _, opened := range c.opened() {
		for _, stream := range streams {
			for _, chat := range opened.Chats {
				all = append(all, proto.LaneConsumers(chat.Name(), stream)...)
			}
			for _, s := range opened.Sinks {
				all = append(all, proto.SinkConsumer(s.Name(), stream))
			}
		}
	}
	return all
}

// Chats returns the names of the chats that c delivers to. The settings must be
// valid.
func (c Config) Chats() []string {
	var names []string
	for _, opened := range c.opened() {
		for _, chat := range opened.Chats {
			names = append(names, chat.Name())
		}
	}
	return names
}

// opened are the sinks of settings that are valid, for their names.
func (c Config) opened() []sink.Opened {
	opened, err := c.Sinks.open(c.shared())
	if err != nil {
		return nil
	}
	return opened
}

// shared is what all sinks are given.
func (c Config) shared() sink.Shared {
	return sink.Shared{PerMinute: c.Alert.MaxPerMinute, Zone: c.zone(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

// printer is the sink that prints.
func (c Config) printer() *stdout.Sink {
	if c.Out != nil {
		return c.Stdout.Open(c.Out)
	}
	return c.Stdout.Open(os.Stdout)
}

// zone is the reader's time zone.
func (c Config) zone() *time.Location {
	if c.Zone == "" {
		return time.Local
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return time.Local // Validate has refused it
	}
	return zone
}

// span is a part of each day, in minutes since midnight. It may go past
// midnight.
type span struct{ from, to int }

// parseQuiet reads a setting such as 22:00-07:00; an empty one is an empty span.
func parseQuiet(text string) (span, error) {
	if text == "" {
		return span{}, nil
	}
	from, to, ok := strings.Cut(text, "-")
	start, err1 := time.Parse("15:04", strings.TrimSpace(from))
	end, err2 := time.Parse("15:04", strings.TrimSpace(to))
	if !ok || err1 != nil || err2 != nil {
		return span{}, fmt.Errorf("%.100q is not of the form 22:00-07:00", text)
	}
	return span{start.Hour()*60 + start.Minute(), end.Hour()*60 + end.Minute()}, nil
}

// contains reports whether a time of day is in the span.
func (s span) contains(at time.Time) bool {
	minute := at.Hour()*60 + at.Minute()
	if s.from <= s.to {
		return s.from <= minute && minute < s.to
	}
	return minute >= s.from || minute < s.to
}
