// Package message writes the messages of all chats, independently of the markup of
// any: titles, fields, quotes, code, and the lines of a digest.
//
//	sink.Batch ─▶ fields ─▶ clean ─▶ redact ─▶ defang, cut ─▶ lay out ─▶ Text
//	                                                                      │
//	                a chat's own markup ◀─ serializer of the sink ◀───────┘
//
// Most of what sensors report is written by an attacker, so it is data all the
// way. Every foreign string loses what is invisible or breaks lines, then the
// secrets of known shapes, then everything that a chat would make clickable. What
// does not fit the chat's limit is counted in the message.
package message

import (
	"fmt"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Level is a form of a message. A chat that has refused one is given the next.
type Level int

// The levels.
const (
	Full      Level = iota // with styles
	Unstyled               // the same text without
	Short                  // fewer words
	Minimal                // counts, ids and bare words in ASCII
	LastLevel = Minimal
)

// Max notices shown below a message, and units of each.
const (
	maxNotices = 5
	noticeSize = 160
)

// timeFormat is how a reader sees a time.
const timeFormat = "2006-01-02 15:04:05 MST"

// Format says how much a message of a chat holds, and for whom it is written.
type Format struct {
	// Zone is the time zone of the reader.
	Zone *time.Location
	// Units is how much a character counts towards the limits, such as
	// [unicode/utf8.RuneLen] for a chat that counts bytes. An ASCII character
	// counts 1.
	Units func(rune) int
	// Limit and Short are the max size of a message and of one of level [Short],
	// in these units.
	Limit, Short int
}

// Write writes the message about b. ok is false if there is no such level. Equal
// batches give equal texts.
func (f Format) Write(b sink.Batch, level Level) (t *Text, ok bool) {
	w := writer{Format: f, batch: b}
	switch level {
	case Full:
		return w.message(f.Limit), true
	case Unstyled:
		return plain(w.message(f.Limit).String()), true
	case Short:
		return plain(w.message(f.Short).String()), true
	case Minimal:
		return w.minimal(), true
	default:
		return nil, false
	}
}

// writer writes the messages about one batch.
type writer struct {
	Format

	batch sink.Batch
}

// message is the whole message in at most limit units.
//
// Notices have their room first, because they are about alerts that will not be
// seen otherwise; then a report's text; the alerts get the rest and count
// what does not fit.
func (w writer) message(limit int) *Text {
	const gap = 2 // the empty line between two parts
	notices := w.notices()
	limit -= w.size(notices) + gap
	var body *Text
	switch {
	case w.batch.Digest != nil:
		intro := w.text(limit / 3)
		body = joined("\n\n", intro, w.digest(limit-w.size(intro)-gap))
	case len(w.batch.Alerts) > 0:
		intro := w.text(limit / 3)
		body = joined("\n\n", intro, w.cards(limit-w.size(intro)-gap))
	default:
		body = w.text(limit)
	}
	all := joined("\n\n", body, notices)
	if w.size(all) == 0 {
		return plain("Nothing to report.")
	}
	return all
}

// text is the body of a report or a notice: the first line is its title.
func (w writer) text(limit int) *Text {
	title, rest, _ := strings.Cut(w.lines(w.batch.Text, limit), "\n")
	var t Text
	t.add(Bold, title)
	if rest != "" {
		t.add(Plain, "\n"+rest)
	}
	return &t
}

func (w writer) notices() *Text {
	var t Text
	for i, notice := range w.batch.Notices {
		if i > 0 {
			t.add(Plain, "\n")
		}
		if i == maxNotices {
			t.add(Plain, fmt.Sprintf("Notices that are not shown: %d", len(w.batch.Notices)-i))
			break
		}
		t.add(Plain, "Note: "+w.Line(notice, noticeSize))
	}
	return &t
}

// mark is what distinguishes a requested repetition from news.
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
func (w writer) hidden(n int, what, options string) *Text {
	t := plain(fmt.Sprintf("Not shown: %s.", plural(n, what)))
	if command := w.replay(options); command != "" {
		t.add(Plain, " To list all: ")
		t.add(Code, command)
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
