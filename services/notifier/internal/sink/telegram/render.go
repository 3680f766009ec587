package telegram

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// The levels of a message, each for when the one before was refused.
const (
	levelRich    = iota // with entities and buttons
	levelPlain          // the same text alone
	levelShort          // fewer words
	levelMinimal        // counts and ids in ASCII
	lastLevel    = levelMinimal
)

// Most UTF-16 code units of a message, without repeatLine. Telegram's limit is
// 4096: https://core.telegram.org/bots/api#sendmessage
const (
	maxUnits   = 4096 - len(repeatLine)
	shortUnits = 2500
)

// Most notices shown below a message, and code units of each.
const (
	maxNotices = 5
	noticeSize = 160
)

// timeFormat is how a reader sees a time.
const timeFormat = "2006-01-02 15:04:05 MST"

// Render writes the message about b of one of the levels 0 to 3.
func (c *Chat) Render(b sink.Batch, level int) (sink.Message, bool) {
	if level < levelRich || level > lastLevel {
		return nil, false
	}
	w := writer{zone: c.cfg.Zone, batch: b}
	var t *text
	switch level {
	case levelMinimal:
		t = w.minimal()
	case levelShort:
		t = w.message(shortUnits)
	default:
		t = w.message(maxUnits)
	}
	s := stored{Text: t.content.String(), Silent: b.Silent, Level: level}
	if level == levelRich {
		s.Entities, s.Markup = t.entities, c.markup(b)
	}
	m, err := json.Marshal(s)
	if err != nil {
		// Strings and numbers: encoding cannot fail.
		panic(fmt.Sprintf("encoding a message: %v", err))
	}
	return m, true
}

// markup is the buttons below a message about b; a button that Telegram would
// refuse is left out, since it would take the message with it.
func (c *Chat) markup(b sink.Batch) *replyMarkup {
	if c.cfg.Buttons == nil {
		return nil
	}
	var rows [][]Button
	for _, row := range c.cfg.Buttons(b) {
		var kept []Button
		for _, button := range row {
			if button.Text = line(button.Text, 40); button.Text != "" && button.Data != "" && len(button.Data) <= 64 {
				kept = append(kept, button)
			}
		}
		if len(kept) > 0 {
			rows = append(rows, kept)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return &replyMarkup{Keyboard: rows}
}

// writer writes the messages about one batch.
type writer struct {
	zone  *time.Location
	batch sink.Batch
}

// message is the whole message in at most limit code units.
//
// Notices have their room first, because they are about alerts that will not be
// seen otherwise; then a report's text; the alerts take what is left and count
// what does not fit.
func (w writer) message(limit int) *text {
	const gap = 2 // the empty line between two parts
	notices := w.notices()
	limit -= notices.units + gap
	var body *text
	switch {
	case w.batch.Digest != nil:
		intro := w.text(limit / 3)
		body = joined("\n\n", intro, w.digest(limit-intro.units-gap))
	case len(w.batch.Alerts) > 0:
		intro := w.text(limit / 3)
		body = joined("\n\n", intro, w.cards(limit-intro.units-gap))
	default:
		body = w.text(limit)
	}
	all := joined("\n\n", body, notices)
	if all.units == 0 {
		return textOf("Nothing to report.")
	}
	return all
}

// text is the body of a report or a notice: the first line is its title.
func (w writer) text(limit int) *text {
	title, rest, _ := strings.Cut(lines(w.batch.Text, limit), "\n")
	var t text
	t.styled(bold, title)
	if rest != "" {
		t.plain("\n" + rest)
	}
	return &t
}

func (w writer) notices() *text {
	var t text
	for i, notice := range w.batch.Notices {
		if i > 0 {
			t.plain("\n")
		}
		if i == maxNotices {
			t.plain(fmt.Sprintf("Notices that are not shown: %d", len(w.batch.Notices)-i))
			break
		}
		t.plain("Note: " + line(notice, noticeSize))
	}
	return &t
}

// mark is what tells a repetition that was asked for from news.
func (w writer) mark() string {
	if w.batch.Kind == proto.DeliveryReplay {
		return "REPLAY "
	}
	return ""
}

// replay is the command that shows all alerts of the batch; it is empty if
// nobody knows when they were stored.
func (w writer) replay(options string) string {
	if w.batch.First.IsZero() || w.batch.Last.IsZero() {
		return ""
	}
	const step = time.Second // the command's times are whole seconds
	return fmt.Sprintf("secbus replay%s --since %s --until %s", options,
		w.batch.First.UTC().Truncate(step).Format(time.RFC3339),
		w.batch.Last.UTC().Truncate(step).Add(step).Format(time.RFC3339))
}

// hidden is the line that counts what is not shown.
func (w writer) hidden(n int, what, options string) *text {
	t := textOf(fmt.Sprintf("Not shown: %s.", plural(n, what)))
	if command := w.replay(options); command != "" {
		t.plain(" To list all: ")
		t.styled(code, command)
	}
	return t
}

// sign is a severity at a glance.
func sign(s proto.Severity) string {
	switch s {
	case proto.SeverityCritical:
		return "🔴"
	case proto.SeverityHigh:
		return "🟠"
	case proto.SeverityMedium:
		return "🟡"
	case proto.SeverityLow:
		return "🔵"
	default:
		return "⚪"
	}
}

// times is how often something came; it is empty for once.
func times(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" ×%d", n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// count says how many alerts there are of each severity, the worst first.
func count(total int, of map[proto.Severity]int) string {
	var parts []string
	for s := proto.SeverityCritical; ; s-- {
		if of[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", of[s], s))
		}
		if s == proto.SeverityInfo {
			break
		}
	}
	if len(parts) == 0 {
		return plural(total, "alert")
	}
	return plural(total, "alert") + ": " + strings.Join(parts, ", ")
}

// shortID is enough of an event's or a container's id to find it by; both are
// hexadecimal.
func shortID(id string) string {
	kept := strings.Map(func(r rune) rune {
		if digit(r) || r >= 'a' && r <= 'f' {
			return r
		}
		return -1
	}, id[:min(len(id), 64)])
	if kept == "" {
		return "unknown"
	}
	return kept[:min(len(kept), 12)]
}
