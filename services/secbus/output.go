package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
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

// print writes one message: its payload as it stands, or a line in words.
func (p printer) print(m *bus.Stored) error {
	line := p.mark + p.words(m)
	if p.json {
		line = string(m.Data)
	}
	if _, err := fmt.Fprintln(p.out, line); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return nil
}

func (p printer) words(m *bus.Stored) string {
	var e proto.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return fmt.Sprintf("%s #%d cannot be decoded: %v", m.Subject, m.Sequence, err)
	}
	return p.style.Line(&e)
}

// printJSON writes v as one indented JSON document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// orDash is words for a column of a table.
func orDash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}
