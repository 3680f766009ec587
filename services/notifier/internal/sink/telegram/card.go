package telegram

import (
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// form is a way to write an alert, and what stands between two.
type form struct {
	write     func(sink.Alert) *text
	separator string
}

// cards shows the alerts one by one, in the fullest form in which all of them
// fit. If they do not even in the last form, the critical ones go first and the
// others are counted.
func (w writer) cards(limit int) *text {
	alerts := whole(w.batch.Alerts)
	if len(alerts) == 1 {
		if card := w.card(alerts[0]); card.units <= limit {
			return card
		}
	}
	head := w.head(alerts)
	limit -= head.units + 2
	for _, f := range []form{{w.card, "\n\n"}, {w.brief, "\n\n"}, {w.row, "\n"}, {w.name, "\n"}} {
		write := func(i int) *text { return f.write(alerts[i]) }
		if t, ok := fit(len(alerts), write, f.separator, limit); ok {
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

func (w writer) head(alerts []sink.Alert) *text {
	total, of := tally(alerts)
	var t text
	t.styled(bold, w.mark()+count(total, of))
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
func (w writer) some(alerts []sink.Alert, limit int) *text {
	total, _ := tally(alerts)
	room := limit - w.hidden(total, "alert", "").units - 1
	order := make([]int, len(alerts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(alerts[b].Event.Severity) - int(alerts[a].Event.Severity)
	})
	shown := make([]*text, len(alerts)+1)
	for _, i := range order {
		t := w.name(alerts[i])
		if room -= t.units + 1; room < 0 {
			break
		}
		shown[i] = t
		total -= alerts[i].Count
	}
	shown[len(alerts)] = w.hidden(total, "alert", "")
	return joined("\n", shown...)
}

// name is the least that an alert is named by.
func (w writer) name(a sink.Alert) *text {
	return textOf(w.mark() + sign(a.Event.Severity) + " " + shortID(a.Event.ID) + times(a.Count))
}

// row is an alert in one line.
func (w writer) row(a sink.Alert) *text {
	e := a.Event
	var t text
	t.plain(w.mark() + sign(e.Severity) + " ")
	t.styled(bold, line(e.Title, 60)+times(a.Count))
	if about := shorten(entityOf(e), 40); about != "" {
		t.plain(" · " + about)
	}
	t.plain(" · " + shortID(e.ID))
	return &t
}

// brief is an alert in two or three lines.
func (w writer) brief(a sink.Alert) *text {
	e := a.Event
	var last text
	last.plain(joinNonEmpty(" · ", e.Time.In(w.zone).Format(timeFormat), containerOf(e)))
	last.plain(" · ")
	last.styled(code, shortID(e.ID))
	return joined("\n", w.title(a), monospaced(shorten(firstOf(flowOf(e), commandOf(e), processOf(e)), fieldSize)), &last)
}

// card is everything about an alert that helps to judge it.
func (w writer) card(a sink.Alert) *text {
	e := a.Event
	var details, trace text
	details.styled(quote, detailsOf(e))
	trace.styled(code, "secbus trace "+shortID(e.ID))
	return joined("\n",
		w.title(a),
		textOf(joinNonEmpty(" · ", e.Time.In(w.zone).Format(timeFormat), line(e.Source, 60)+" on "+line(e.Host, 60))),
		monospaced(flowOf(e)),
		monospaced(passedOf(e)),
		monospaced(commandOf(e)),
		textOf(joinNonEmpty(" · ", labelled("Process: ", processOf(e)), labelled("Container: ", containerOf(e)))),
		&details,
		&trace,
	)
}

func (w writer) title(a sink.Alert) *text {
	e := a.Event
	var t text
	t.plain(w.mark() + sign(e.Severity) + " ")
	t.styled(bold, strings.ToUpper(e.Severity.String())+" · "+line(e.Title, 200)+times(a.Count))
	return &t
}

func monospaced(s string) *text {
	var t text
	t.styled(code, s)
	return &t
}
