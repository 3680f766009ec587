package doctor

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

// findings collects what is found of one hop.
type findings struct {
	hop string
	all []Finding
}

func (f *findings) add(subject string, state State, format string, args ...any) {
	f.all = append(f.all, Finding{
		Hop:     f.hop,
		Subject: render.Clean(subject, 100),
		State:   state,
		Text:    render.Clean(fmt.Sprintf(format, args...), textLimit),
	})
}

// unreadable adds that a check could not be made.
func (f *findings) unreadable(subject string, err error) {
	f.add(subject, Fault, "cannot be checked: %v", err)
}

// quote makes foreign text a part of a finding.
func quote(text string) string { return render.Clean(text, 120) }

// span is a length of time as a person says it.
func span(d time.Duration) string {
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
