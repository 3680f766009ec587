package campaign

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

const (
	// label is how a message begins that may repeat another.
	label = "(may repeat)\n"
	// forms is how many forms of a message there are: a plan is given up after
	// as many refusals.
	forms = 4
	// gap is the least time between two requests to a chat.
	gap = 1100 * time.Millisecond
	// jitter is by how much two requests can be closer together where they
	// arrive than where they were sent: the gate, in a process that is busy, may
	// look at the first one late. After a restart the notifier reads the machine's
	// uptime, which has hundredths of a second, twice.
	jitter = 100 * time.Millisecond
)

// faults lists what should not have happened, if anything.
func (e evidence) faults() []string {
	var all []string
	for sink := range e.limits {
		all = append(all, e.uncovered(sink)...)
		all = append(all, e.unlabelled(sink)...)
		all = append(all, e.hasty(sink)...)
	}
	return append(append(all, e.lost()...), e.misrecorded()...)
}

// lost are alerts that did not even get into their stream once.
func (e evidence) lost() []string {
	var all []string
	stored := make(map[string]int)
	for _, a := range e.alerts {
		stored[a.id]++
	}
	for _, id := range e.published {
		if stored[id] != 1 {
			all = append(all, fmt.Sprintf("alert %s is in its stream %d times", id, stored[id]))
		}
	}
	return all
}

// uncovered are alerts that no accepted message is about and that are not dead
// letters, and alerts that were to be left out and were not.
func (e evidence) uncovered(sink string) []string {
	covered := make(map[place][]proto.Delivery)
	for _, d := range e.ledger {
		for _, run := range d.Ranges {
			for s := run.First; d.Sink == sink && s <= run.Last; s++ {
				at := place{cmp.Or(run.Stream, proto.StreamAlerts), s}
				covered[at] = append(covered[at], d)
			}
		}
	}
	deadLetters := 0
	for _, l := range e.dead {
		if isLane(sink, l.stream, l.durable) {
			deadLetters++
			covered[l.place] = append(covered[l.place], proto.Delivery{Kind: "dead letter", MayRepeat: true})
		}
	}
	var all []string
	if deadLetters > 0 && e.refusals(sink, time.Time{}, time.Now()) < forms {
		all = append(all, fmt.Sprintf("%s: %d dead letters, though the chat has not refused any message in every form", sink, deadLetters))
	}
	for _, a := range e.alerts {
		by := covered[a.place]
		switch {
		case a.severity < e.least && len(by) > 0:
			all = append(all, fmt.Sprintf("%s: alert %d of severity %s was delivered", sink, a.sequence, a.severity))
		case a.severity >= e.least && len(by) == 0:
			all = append(all, fmt.Sprintf("%s: alert %d (%s, %s) was not delivered", sink, a.sequence, a.id, a.severity))
		}
		for i, d := range by {
			if i > 0 && !d.MayRepeat {
				all = append(all, fmt.Sprintf("%s: alert %d is in the ledger again with message %s, unmarked", sink, a.sequence, d.MessageID))
			}
		}
	}
	return all
}

// unlabelled are messages that repeat an earlier one and do not say so.
func (e evidence) unlabelled(sink string) []string {
	var all []string
	known := make(map[string]bool)
	for _, id := range e.published {
		known[id[:12]] = true
	}
	shown := make(map[string]int64)
	var orphan *telegramtest.Message // accepted, but the notifier does not know it
	for _, m := range e.messages {
		if e.sinkOf(strconv.FormatInt(m.Chat, 10)) != sink {
			continue
		}
		text, labelled := strings.CutPrefix(m.Text, label)
		for _, id := range idsIn(text, known) {
			if first, again := shown[id]; again && !labelled {
				all = append(all, fmt.Sprintf("%s: message %d shows alert %s, which message %d has shown, unlabelled", sink, m.ID, id, first))
			}
			shown[id] = m.ID
		}
		if orphan != nil {
			switch refused := e.refusals(sink, orphan.Time, m.Time); {
			case refused >= forms: // the plan was given up; this is another
			case !labelled:
				all = append(all, fmt.Sprintf("%s: message %d follows %d, whose outcome was lost, unlabelled:\n%s", sink, m.ID, orphan.ID, m.Text))
			case refused == 0 && text != strings.TrimPrefix(orphan.Text, label):
				all = append(all, fmt.Sprintf("%s: message %d is not the same as %d, which it repeats:\n%s\n%s", sink, m.ID, orphan.ID, m.Text, orphan.Text))
			}
		}
		orphan = nil
		if !slices.ContainsFunc(e.ledger, func(d proto.Delivery) bool { return d.Sink == sink && isOf(d, m) }) {
			orphan = &m
		}
	}
	if orphan != nil && e.refusals(sink, orphan.Time, time.Now()) < forms {
		all = append(all, fmt.Sprintf("%s: message %d was accepted and is not in the ledger", sink, orphan.ID))
	}
	return all
}

