package auditview

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/internal/render"
)

// maxCell is how many runes of a cell a table shows.
const maxCell = 60

// column is a column of a table.
type column struct {
	name   string
	right  bool // aligned
	width  int  // min, where rows are not known beforehand
	hidden bool
}

func number(name string) column { return column{name: name, right: true, width: len(name)} }

// table writes rows of cells, as text or CSV. The first error is kept, and ends it.
type table struct {
	w       io.Writer
	csv     *csv.Writer // nil for text
	columns []column
	rows    [][]string // that are yet to be aligned; nil where they flow
	flowing bool
	notes   []string
	err     error
}

func newTable(w io.Writer, format Format, columns ...column) *table {
	t := &table{w: w, columns: columns}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	switch format {
	case CSV:
		t.csv = csv.NewWriter(w)
		t.err = t.csv.Write(names)
	case Text:
		t.row(names...)
	default:
		t.err = fmt.Errorf("there is no format %q", format)
	}
	return t
}

// flow makes rows be written as they come, in columns of fixed width.
func (t *table) flow() {
	t.flowing = true
	rows := t.rows
	t.rows = nil
	for _, cells := range rows {
		t.print(cells)
	}
}

func (t *table) row(cells ...string) {
	switch {
	case t.err != nil:
	case t.csv != nil:
		for i, c := range cells {
			if !t.columns[i].right {
				cells[i] = defuse(c)
			}
		}
		t.err = t.csv.Write(cells)
	default:
		for i, c := range cells {
			cells[i] = render.Clean(c, maxCell)
		}
		if t.flowing {
			t.print(cells)
		} else {
			t.rows = append(t.rows, cells)
		}
	}
}

// note is a line below the table.
func (t *table) note(text string) { t.notes = append(t.notes, render.Clean(text, 1000)) }

func (t *table) time(at time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	if t.csv != nil {
		return at.In(zone).Format(time.RFC3339Nano)
	}
	return at.In(zone).Format("2006-01-02 15:04:05")
}

func (t *table) end() error {
	if t.csv != nil && t.err == nil {
		t.csv.Flush()
		t.err = t.csv.Error()
	}
	t.align()
	for _, cells := range t.rows {
		t.print(cells)
	}
	for _, note := range t.notes {
		t.line(note)
	}
	if t.err != nil {
		return fmt.Errorf("writing the table: %w", t.err)
	}
	return nil
}

// align finds out how wide columns are, and which of them say nothing.
func (t *table) align() {
	for i := range t.columns {
		c := &t.columns[i]
		c.hidden = c.right && len(t.rows) > 1
		for n, cells := range t.rows {
			c.width = max(c.width, utf8.RuneCountInString(cells[i]))
			if n > 0 && strings.Trim(cells[i], "0.") != "" {
				c.hidden = false
			}
		}
	}
}

func (t *table) print(cells []string) {
	var b strings.Builder
	for i, c := range cells {
		if t.columns[i].hidden {
			continue
		}
		if i > 0 {
			b.WriteString("  ")
		}
		pad := strings.Repeat(" ", max(t.columns[i].width-utf8.RuneCountInString(c), 0))
		if t.columns[i].right {
			b.WriteString(pad + c)
		} else {
			b.WriteString(c + pad)
		}
	}
	t.line(strings.TrimRight(b.String(), " "))
}

func (t *table) line(text string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.w, text+"\n")
	}
}

// defuse keeps a spreadsheet from taking text for a formula
// (https://owasp.org/www-community/attacks/CSV_Injection): an apostrophe in front
// makes it text there.
func defuse(cell string) string {
	switch first, _ := utf8.DecodeRuneInString(strings.TrimLeft(cell, " ")); first {
	case '=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠':
		return "'" + cell
	}
	return cell
}

// writeJSON writes v as a document, or as a line if indent is "".
func writeJSON(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
