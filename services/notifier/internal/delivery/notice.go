package delivery

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Bounds of what is kept to be told, in lines, names and bytes.
const (
	maxLines     = 20
	maxSilencers = 20
	maxLine      = 300
)

// notes are what the next message tells the owner about the delivery itself.
type notes struct {
	Lines    []string       `json:"lines,omitempty"`
	Dropped  int            `json:"dropped,omitempty"` // lines for which there was no room
	Dead     int            `json:"dead,omitempty"`
	Evicted  int            `json:"evicted,omitempty"`
	UpTo     bool           `json:"up_to,omitempty"` // Evicted may be too many
	Silenced map[string]int `json:"silenced,omitempty"`
}

// due reports whether there is anything that is worth a message of its own.
func (n *notes) due() bool { return len(n.Lines) > 0 || n.Dead > 0 || n.Evicted > 0 }

func (n *notes) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	switch {
	case len(n.Lines) >= maxLines:
		n.Dropped++
	case !slices.Contains(n.Lines, line):
		n.Lines = append(n.Lines, clip(line, maxLine))
	}
}

func (n *notes) silenced(by string) {
	if n.Silenced == nil {
		n.Silenced = make(map[string]int)
	}
	by = clip(by, maxLine)
	if _, known := n.Silenced[by]; !known && len(n.Silenced) >= maxSilencers {
		by = "other silences"
	}
	n.Silenced[by]++
}

// lines puts the notes into words.
func (n *notes) lines() []string {
	lines := slices.Clone(n.Lines)
	if n.Dropped > 0 {
		lines = append(lines, fmt.Sprintf("%d more notices like these are in the notifier's log.", n.Dropped))
	}
	if n.Evicted > 0 {
		upTo := ""
		if n.UpTo {
			upTo = "Up to "
		}
		lines = append(lines, fmt.Sprintf("%s%s lost: retention removed them from %s before they could be delivered.", upTo, were(n.Evicted), proto.StreamAlerts))
	}
	if n.Dead > 0 {
		lines = append(lines, fmt.Sprintf("%s unreadable; a copy with the reason is in %s.", were(n.Dead), proto.StreamDead))
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

func were(n int) string {
	if n == 1 {
		return "1 alert was"
	}
	return count(n) + " were"
}

// clip cuts s to at most limit bytes of valid UTF-8.
func clip(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}
