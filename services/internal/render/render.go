// Package render puts an event into words for a person at a terminal: one line,
// or a card of a few. Text that a sensor took from the wire is data: control
// characters, bidirectional overrides and invisible characters are taken out,
// so that it can neither drive the terminal nor look like another line.
package render

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/openclaw-security/bus/proto"
)

// Max runes shown of one foreign string.
const (
	maxTitle = 200
	maxField = 120
)

// Style says how to render.
type Style struct {
	Color bool
	Zone  *time.Location // nil for UTC
}

// Line renders e as one line without its newline:
//
//	07:09:03 CRITICAL suricata  OPENCLAW cloud metadata service access  172.17.0.2:44886 → 169.254.169.254:80  rule 9900001
func (s Style) Line(e *proto.Event) string {
	var b strings.Builder
	b.WriteString(s.dim(e.Time.In(s.zone()).Format("15:04:05")))
	b.WriteByte(' ')
	b.WriteString(s.severity(e.Severity, fmt.Sprintf("%-8s", strings.ToUpper(e.Severity.String()))))
	fmt.Fprintf(&b, " %-9s ", Clean(e.Source, maxField))
	b.WriteString(Clean(e.Title, maxTitle))
	for _, detail := range []string{flow(e), process(e), rule(e)} {
		if detail != "" {
			b.WriteString("  ")
			b.WriteString(s.dim(detail))
		}
	}
	return b.String()
}

// Card renders e as a few lines, the last without its newline:
//
//	CRITICAL  OPENCLAW cloud metadata service access from container
//	          2026-11-22 07:09:03 UTC · suricata alert on lab · rule 9900001 (Attempted User Privilege Gain) · allowed
//	          172.17.0.2:44886 → 169.254.169.254:80 · GET 169.254.169.254/latest/meta-data/iam
//	          MITRE ATT&CK T1552.005 Cloud Instance Metadata API
//	          id 0c7d…
func (s Style) Card(e *proto.Event) string {
	const indent = "          "
	var b strings.Builder
	b.WriteString(s.severity(e.Severity, fmt.Sprintf("%-8s", strings.ToUpper(e.Severity.String()))))
	b.WriteString("  ")
	b.WriteString(s.bold(Clean(e.Title, maxTitle)))
	for _, parts := range [][]string{
		{
			e.Time.In(s.zone()).Format("2006-01-02 15:04:05 MST"),
			fmt.Sprintf("%s %s on %s", Clean(e.Source, maxField), Clean(e.Kind, maxField), Clean(e.Host, maxField)),
			ruleInFull(e),
			Clean(e.Action, maxField),
		},
		{flow(e), what(e)},
		{process(e), command(e), container(e)},
		{mitre(e)},
		{lost(e)},
	} {
		if line := joinNonEmpty(parts, " · "); line != "" {
			b.WriteString("\n" + indent + line)
		}
	}
	b.WriteString("\n" + indent + s.dim("id "+Clean(e.ID, maxField)))
	return b.String()
}

func (s Style) zone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

func flow(e *proto.Event) string {
	src, dst := endpoint(e.Src), endpoint(e.Dst)
	switch {
	case src == "" && dst == "":
		return ""
	case src == "":
		return "→ " + dst
	case dst == "":
		return src
	}
	return src + " → " + dst
}

func endpoint(p *proto.Endpoint) string {
	switch {
	case p == nil:
		return ""
	case p.Path != "":
		return Clean(p.Path, maxField)
	}
	name := p.IP
	if name == "" {
		name = p.Hostname
	}
	if name = Clean(name, maxField); p.Port == 0 || name == "" {
		return name
	}
	return net.JoinHostPort(name, strconv.Itoa(p.Port))
}

// what says what passed over the connection.
func what(e *proto.Event) string {
	switch {
	case e.HTTP != nil && (e.HTTP.Hostname != "" || e.HTTP.Path != ""):
		return Clean(strings.TrimSpace(e.HTTP.Method+" "+e.HTTP.Hostname+e.HTTP.Path), maxField)
	case e.DNS != nil && len(e.DNS.Names) > 0:
		return "DNS " + Clean(strings.Join(e.DNS.Names, ", "), maxField)
	case e.TLS != nil && e.TLS.SNI != "":
		return "TLS " + Clean(e.TLS.SNI, maxField)
	}
	return ""
}

func process(e *proto.Event) string {
	p := e.Process
	if p == nil || p.Name == "" && p.Executable == "" {
		return ""
	}
	name := p.Name
	if name == "" {
		name = p.Executable
	}
	name = Clean(name, maxField)
	if p.PID != 0 {
		name += fmt.Sprintf("[%d]", p.PID)
	}
	return name
}

func command(e *proto.Event) string {
	switch {
	case e.Process != nil && len(e.Process.Args) > 0:
		return Clean(strings.Join(e.Process.Args, " "), maxField)
	case e.File != nil:
		return Clean(e.File.Path, maxField)
	}
	return ""
}

func container(e *proto.Event) string {
	c := e.Container
	switch {
	case c == nil:
		return ""
	case c.Name != "":
		return "container " + Clean(c.Name, maxField)
	case c.ID != "":
		return "container " + Clean(c.ID, 12)
	}
	return ""
}

func rule(e *proto.Event) string {
	if e.Rule == nil {
		return ""
	}
	return "rule " + Clean(e.Rule.ID, maxField)
}

func ruleInFull(e *proto.Event) string {
	text := rule(e)
	if text != "" && e.Rule.Category != "" {
		text += " (" + Clean(e.Rule.Category, maxField) + ")"
	}
	return text
}

func mitre(e *proto.Event) string {
	var all []string
	for _, t := range e.MITRE {
		if text := joinNonEmpty([]string{t.ID, t.Name}, " "); text != "" {
			all = append(all, Clean(text, maxField))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "MITRE ATT&CK " + strings.Join(all, ", ")
}

func lost(e *proto.Event) string {
	switch {
	case e.Gap != nil:
		return Clean(e.Gap.Reason, maxField)
	case e.Line != nil:
		return Clean(e.Line.Reason, maxField)
	}
	return ""
}

func joinNonEmpty(parts []string, separator string) string {
	kept := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, separator)
}

// ANSI select-graphic-rendition sequences (ECMA-48, 8.3.117).
const (
	reset = "\x1b[0m"
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
)

func severityColor(s proto.Severity) string {
	switch s {
	case proto.SeverityCritical:
		return "\x1b[1;97;41m" // white on red
	case proto.SeverityHigh:
		return "\x1b[1;31m"
	case proto.SeverityMedium:
		return "\x1b[33m"
	case proto.SeverityLow:
		return "\x1b[36m"
	default:
		return dim
	}
}

func (s Style) severity(v proto.Severity, text string) string {
	return s.paint(severityColor(v), text)
}
func (s Style) bold(text string) string { return s.paint(bold, text) }
func (s Style) dim(text string) string  { return s.paint(dim, text) }

func (s Style) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return color + text + reset
}

// IsTerminal reports whether a person is looking at f.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// ForFile is the style to write to f with: local time, and color only on a
// terminal whose user has not set NO_COLOR (https://no-color.org).
func ForFile(f *os.File, lookupEnv func(string) (string, bool)) Style {
	noColor, _ := lookupEnv("NO_COLOR")
	return Style{Color: noColor == "" && IsTerminal(f), Zone: time.Local}
}
