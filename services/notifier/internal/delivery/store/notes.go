package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Bounds of the notes, in lines, names and bytes.
const (
	maxLines     = 20
	maxSilencers = 20
	MaxLine      = 300
)

// Notes are what the next message says about the delivery itself.
type Notes struct {
	Lines    []string       `json:"lines,omitempty"`
	Dropped  int            `json:"dropped,omitempty"` // lines for which there was no room
	Dead     int            `json:"dead,omitempty"`
	Evicted  int            `json:"evicted,omitempty"`
	UpTo     bool           `json:"up_to,omitempty"` // Evicted may be too many
	Silenced map[string]int `json:"silenced,omitempty"`
}

// Due reports whether there is anything that is worth a message of its own.
func (n *Notes) Due() bool { return len(n.Lines) > 0 || n.Dead > 0 || n.Evicted > 0 }

// Add adds a line, once.
func (n *Notes) Add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	switch {
	case len(n.Lines) >= maxLines:
		n.Dropped++
	case !slices.Contains(n.Lines, line):
		n.Lines = append(n.Lines, Clip(line, MaxLine))
	}
}

// AddSilenced counts an alert that the silence by has held back.
func (n *Notes) AddSilenced(by string) {
	if n.Silenced == nil {
		n.Silenced = make(map[string]int)
	}
	by = Clip(by, MaxLine)
	if _, known := n.Silenced[by]; !known && len(n.Silenced) >= maxSilencers {
		by = "other silences"
	}
	n.Silenced[by]++
}

// Text puts the notes into words.
func (n *Notes) Text() []string {
	lines := slices.Clone(n.Lines)
	if n.Dropped > 0 {
		lines = append(lines, fmt.Sprintf("%d more notices like these are in the notifier's log.", n.Dropped))
	}
	if n.Evicted > 0 {
		upTo := ""
		if n.UpTo {
			upTo = "Up to "
		}
		lines = append(lines, fmt.Sprintf("%s%s lost: retention removed them before they could be delivered.", upTo, Were(n.Evicted)))
	}
	if n.Dead > 0 {
		lines = append(lines, fmt.Sprintf("%s unreadable; a copy with the reason is in %s.", Were(n.Dead), proto.StreamDead))
	}
	for _, by := range slices.Sorted(maps.Keys(n.Silenced)) {
		lines = append(lines, fmt.Sprintf("%s silenced by %s.", count(n.Silenced[by]), by))
	}
	return lines
}

func count(n int) string {
	if n == 1 {
		return "1 alert"
	}
	return fmt.Sprintf("%d alerts", n)
}

// Were says how many alerts had something happen to them.
func Were(n int) string {
	if n == 1 {
		return "1 alert was"
	}
	return count(n) + " were"
}

// Clip cuts s to at most limit bytes of valid UTF-8.
func Clip(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}
