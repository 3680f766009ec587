// Package rules applies local rules to events before they are published: what an
// operator knows about a machine, and no sensor can.
//
//	normalize ─▶ Engine.Apply ─▶ encode ─▶ publish
//	              │  no rule names the event's kind: one map lookup
//	              └─ otherwise: the event as JSON, decoded once, each rule's
//	                 condition evaluated on it
//
// Every rule sees the event as the sensor's normalizer left it, so the order of
// rules matters only where two of them change the same thing: then the later one
// wins. A rule that matches leaves its name in the tags, as "rule:<name>".
//
// Dropping is narrow on purpose, because what is dropped is gone. A rule says up
// to which severity it may drop; the higher one of the event's own severity and
// of what the rules made of it counts, so lowering does not open the way to
// dropping, and raising closes it. A critical event, and the records in which the
// shipper accounts for bytes (kinds "gap" and "unparsed"), cannot be dropped.
package rules

import (
	"log/slog"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/expr"
)

// Engine applies the rules of one file. It may be used concurrently. The zero
// value has no rules.
type Engine struct {
	rules  []*rule
	byKind map[string][]*rule // in the file's order
	log    *slog.Logger
	failed atomic.Uint64
}

// Names are the rules' names, in the file's order.
func (g *Engine) Names() []string {
	names := make([]string, len(g.rules))
	for i, r := range g.rules {
		names[i] = r.name
	}
	return names
}

// Failed is how often a condition could not be evaluated, because an operator in
// it was given what it cannot work on. The rule does not match then; the first
// failure of each rule is logged.
func (g *Engine) Failed() uint64 { return g.failed.Load() }

// Apply changes e, a normalized event, as the rules that match it say, and
// returns their names. With drop, e must not be published. Of an event whose
// kind no rule names it costs a map lookup.
func (g *Engine) Apply(e *proto.Event) (drop bool, applied []string) {
	candidates := g.byKind[e.Kind]
	if len(candidates) == 0 {
		return false, nil
	}
	return g.apply(candidates, e)
}

func (g *Engine) apply(candidates []*rule, e *proto.Event) (drop bool, applied []string) {
	matched := g.matching(candidates, e)
	if len(matched) == 0 {
		return false, nil
	}
	severity, title := e.Severity, e.Title
	for _, r := range matched {
		r.change(e, title)
		applied = append(applied, r.name)
	}
	severity = max(severity, e.Severity)
	for _, r := range matched {
		drop = drop || r.drop != nil && severity <= *r.drop
	}
	return drop, applied
}

// matching returns those of candidates that match e.
func (g *Engine) matching(candidates []*rule, e *proto.Event) (matched []*rule) {
	needsDocument, needsRaw := false, false
	for _, r := range candidates {
		if r.of(e) {
			needsDocument = needsDocument || r.when != nil
			needsRaw = needsRaw || r.needsRaw
		}
	}
	var document map[string]any
	var err error
	if needsDocument {
		document, err = documentOf(e, needsRaw)
	}
	for _, r := range candidates {
		if !r.of(e) {
			continue
		}
		matches, matchErr := false, err
		if matchErr == nil || r.when == nil {
			matches, matchErr = r.match(document)
		}
		if matchErr != nil {
			g.fail(r, e, matchErr)
		} else if matches {
			matched = append(matched, r)
		}
	}
	return matched
}

// of says whether the rule is meant for e's source.
func (r *rule) of(e *proto.Event) bool {
	return r.source == "" || r.source == e.Source
}

// documentOf is the event as it would be published, without the sensor's own
// record unless that is needed.
func documentOf(e *proto.Event, needsRaw bool) (map[string]any, error) {
	view := *e
	if !needsRaw {
		view.Raw = nil
	}
	return expr.Decode(view.AppendJSON(nil),
		// What the normalizer has let pass must not switch off a rule.
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (g *Engine) fail(r *rule, e *proto.Event, err error) {
	g.failed.Add(1)
	r.failed.Do(func() {
		g.log.Warn("rule cannot be evaluated", "rule", r.name, "kind", e.Kind, "event_id", e.ID, "err", err)
	})
}
