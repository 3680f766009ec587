package detect

import (
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/spelled"
)

// ToolCall returns what is found in a tool call that a model makes in its
// answer to client. There are at most 32 findings, one of them enforced if any
// is.
func (d *Detector) ToolCall(client string, c llmapi.ToolCall) []Finding {
	w := d.borrow()
	defer d.giveBack(w)
	var found findings
	var valid bool
	w.text, valid = argumentText(w.text[:0], c.Arguments)
	w.shell = shellText(w.shell[:0], w.text)

	w.scan.start(d.call)
	w.run(d.call, &w.scan, w.text)
	w.run(d.call, &w.scan, []byte(c.Name))
	w.run(d.call, &w.scan, []byte(c.ID))
	for _, hit := range w.scan.hits {
		p := &d.call.signatures[hit]
		found.add(d.callFinding(p.rule, p.severity, p.detail))
	}
	if d.modes[Secret] != Off {
		d.secrets(&found, w, c, valid)
	}

	w.scan.start(d.commands)
	d.commands.run(&w.scan, w.shell)
	for _, hit := range w.scan.hits {
		p := &d.commands.signatures[hit]
		if (p.tool == nil || p.tool.MatchString(c.Name)) && !(p.reads && removes(c.Name)) {
			found.add(d.callFinding(p.rule, p.severity, p.detail))
		}
	}

	if d.modes[HiddenUnicode] != Off {
		if what := hidden(w.text); what != "" {
			found.add(d.callFinding(HiddenUnicode, proto.SeverityMedium, what))
		}
	}
	if c.Stored { // it was counted when it was made
		return found.list
	}
	scope := w.hash.Sum(0, []byte(client)).Scope()
	if f, ok := d.loop.call(w.hash, scope, c, d.modes[RunawayLoop]); ok {
		found.add(f)
	}
	return found.list
}

// HoldsValue reports whether one of the keys or canaries is in text, in any form.
func (d *Detector) HoldsValue(text []byte) bool {
	w := d.borrow()
	defer d.giveBack(w)
	w.scan.start(d.answer)
	w.run(d.answer, &w.scan, text)
	return len(w.scan.hits) > 0
}

// secrets adds the secrets in a call, if it heads for the network.
func (d *Detector) secrets(found *findings, w *scratch, c llmapi.ToolCall, valid bool) {
	secrets := secret.Find(c.Arguments, valid)
	if len(secrets) == 0 || !outboundTool.MatchString(c.Name) && !outboundCommand.Match(w.shell) {
		return
	}
	for _, s := range secrets {
		f := d.callFinding(Secret, s.Severity(), s.Shape.Name)
		if f.Severity < proto.SeverityHigh || atHome(w.text, s) {
			f.Severity, f.Enforced = proto.SeverityLow, false
		}
		found.add(f)
	}
}

func (d *Detector) callFinding(rule string, severity proto.Severity, detail string) Finding {
	return Finding{Rule: rule, Severity: severity, Where: InToolCall, Detail: detail, Enforced: d.modes[rule] == Enforce}
}

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
	scan     scan
	tail     []byte // of what was written, to be looked at again with what follows
	spelled  spelled.Text

	scope known.Scope // of the client
	shown bool        // to a person, so that links count
	links linkText
}

// Answer returns a Text for one answer to client. shown says that a person sees the text.
func (d *Detector) Answer(client string, shown bool) *Text {
	w := d.borrow()
	defer d.giveBack(w)
	t := &Text{detector: d, scope: w.hash.Sum(0, []byte(client)).Scope(), shown: shown && d.modes[LinkExfil] != Off}
	t.scan.start(d.answer)
	return t
}

// Write looks at the next part of the answer, together with the end of the last
// one, and returns what it finds, each thing once in an answer.
func (t *Text) Write(text []byte) []Finding {
	d := t.detector
	if len(d.answer.signatures) == 0 && !t.shown || len(text) == 0 {
		return nil
	}
	w := d.borrow()
	defer d.giveBack(w)
	t.scan.hits = t.scan.hits[:0]
	for part := range slices.Chunk(text, maxPiece) {
		w.text = append(append(w.text[:0], t.tail...), part...)
		for layer := range w.layers(w.text) {
			d.answer.run(&t.scan, layer)
		}
		value, _ := d.answer.spelled.Add(&t.spelled, part) // has a memory of its own
		d.answer.spell(&t.scan, value)
		t.tail = append(t.tail[:0], w.text[max(len(w.text)-d.carry, 0):]...)
	}

	var found findings
	for _, hit := range t.scan.hits {
		p := &d.answer.signatures[hit]
		found.add(Finding{Rule: p.rule, Severity: p.severity, Where: InResponse, Detail: p.detail, Enforced: d.modes[p.rule] == Enforce})
	}
	t.follow(w, &found, text, false)
	return found.list
}

// End returns what is found in a link that the text ends with. More may follow: some
// servers end a text more than once.
func (t *Text) End() []Finding {
	w := t.detector.borrow()
	defer t.detector.giveBack(w)
	var found findings
	t.follow(w, &found, nil, true)
	return found.list
}

func (t *Text) follow(w *scratch, found *findings, text []byte, last bool) {
	if !t.shown {
		return
	}
	t.links.write(text, last, func(link []byte, image bool) {
		t.detector.link(w, found, t.scope, link, image)
	})
}
