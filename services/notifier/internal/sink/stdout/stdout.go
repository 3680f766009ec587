// Package stdout is the sink that prints alerts, one line or one card each. It
// serves where no chat is configured, and as the demo's screen.
package stdout

import (
	"context"
	"fmt"
	"io"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/render"
)

// Format is how an alert is printed.
type Format string

// The formats.
const (
	FormatCard Format = "card" // several lines, for a person
	FormatLine Format = "line" // one line, for a person or a log
	FormatJSON Format = "json" // the event's payload, for a machine
)

// Sink prints to a writer. It is not safe for concurrent use.
type Sink struct {
	w      io.Writer
	format Format
	style  render.Style
}

// New returns a Sink that prints to w.
func New(w io.Writer, format Format, style render.Style) *Sink {
	return &Sink{w: w, format: format, style: style}
}

// Name is the name of the sink in logs and metrics.
func (*Sink) Name() string { return "stdout" }

// Deliver prints one alert; payload is its JSON form as stored. repeated says
// that it may have been printed before. A nil error means that the writer has
// taken all of it.
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
