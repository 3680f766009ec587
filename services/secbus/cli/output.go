package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/internal/render"
)

// printer writes stored messages for a person or a machine.
type printer struct {
	out   *os.File
	json  bool
	style render.Style
	mark  string // put before each line for a person
}

func newPrinter(out *os.File, asJSON bool) printer {
	return printer{out: out, json: asJSON, style: render.ForFile(out, os.LookupEnv)}
}

// print writes one message: its payload as a line of JSON, or a line in words. Host
// and source are those of its subject.
func (p printer) print(m *bus.Stored) error {
	e, payload, err := consume.Decode(m.Subject, m.Data)
	line := p.mark
	switch {
	case p.json && err != nil:
		line = jsonLine(m.Data)
	case p.json:
		line = jsonLine(payload)
	case err != nil:
		line += render.Clean(fmt.Sprintf("%s #%d cannot be decoded: %v", m.Subject, m.Sequence, err), maxFault)
	default:
		line += p.style.Line(e)
	}
	if _, err := fmt.Fprintln(p.out, line); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return nil
}

// maxFault is how many characters of a message that cannot be decoded are shown.
const maxFault = 300

// jsonLine is a stored payload as one line of JSON. One that is not JSON is a string of
// it. What is not printable is escaped, wherever the line goes: it means the same to a
// program, and a file may be shown on a terminal later.
func jsonLine(payload []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, payload) != nil {
		b.Reset()
		text, _ := json.Marshal(string(payload)) // a string can always be encoded
		b.Write(text)
	}
	return render.Escape(b.String())
}

// printJSON writes v as one indented JSON document, escaped as [jsonLine] does.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, render.Escape(b.String()))
	return err
}

// orDash is words for a column of a table.
func orDash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}
