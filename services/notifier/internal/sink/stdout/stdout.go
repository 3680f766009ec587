// Package stdout is the sink that prints alerts, one line or one card each. It
// serves where no chat is configured, and as the demo's screen.
package stdout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/render"
)

// Values of NOTIFIER_FORMAT, and that of both settings that leaves the choice here.
const (
	FormatCard = "card" // several lines, for a person
	FormatLine = "line" // one line, for a person or a log
	FormatJSON = "json" // the event's payload, for a machine

	auto = "auto"
)

// Values of NOTIFIER_STDOUT.
const (
	always = "always"
	never  = "never"
)

// Settings say whether alerts are printed, and how.
type Settings struct {
	Stdout string `env:"NOTIFIER_STDOUT, default=auto" doc:"Whether alerts are printed: always, never, or auto for when nothing else is configured. What waits for a chat that is out of reach is printed in any case."`
	Format string `env:"NOTIFIER_FORMAT, default=auto" doc:"How alerts are printed: card, line, json, or auto for cards on a terminal and lines elsewhere."`
}

// Validate implements the check that [config.Load] makes.
func (s Settings) Validate() error {
	return errors.Join(
		config.OneOf("NOTIFIER_FORMAT", s.Format, auto, FormatCard, FormatLine, FormatJSON),
		config.OneOf("NOTIFIER_STDOUT", s.Stdout, auto, always, never),
	)
}

// Never reports whether alerts are not to be printed even if they reach nobody.
func (s Settings) Never() bool { return s.Stdout == never }

// Enabled reports whether alerts are printed, given whether there are other sinks.
func (s Settings) Enabled(others bool) bool {
	return s.Stdout == always || s.Stdout == auto && !others
}

// Open returns a Sink that prints to out.
func (s Settings) Open(out *os.File) *Sink {
	format := s.Format
	if format == auto {
		format = FormatLine
		if render.IsTerminal(out) {
			format = FormatCard
		}
	}
	return New(out, format, render.ForFile(out, os.LookupEnv))
}

// Sink prints to a writer. It is not safe for concurrent use.
type Sink struct {
	w      io.Writer
	format string
	style  render.Style
}

// New returns a Sink that prints to w.
func New(w io.Writer, format string, style render.Style) *Sink {
	return &Sink{w: w, format: format, style: style}
}

// Name is the name of the sink in logs and metrics.
func (*Sink) Name() string { return "stdout" }

// Deliver prints one alert; payload is its JSON form as stored. repeated says
// that it may have been printed before. A nil error means that the writer has
// accepted all of it.
func (s *Sink) Deliver(_ context.Context, e *proto.Event, payload []byte, repeated bool) error {
	var text string
	switch s.format {
	case FormatJSON:
		text = string(payload)
	case FormatLine:
		text = s.style.Line(e)
	default:
		text = s.style.Card(e)
	}
	if repeated && s.format != FormatJSON {
		text += "  (may repeat)"
	}
	// One write for one alert: a reader of the output never sees half of one
	// unless the writer itself broke off.
	if _, err := io.WriteString(s.w, text+"\n"); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}
