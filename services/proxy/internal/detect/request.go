package detect

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
)

// Request returns what is found in a client's request. What was found in a
// segment is reported when the client first sends it, and each time if it is
// enforced. There are at most 32 findings, one of them enforced if any is. Once ctx is
// done, nothing more is looked at.
func (d *Detector) Request(ctx context.Context, client string, r *inspect.Request) []Finding {
	w := d.borrow()
	defer d.giveBack(w)
	scope := w.hash.Sum(0, []byte(client)).Scope()
	var found findings
	for i := range r.Segments {
		if s := &r.Segments[i]; len(s.Text) > 0 && ctx.Err() == nil {
			d.segment(ctx, w, &found, scope, s)
		}
	}
	d.references(w, &found, scope, r.References)
	d.drift(w, &found, scope, r.Tools)
	if r.Part {
		return found.list
	}
	if f, ok := d.loop.request(w.hash, scope, d.modes[RunawayLoop]); ok {
		found.add(f)
	}
	return found.list
}

// segment looks at s unless the client has sent it before.
func (d *Detector) segment(ctx context.Context, w *scratch, found *findings, scope known.Scope, s *inspect.Segment) {
	client := scope
	foreign := s.Role == inspect.RoleTool || s.Role == inspect.RoleOther || s.Kind == inspect.KindData || s.Attached
	if foreign {
		scope++ // more rules look at it than at the same text from the user
	}
	key := w.hash.Sum(scope, s.Text)
	list, known := d.segments.Get(key)
	if !known {
		if list = d.examine(ctx, w, s.Text, foreign); ctx.Err() != nil {
			return // it has not been looked at as a whole
		}
		d.remember(w, client, s.Text)
		d.segments.Put(key, slices.DeleteFunc(slices.Clone(list), func(f Finding) bool { return !f.Enforced }))
	}
	for _, f := range list {
		f.Path = s.Path()
		found.add(f)
	}
}

func (d *Detector) examine(ctx context.Context, w *scratch, text []byte, foreign bool) []Finding {
	var list []Finding
	add := func(rule string, severity proto.Severity, detail string) {
		list = append(list, Finding{Rule: rule, Severity: severity, Where: InRequest, Detail: detail, Enforced: d.modes[rule] == Enforce})
	}
	w.scan.start(d.request)
	for piece := range pieces(text) {
		if ctx.Err() != nil {
			return nil
		}
		w.scan.secrets = w.scan.secrets[:0]
		w.run(d.request, &w.scan, piece)
		for _, l := range w.scan.secrets {
			if len(list) < maxFindings && l.Severity() >= proto.SeverityHigh { // anything less stands in every other text
				add(SecretInPrompt, proto.SeverityLow, l.Shape.Name)
			}
		}
	}
	for _, hit := range w.scan.hits {
		if p := &d.request.signatures[hit]; foreign || !p.foreign {
			add(p.rule, p.severity, p.detail)
		}
	}
	if d.modes[HiddenUnicode] != Off {
		if what := hidden(text); what != "" {
			add(HiddenUnicode, proto.SeverityMedium, what)
		}
	}
	return list
}

// Bounds of how much of a text is looked at together: undoing its escapes takes
// as much memory, for each request.
const (
	maxPiece = 1 << 20
	overlap  = 64 << 10 // more than anything that is looked for takes, in any form
)

// pieces cuts text into parts that overlap.
func pieces(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > maxPiece {
			if !yield(text[:maxPiece]) {
				return
			}
			text = text[maxPiece-overlap:]
		}
		yield(text)
	}
}

// references reports the content that a request only names. An alert for each turn
// of a conversation would say nothing new: of a client, each host and id is reported
// once, and of what changes with every turn, one.
func (d *Detector) references(w *scratch, found *findings, scope known.Scope, list []inspect.Reference) {
	mode := d.modes[RemoteContent]
	if mode == Off {
		return
	}
	for _, r := range list {
		f := Finding{
			Rule: RemoteContent, Severity: severityOf(r.Kind), Where: InRequest,
			Detail: fmt.Sprintf("%s, %.60q", r.Kind, r.Name), Enforced: mode == Enforce,
		}
		name := r.Name
		if r.Kind == inspect.RefResponse || r.Kind == inspect.RefItem {
			name = ""
		}
		key := w.hash.Sum(scope+2, fmt.Appendf(nil, "%s %s", r.Kind, name))
		if _, f.Repeated = d.remote.Get(key); !f.Repeated {
			d.remote.Put(key, struct{}{})
		}
		found.add(f)
	}
}

// severityOf is higher for what leads to a server that somebody else may own.
func severityOf(kind inspect.ReferenceKind) proto.Severity {
	switch kind {
	case inspect.RefURL, inspect.RefMCP, inspect.RefConnector:
		return proto.SeverityMedium
	default:
		return proto.SeverityLow
	}
}
