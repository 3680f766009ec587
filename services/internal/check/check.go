// Package check says how something that the bus depends on stands: what secbus
// doctor prints, and what a service's own check returns to it.
package check

import (
	"fmt"
	"time"

	"github.com/openclaw-security/bus/services/internal/render"
)

// State is how something stands.
type State string

// The states.
const (
	Good    State = "good"
	Warning State = "warning" // to be looked at
	Fault   State = "fault"   // something does not do its work
)

// Finding is something that the bus depends on, and how it stands.
type Finding struct {
	Hop     string `json:"hop"`     // which part of the way from a sensor to its owner
	Subject string `json:"subject"` // what of it
	State   State  `json:"state"`
	Text    string `json:"text"` // what was found and, if it is not good, what to do about it; one line
}

// textLimit bounds a finding's text, in characters: parts of it come from
// outside.
const textLimit = 600

// List collects the findings of one hop.
type List struct {
	Hop string
	All []Finding
}

// Add adds a finding. Foreign text in it is made harmless and bounded.
func (f *List) Add(subject string, state State, format string, args ...any) {
	f.All = append(f.All, Finding{
		Hop:     f.Hop,
		Subject: render.Clean(subject, 100),
		State:   state,
		Text:    render.Clean(fmt.Sprintf(format, args...), textLimit),
	})
}

// Unreadable adds that a check could not be made.
func (f *List) Unreadable(subject string, err error) {
	f.Add(subject, Fault, "cannot be checked: %v", err)
}

// Quote makes foreign text a part of a finding.
func Quote(text string) string { return render.Clean(text, 120) }

// Span is a length of time as a person says it.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d days", int(d/day))
	}
}
