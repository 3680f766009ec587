package detect

import (
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/detect/seen"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
)

// Request returns what is found in a client's request. What was found in a
// segment is told when the client first sends it, and each time if it is
// enforced. There are at most 32 findings, one of them enforced if any is.
func (d *Detector) Request(client string, r *inspect.Request) []Finding {
	w := d.borrow()
	defer d.giveBack(w)
	scope := w.hash.Sum(0, []byte(client)).Scope()
	var found findings
	for i := range r.Segments {
		if s := &r.Segments[i]; len(s.Text) > 0 {
			d.segment(w, &found, scope, s)
		}
	}
	d.drift(w, &found, scope, r.Tools)
	if f, ok := d.loop.request(w.hash, scope, d.modes[RunawayLoop]); ok {
		found.add(f)
	}
	return found.list
}

// segment looks at s unless the client has sent it before.
func (d *Detector) segment(w *work, found *findings, scope seen.Scope, s *inspect.Segment) {
	foreign := s.Role == inspect.RoleTool || s.Role == inspect.RoleOther || s.Kind == inspect.KindData
	if foreign {
		scope++ // more rules look at it than at the same text from the user
	}
	key := w.hash.Sum(scope, s.Text)
	list, known := d.segments.Get(key)
	if !known {
		list = d.examine(w, s.Text, foreign)
		d.segments.Put(key, slices.DeleteFunc(slices.Clone(list), func(f Finding) bool { return !f.Enforced }))
	}
	for _, f := range list {
		f.Path = s.Path()
		found.add(f)
	}
}

func (d *Detector) examine(w *work, text []byte, foreign bool) []Finding {
	var list []Finding
	add := func(rule string, severity proto.Severity, detail string) {
		list = append(list, Finding{Rule: rule, Severity: severity, Where: InRequest, Detail: detail, Enforced: d.modes[rule] == Enforce})
	}
	w.sweep.start(d.request)
	w.look(d.request, &w.sweep, text)
	for _, hit := range w.sweep.hits {
		if p := &d.request.probes[hit]; foreign || !p.foreign {
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
