package notifier

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/stdout"
)

// Config says what the notifier delivers, where and how.
type Config struct {
	NATS     config.NATS
	Alert    config.Alert
	Telegram config.Telegram
	Webhook  config.Webhook
	Prices   price.Settings

	Stdout     string `env:"NOTIFIER_STDOUT, default=auto" doc:"Whether alerts are printed: always, never, or auto for when nothing else is configured. What waits for a chat that is out of reach is printed in any case."`
	Format     string `env:"NOTIFIER_FORMAT, default=auto" doc:"How alerts are printed: card, line, json, or auto for cards on a terminal and lines elsewhere."`
	Zone       string `env:"NOTIFIER_TIMEZONE" doc:"Time zone of the reader, such as Europe/Berlin; unset means this machine's."`
	Quiet      string `env:"QUIET_HOURS" doc:"When messages make no sound, such as 22:00-07:00, in the reader's time zone. One about a critical alert always does."`
	ReportHour string `env:"DAILY_REPORT_HOUR, default=0" empty:"allowed" doc:"Hour at which each chat gets a report of the day before, from 0 to 23, in the reader's time zone; empty for none."`

	// Out is where alerts are printed; nil for the process's standard output.
	Out *os.File
}

// Values of NOTIFIER_STDOUT.
const (
	stdoutAuto   = "auto"
	stdoutAlways = "always"
	stdoutNever  = "never"
)

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	errs := []error{
		config.OneOf("NOTIFIER_FORMAT", c.Format, "auto", string(stdout.FormatCard), string(stdout.FormatLine), string(stdout.FormatJSON)),
		config.OneOf("NOTIFIER_STDOUT", c.Stdout, stdoutAuto, stdoutAlways, stdoutNever),
	}
	if _, err := time.LoadLocation(c.Zone); err != nil {
		errs = append(errs, config.Faultf("NOTIFIER_TIMEZONE", "%.100q is no time zone such as Europe/Berlin", c.Zone))
	}
	if _, err := parseQuiet(c.Quiet); err != nil {
		errs = append(errs, config.Faultf("QUIET_HOURS", "%w", err))
	}
	if hour, err := strconv.Atoi(c.ReportHour); c.ReportHour != "" && (err != nil || hour < 0 || hour > 23) {
		errs = append(errs, config.Faultf("DAILY_REPORT_HOUR", "%.100q is neither an hour from 0 to 23 nor empty", c.ReportHour))
	}
	if c.Stdout == stdoutNever && !c.Telegram.Enabled() && !c.Webhook.Enabled() {
		errs = append(errs, config.Faultf("NOTIFIER_STDOUT", "never, while nothing else is configured: alerts would reach nobody"))
	}
	return errors.Join(errs...)
}

// Consumers returns the durables that the sinks of c need beside those that
// every bus has.
func (c Config) Consumers() []proto.Consumer {
	var all []proto.Consumer
	if c.Telegram.Enabled() {
		for _, chat := range c.Telegram.Chats() {
			urgent, routine := proto.LaneConsumers(chat.Name())
			all = append(all, urgent, routine)
		}
	}
	if c.Webhook.Enabled() {
		all = append(all, proto.SinkConsumer("webhook"))
	}
	return all
}

// Chats returns the names of the chats that c delivers to.
func (c Config) Chats() []string {
	var names []string
	if c.Telegram.Enabled() {
		for _, chat := range c.Telegram.Chats() {
			names = append(names, chat.Name())
		}
	}
	return names
}

// prints reports whether standard output is one of the sinks.
func (c Config) prints() bool {
	return c.Stdout == stdoutAlways || c.Stdout == stdoutAuto && !c.Telegram.Enabled() && !c.Webhook.Enabled()
}

func (c Config) stdout() *stdout.Sink {
	out := c.Out
	if out == nil {
		out = os.Stdout
	}
	format := stdout.Format(c.Format)
	if c.Format == "auto" {
		format = stdout.FormatLine
		if render.IsTerminal(out) {
			format = stdout.FormatCard
		}
	}
	return stdout.New(out, format, render.ForFile(out, os.LookupEnv))
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
