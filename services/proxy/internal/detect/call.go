package detect

import (
	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// ToolCall returns what is found in a tool call that a model makes in its
// answer to client. There are at most 32 findings, one of them enforced if any
// is.
func (d *Detector) ToolCall(client string, c llmapi.ToolCall) []Finding {
	w := d.borrow()
	defer d.giveBack(w)
	var found findings
	w.text = argumentText(w.text[:0], c.Arguments)
	w.shell = shellText(w.shell[:0], w.text)

	w.sweep.start(d.call)
	w.look(d.call, &w.sweep, w.text)
	for _, hit := range w.sweep.hits {
		p := &d.call.probes[hit]
		f := d.callFinding(p.rule, p.severity, p.detail)
		if p.rule == Secret {
			if !outboundTool.MatchString(c.Name) && !outboundCommand.Match(w.shell) {
				continue
			}
			if atHome(w.text, p.homes) {
				f.Severity, f.Enforced = proto.SeverityLow, false
			}
		}
		found.add(f)
	}

	w.sweep.start(d.commands)
	d.commands.look(&w.sweep, w.shell)
	for _, hit := range w.sweep.hits {
		p := &d.commands.probes[hit]
		found.add(d.callFinding(p.rule, p.severity, p.detail))
	}

	if d.modes[HiddenUnicode] != Off {
		if what := hidden(w.text); what != "" {
			found.add(d.callFinding(HiddenUnicode, proto.SeverityMedium, what))
		}
	}
	scope := w.hash.Sum(0, []byte(client)).Scope()
	if f, ok := d.loop.call(w.hash, scope, c, d.modes[RunawayLoop]); ok {
		found.add(f)
	}
	return found.list
}

func (d *Detector) callFinding(rule string, severity proto.Severity, detail string) Finding {
	return Finding{Rule: rule, Severity: severity, Where: InToolCall, Detail: detail, Enforced: d.modes[rule] == Enforce}
}
