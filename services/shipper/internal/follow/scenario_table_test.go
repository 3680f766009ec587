package follow

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The table of scenarios in docs/measurements.md stands between these.
const (
	tablePath  = "../../../../docs/measurements.md"
	tableBegin = "<!-- make follow-table -->\n"
	tableEnd   = "<!-- end -->\n"
)

// scenario is a row of the table that is not a scheme in a situation.
type scenario struct {
	name  string
	names scheme
	play  func(*stage)
	// lost says that lines are lost, and that a gap must say so.
	lost bool
	// falseGap allows a gap though nothing is lost.
	falseGap bool
	// unordered is so where several files are written at once.
	unordered bool
}

// scenarios are all rows of the table: each scheme of names in each situation, and
// the faults.
func scenarios() []scenario {
	var all []scenario
	for _, names := range schemes() {
		for _, s := range situations() {
			all = append(all, scenario{
				name: s.name, names: names, play: s.play,
				lost: names.unread, falseGap: names.unread,
			})
		}
	}
	return slices.Concat(all, faults(), strangers())
}

// TestScenarios plays every row with real files and counts what was stored. Lines
// may be lost only where a gap says so, and none are stored twice.
func TestScenarios(t *testing.T) {
	var table strings.Builder
	table.WriteString("| rotated names | what happens | lines | lost | doubled | gaps |\n|---|---|--:|--:|--:|--:|\n")
	for _, c := range scenarios() {
		names := c.names.name
		t.Run(names+"/"+c.name, func(t *testing.T) {
			s := newStage(t, c.names)
			s.cfg.Logger = failureLog(t)
			c.play(s)
			r := s.result()
			fmt.Fprintf(&table, "| %s | %s | %d | %d | %d | %d |\n", names, c.name, r.written, r.lost, r.doubled, r.gaps)
			switch {
			case r.lost > 0 && (r.gaps == 0 || !c.lost), r.doubled > 0:
				t.Errorf("%+v", r)
			case r.gaps > 0 && !c.lost && !c.falseGap:
				t.Errorf("%d gaps, though nothing can be lost: %q", r.gaps, s.gaps)
			case r.sameID > 0:
				t.Errorf("%d lines have the generation and offset of another", r.sameID)
			case r.misplaced > 0 && !c.unordered:
				t.Errorf("%d lines are out of order", r.misplaced)
			}
		})
	}
	if path := os.Getenv("TEST_TABLE"); path != "" {
		if err := os.WriteFile(path, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	doc, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), tableBegin)
	shown, _, found := strings.Cut(rest, tableEnd)
	if rows := strings.Count(table.String(), "\n") - 2; rows < 150 && rows == len(scenarios()) {
		t.Errorf("%d rows", rows)
	} else if rows == len(scenarios()) && (!found || shown != table.String()) {
		t.Errorf("%s does not show this table: `make follow-table` prints it", tablePath)
	}
}
