package detect

import (
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
)

// pin is what is remembered of a client's tool: what it first meant, which later
// definitions are compared with, and what else it has been said to mean, so that
// observing reports each change once.
type pin struct {
	first known.Key
	told  []known.Key // the latest maxTold
}

// maxTold bounds the changes of one tool that are remembered.
const maxTold = 64

// drift compares what tools mean with what they meant at first. A change is reported
// once if it is observed, and each time if it is enforced, until the process ends. A
// definition that comes back is not reported, nor is one in another API's form.
func (d *Detector) drift(w *scratch, found *findings, scope known.Scope, tools []inspect.Tool) {
	mode := d.modes[ToolDrift]
	if mode == Off {
		return
	}
	add := func(detail string) {
		found.add(Finding{Rule: ToolDrift, Severity: proto.SeverityMedium, Where: InRequest, Detail: detail, Enforced: mode == Enforce})
	}
	for _, t := range tools {
		if t.Name == "" {
			continue // cannot be called, and would be taken for any other without a name
		}
		m := d.meaning(w, t.Definition)
		// The tools of a provider are apart from functions that are called like them.
		name := w.hash.Sum(w.hash.Sum(scope, []byte(m.kind)).Scope(), []byte(t.Name))
		if other, twice := w.defined[name]; twice && other != m.key {
			add("two tools of one name")
			continue
		}
		w.defined[name] = m.key
		report := false
		d.pins.Update(name, func(p pin, known bool) pin {
			switch {
			case !known:
				return pin{first: m.key}
			case m.key == p.first:
				return p
			case slices.Contains(p.told, m.key):
				report = mode == Enforce
				return p
			}
			report = true
			p.told = append(p.told[max(0, len(p.told)+1-maxTold):], m.key)
			return p
		})
		if report {
			add("a tool whose definition has changed")
		}
	}
}

// meaning is what a definition says, whichever API's form it has.
type meaning struct {
	key  known.Key
	kind string // of a tool that the provider runs; empty for a function
}

// meaning reads a definition, unless its very bytes have been read before: clients send
// them with every request.
func (d *Detector) meaning(w *scratch, definition []byte) meaning {
	raw := w.hash.Sum(0, definition)
	if m, ok := d.meanings.Get(raw); ok {
		return m
	}
	m := meaning{key: raw}
	if neutral, kind, ok := neutralTool(definition); ok {
		m = meaning{w.hash.Sum(1, neutral), kind}
	}
	d.meanings.Put(raw, m)
	return m
}
