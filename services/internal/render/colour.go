package render

import (
	"os"
	"time"

	"golang.org/x/term"

	"github.com/openclaw-security/bus/proto"
)

// ANSI select-graphic-rendition sequences (ECMA-48, 8.3.117).
const (
	reset = "\x1b[0m"
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
)

func severityColour(s proto.Severity) string {
	switch s {
	case proto.SeverityCritical:
		return "\x1b[1;97;41m" // white on red
	case proto.SeverityHigh:
		return "\x1b[1;31m"
	case proto.SeverityMedium:
		return "\x1b[33m"
	case proto.SeverityLow:
		return "\x1b[36m"
	default:
		return dim
	}
}

func (s Style) severity(v proto.Severity, text string) string {
	return s.paint(severityColour(v), text)
}
func (s Style) bold(text string) string { return s.paint(bold, text) }
func (s Style) dim(text string) string  { return s.paint(dim, text) }

func (s Style) paint(colour, text string) string {
	if !s.Colour {
		return text
	}
	return colour + text + reset
}

// IsTerminal reports whether a person is looking at f.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// ForFile is the style to write to f with: local time, and colour only on a
// terminal whose user has not set NO_COLOR (https://no-color.org).
func ForFile(f *os.File, lookupEnv func(string) (string, bool)) Style {
	noColour, _ := lookupEnv("NO_COLOR")
	return Style{Colour: noColour == "" && IsTerminal(f), Zone: time.Local}
}