// idsIn are the known ids in a text, each once.
func idsIn(text string, known map[string]bool) []string {
	var ids []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }) {
		if known[word] && !slices.Contains(ids, word) {
			ids = append(ids, word)
		}
	}
	return ids
}

func isOf(d proto.Delivery, m telegramtest.Message) bool {
	return d.Chat == strconv.FormatInt(m.Chat, 10) && d.MessageID == strconv.FormatInt(m.ID, 10)
}

// refusals counts the messages of a sink that were refused for what they say.
func (e evidence) refusals(sink string, from, to time.Time) int {
	n := 0
	for _, q := range e.requests {
		if e.sinkOf(q.Chat) == sink && strings.HasPrefix(q.Fault, "error 400") && q.Time.After(from) && q.Time.Before(to) {
			n++
		}
	}
	return n
}

// misrecorded are records of the ledger that do not agree with what the chat got.
func (e evidence) misrecorded() []string {
	var all []string
	for _, d := range e.ledger {
		i := slices.IndexFunc(e.messages, func(m telegramtest.Message) bool { return isOf(d, m) })
		if i < 0 {
			all = append(all, fmt.Sprintf("%s: the ledger has message %s to %s, which the chat never got", d.Sink, d.MessageID, d.Chat))
			continue
		}
		m := e.messages[i]
		if labelled := strings.HasPrefix(m.Text, label); labelled != d.MayRepeat {
			all = append(all, fmt.Sprintf("%s: message %d has a label: %t, the ledger says %t", d.Sink, m.ID, labelled, d.MayRepeat))
		}
		if d.Kind == proto.DeliveryDigest && !strings.Contains(m.Text, fmt.Sprintf("%d alerts", d.Alerts)) {
			all = append(all, fmt.Sprintf("%s: message %d does not count %d alerts:\n%s", d.Sink, m.ID, d.Alerts, m.Text))
		}
		for _, a := range e.alerts {
			if d.Kind == proto.DeliveryCards && d.Alerts == 1 && d.Covers(a.stream, a.sequence) && !strings.Contains(m.Text, a.id[:12]) {
				all = append(all, fmt.Sprintf("%s: message %d does not name alert %s:\n%s", d.Sink, m.ID, a.id, m.Text))
			}
		}
	}
	return all
}

// hasty are requests that came too soon after others, and limits of Telegram
// that were met.
func (e evidence) hasty(sink string) []string {
	var times []time.Time
	var all []string
	for _, a := range e.arrivals {
		switch e.sinkOf(a.chat) {
		case sink:
			times = append(times, a.at)
		case "":
			all = append(all, fmt.Sprintf("a request to chat %q, which nobody has configured", a.chat))
		}
	}
	slices.SortFunc(times, func(a, b time.Time) int { return a.Compare(b) })
	limit := e.limits[sink]
	for i, at := range times {
		if i >= 1 && at.Sub(times[i-1]) < gap-jitter {
			all = append(all, fmt.Sprintf("%s: a request %s after another", sink, at.Sub(times[i-1])))
		}
		if i >= limit && at.Sub(times[i-limit]) < time.Minute-jitter {
			all = append(all, fmt.Sprintf("%s: %d requests in %s", sink, limit+1, at.Sub(times[i-limit])))
		}
	}
	for _, q := range e.requests {
		if e.sinkOf(q.Chat) == sink && q.Fault == "" && q.Status == 429 {
			all = append(all, fmt.Sprintf("%s: request %d exceeds Telegram's own limits", sink, q.Serial))
		}
	}
	return all
}
