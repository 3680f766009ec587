package detect

import (
	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/detect/seen"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
)

// pin is what is remembered of a client's tool: its first definition, which
// later ones are compared with, and the last one that was told about, so that
// observing tells of a change once.
type pin struct{ first, told seen.Key }

// drift compares tools with their first definitions. A change is told once if
// it is observed, and each time if it is enforced, until the process ends or
// the first definition is sent again.
func (d *Detector) drift(w *work, found *findings, scope seen.Scope, tools []inspect.Tool) {
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
		name := w.hash.Sum(scope, []byte(t.Name))
		definition := w.hash.Sum(scope, t.Definition)
		if other, twice := w.defined[name]; twice && other != definition {
			add("two tools of one name")
			continue
		}
		w.defined[name] = definition
		tell := false
		d.pins.Update(name, func(p pin, known bool) pin {
			if !known {
				return pin{definition, definition}
			}
			tell = definition != p.first && (mode == Enforce || definition != p.told)
			p.told = definition
			return p
		})
		if tell {
			add("a tool whose definition has changed")
		}
	}
}
