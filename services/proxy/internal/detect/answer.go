package detect

const (
	// maxEscape is how much longer escapes make a text at most: \u0073.
	maxEscape = 6
	// slack is for the line ends in it.
	slack = 64
)

// Text looks at one answer's text as it streams. It is not safe for concurrent
// use.
type Text struct {
	detector *Detector
	sweep    sweep
	tail     []byte // of what was written, to be looked at again with what follows
}

// Answer returns a Text for one answer.
func (d *Detector) Answer() *Text {
	t := &Text{detector: d}
	t.sweep.start(d.answer)
	return t
}

// Write looks at the next part of the answer, together with the end of the last
// one, and returns what it finds, each thing once in an answer.
func (t *Text) Write(text []byte) []Finding {
	d := t.detector
	if len(d.answer.probes) == 0 || len(text) == 0 {
		return nil
	}
	w := d.borrow()
	defer d.giveBack(w)
	w.text = append(append(w.text[:0], t.tail...), text...)
	t.sweep.hits = t.sweep.hits[:0]
	w.look(d.answer, &t.sweep, w.text)
	t.tail = append(t.tail[:0], w.text[max(len(w.text)-d.carry, 0):]...)

	var found findings
	for _, hit := range t.sweep.hits {
		p := &d.answer.probes[hit]
		found.add(Finding{Rule: p.rule, Severity: p.severity, Where: InResponse, Detail: p.detail, Enforced: d.modes[p.rule] == Enforce})
	}
	return found.list
}
