package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
)

// Bounds of what the index keeps of one request. The names of tools are the model's
// to choose: a request can hold hundreds that nobody has seen before, each of which would
// take rows and places in four tables and their indexes.
const (
	maxTools    = 64  // different ones of one request that are found by name
	maxNewTools = 16  // of these, that no request before had
	maxRowCalls = 512 // calls that are listed and counted
	maxRules    = 64  // different ones of the findings
)

// otherTools stands for the tools beyond the bounds.
const otherTools = "(other tools)"

// bound has the record keep to the bounds.
func (p *phase) bound(ctx context.Context, w *writer) error {
	changed, err := w.bound(ctx, p.audit)
	if err != nil || !changed {
		return err
	}
	if p.payload, err = json.Marshal(p.audit); err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	return nil
}

// bound has a keep to the bounds, and reports whether it had to change it. Tools that
// are known come first, so that a request cannot keep one of them from being found by
// calling others.
func (w *writer) bound(ctx context.Context, a *proto.Audit) (bool, error) {
	changed := false
	if len(a.Findings) > maxRules {
		a.Findings, changed = a.Findings[:maxRules:maxRules], true
	}
	if len(a.ToolCalls) <= maxNewTools {
		return changed, nil
	}
	if len(a.ToolCalls) > maxRowCalls {
		a.ToolCalls, changed = a.ToolCalls[:maxRowCalls:maxRowCalls], true
	}
	kept := make(map[string]bool)
	fresh := 0
	for _, wantKnown := range []bool{true, false} {
		for _, c := range a.ToolCalls {
			tool := toolOf(c)
			if kept[tool] || len(kept) == maxTools || !wantKnown && fresh == maxNewTools {
				continue
			}
			known, err := w.knows(ctx, tool)
			if err != nil {
				return false, err
			}
			if known == wantKnown {
				kept[tool] = true
				if !known {
					fresh++
				}
			}
		}
	}
	for i := range a.ToolCalls {
		if c := &a.ToolCalls[i]; !kept[toolOf(*c)] {
			c.Name, c.ID, changed = otherTools, "", true
		}
	}
	return changed, nil
}

// knows reports whether a request before has called the tool.
func (w *writer) knows(ctx context.Context, tool string) (bool, error) {
	if _, ok := w.tools[tool]; ok {
		return true, nil
	}
	var id int64
	switch err := w.findTool.QueryRowContext(ctx, tool).Scan(&id); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking for tool %q: %w", tool, err)
	}
	return true, nil
}
