package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean makes foreign text fit for one line of a terminal: everything that is
// not printable, or that changes the direction or the look of what stands
// around it, becomes a space or vanishes, and what is over limit runes is cut
// with an ellipsis.
func Clean(text string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		switch {
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r):
			r = ' '
		case unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs) || !unicode.IsPrint(r):
			continue // bidi overrides, zero-width, tags, private use
		}
		if n == limit {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}

// Escape makes foreign text of several lines fit for a terminal: a character that is
// not printable stands as JSON escapes it in a string (RFC 8259, section 7).
// Newlines stay.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r) // for an invalid byte, the replacement character
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// Size puts a number of bytes into words, in binary units.
func Size(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	div, exp := uint64(unit), 0
	for n/div >= unit {
		div, exp = div*unit, exp+1
	}
	return fmt.Sprintf("%.1f %ciB", float64(n)/float64(div), "KMGTPE"[exp])
}

// maxCell is how many runes of a cell a [Table] shows.
const maxCell = 600

// Table writes rows of cells in columns. Cells may hold foreign text.
type Table struct{ out *tabwriter.Writer }

// NewTable returns a table that is written to w; without a heading, the rows
// begin at once.
func NewTable(w io.Writer, heading ...any) *Table {
	t := &Table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(heading) > 0 {
		t.Row(heading...)
	}
	return t
}

// Row adds a row.
func (t *Table) Row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = Clean(fmt.Sprint(c), maxCell)
	}
	// The table keeps the text until End, which returns what fails.
	_, _ = fmt.Fprintln(t.out, strings.Join(texts, "\t"))
}

// End writes the table.
func (t *Table) End() error {
	if err := t.out.Flush(); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return nil
}
