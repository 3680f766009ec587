package message

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// form is a way to write an alert, and what stands between two.
type form struct {
	write     func(sink.Alert) *Text
	separator string
}

// cards shows the alerts one by one, in the fullest form in which all of them
// fit. If they do not even in the last form, the critical ones go first and the
// others are counted.
func (w writer) cards(limit int) *Text {
	alerts := whole(w.batch.Alerts)
	if len(alerts) == 1 {
		if card := w.card(alerts[0]); w.size(card) <= limit {
			return card
		}
	}
	head := w.head(alerts)
	limit -= w.size(head) + 2
	for _, f := range []form{{w.card, "\n\n"}, {w.brief, "\n\n"}, {w.row, "\n"}, {w.name, "\n"}} {
		write := func(i int) *Text { return f.write(alerts[i]) }
		if t, ok := w.fit(len(alerts), write, f.separator, limit); ok {
			return joined("\n\n", head, t)
		}
	}
	return joined("\n\n", head, w.some(alerts, limit))
}

// whole is the alerts without what a reader of them could trip over.
func whole(alerts []sink.Alert) []sink.Alert {
	kept := make([]sink.Alert, len(alerts))
	for i, a := range alerts {
		kept[i] = sink.Alert{Event: a.Event, Count: max(a.Count, 1)}
		if a.Event == nil {
			kept[i].Event = &proto.Event{Title: "an alert without an event"}
		}
	}
	return kept
}

func (w writer) head(alerts []sink.Alert) *Text {
	total, of := tally(alerts)
	var t Text
	t.add(Bold, w.mark()+count(total, of))
	return &t
}

func tally(alerts []sink.Alert) (total int, of map[proto.Severity]int) {
	of = make(map[proto.Severity]int)
	for _, a := range alerts {
		total += a.Count
		of[a.Event.Severity] += a.Count
	}
	return total, of
}

// some shows as many alerts as fit, in their order, and counts the others.
func (w writer) some(alerts []sink.Alert, limit int) *Text {
	total, _ := tally(alerts)
	room := limit - w.size(w.hidden(total, "alert", "")) - 1
	order := make([]int, len(alerts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(alerts[b].Event.Severity) - int(alerts[a].Event.Severity)
	})
	shown := make([]*Text, len(alerts)+1)
	for _, i := range order {
		t := w.name(alerts[i])
		if room -= w.size(t) + 1; room < 0 {
			break
		}
		shown[i] = t
		total -= alerts[i].Count
	}
	shown[len(alerts)] = w.hidden(total, "alert", "")
	return joined("\n", shown...)
}

// name is the shortest form of an alert.
func (w writer) name(a sink.Alert) *Text {
	return plain(w.mark() + sign(a.Event.Severity) + " " + shortID(a.Event.ID) + times(a.Count))
}

// row is an alert in one line.
func (w writer) row(a sink.Alert) *Text {
	e := a.Event
	var t Text
	t.add(Plain, w.mark()+sign(e.Severity)+" ")
	t.add(Bold, w.Line(e.Title, 60)+times(a.Count))
	if about := w.shorten(w.entity(e), 40); about != "" {
		t.add(Plain, " · "+about)
	}
	t.add(Plain, " · "+shortID(e.ID))
	return &t
}

// brief is an alert in two or three lines.
func (w writer) brief(a sink.Alert) *Text {
	e := a.Event
	var last Text
	last.add(Plain, joinNonEmpty(" · ", e.Time.In(w.Zone).Format(timeFormat), w.container(e)))
	last.add(Plain, " · ")
	last.add(Code, shortID(e.ID))
	return joined("\n", w.title(a), monospaced(w.shorten(cmp.Or(w.flow(e), w.command(e), w.process(e)), fieldSize)), &last)
}

// card is everything about an alert that helps to judge it.
func (w writer) card(a sink.Alert) *Text {
	e := a.Event
	var details, trace Text
	details.add(Quote, w.details(e))
	trace.add(Code, "secbus trace "+shortID(e.ID))
	return joined("\n",
		w.title(a),
		plain(joinNonEmpty(" · ", e.Time.In(w.Zone).Format(timeFormat), w.Line(e.Source, 60)+" on "+w.Line(e.Host, 60))),
		monospaced(w.flow(e)),
		monospaced(w.passed(e)),
		monospaced(w.command(e)),
		plain(joinNonEmpty(" · ", labelled("Process: ", w.process(e)), labelled("Container: ", w.container(e)))),
		&details,
		&trace,
	)
}

func (w writer) title(a sink.Alert) *Text {
	e := a.Event
	var t Text
	t.add(Plain, w.mark()+sign(e.Severity)+" ")
	t.add(Bold, strings.ToUpper(e.Severity.String())+" · "+w.Line(e.Title, 200)+times(a.Count))
	return &t
}

func monospaced(s string) *Text {
	var t Text
	t.add(Code, s)
	return &t
}
