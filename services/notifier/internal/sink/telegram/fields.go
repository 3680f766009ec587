package telegram

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Most code units of a field of a card, and of one that tends to be long.
const (
	fieldSize = 120
	longSize  = 320
)

// flowOf is from where to where.
func flowOf(e *proto.Event) string {
	src, dst := endpoint(e.Src), endpoint(e.Dst)
	if src == "" || dst == "" {
		return labelled("→ ", dst) + src
	}
	return src + " → " + dst
}

func endpoint(p *proto.Endpoint) string {
	switch {
	case p == nil:
		return ""
	case p.Path != "":
		return line(p.Path, fieldSize)
	}
	address := p.IP
	if address == "" {
		address = p.Hostname
	}
	if address != "" && p.Port != 0 {
		address = net.JoinHostPort(address, strconv.Itoa(p.Port))
	}
	if p.IP != "" && p.Hostname != "" && p.Hostname != p.IP {
		address += " (" + p.Hostname + ")"
	}
	return line(address, fieldSize)
}

// passedOf is what passed over the connection.
func passedOf(e *proto.Event) string {
	switch {
	case e.HTTP != nil && (e.HTTP.Hostname != "" || e.HTTP.Path != ""):
		return line(e.HTTP.Method+" "+e.HTTP.Hostname+e.HTTP.Path, longSize)
	case e.DNS != nil && len(e.DNS.Names) > 0:
		return line("DNS "+e.DNS.RRType+" "+first(e.DNS.Names), longSize)
	case e.TLS != nil && e.TLS.SNI != "":
		return line("TLS "+e.TLS.SNI, longSize)
	}
	return ""
}

// commandOf is what was run, or the file that it was about.
func commandOf(e *proto.Event) string {
	switch {
	case e.Process != nil && len(e.Process.Args) > 0:
		return line(strings.Join(e.Process.Args[:min(len(e.Process.Args), 256)], " "), longSize)
	case e.File != nil:
		return line(e.File.Path, longSize)
	case e.Process != nil:
		return line(e.Process.Executable, longSize)
	}
	return ""
}

func processOf(e *proto.Event) string {
	p := e.Process
	if p == nil || p.Name == "" && p.Executable == "" {
		return ""
	}
	s := line(firstOf(p.Name, p.Executable), fieldSize)
	if p.PID != 0 {
		s += fmt.Sprintf(", pid %d", p.PID)
	}
	if p.UID != nil {
		s += fmt.Sprintf(", uid %d", *p.UID)
	}
	return s
}

func containerOf(e *proto.Event) string {
	c := e.Container
	if c == nil {
		return ""
	}
	id := ""
	if c.ID != "" {
		id = shortID(c.ID)
	}
	name := line(c.Name, 60)
	if name == "" || id == "" {
		return name + id
	}
	return name + " (" + id + ")"
}

// entityOf is whom it is about, in a few words.
func entityOf(e *proto.Event) string {
	if e.Dst != nil {
		if to := endpoint(e.Dst); to != "" {
			return "→ " + to
		}
	}
	if e.Process != nil && e.Process.Name != "" {
		return line(e.Process.Name, fieldSize)
	}
	return firstOf(endpoint(e.Src), containerOf(e))
}

// detailsOf is what explains an alert, a line each.
func detailsOf(e *proto.Event) string {
	var all []string
	if r := e.Rule; r != nil {
		all = append(all, "Rule "+joinNonEmpty(" · ", line(r.ID, 60), line(r.Name, fieldSize), line(r.Category, fieldSize)))
	}
	for i, t := range e.MITRE {
		if i == 3 {
			all = append(all, fmt.Sprintf("and %s more", plural(len(e.MITRE)-i, "technique")))
			break
		}
		if s := line(t.ID+" "+t.Name, fieldSize); s != "" {
			all = append(all, "MITRE ATT&CK "+joinNonEmpty(" · ", s, line(t.Tactic, 40)))
		}
	}
	if e.Action != "" {
		all = append(all, labelled("Action: ", line(e.Action, 60)))
	}
	if e.File != nil && e.File.SHA256 != "" {
		all = append(all, labelled("SHA-256: ", line(e.File.SHA256, 64)))
	}
	if e.Container != nil {
		all = append(all, labelled("Image: ", line(e.Container.Image, fieldSize)))
	}
	if e.Gap != nil {
		all = append(all, labelled("Lost: ", line(e.Gap.Reason, fieldSize)))
	}
	if e.Line != nil {
		all = append(all, labelled("Line: ", line(e.Line.Reason, fieldSize)))
	}
	if len(e.Tags) > 0 {
		all = append(all, labelled("Tags: ", line(first(e.Tags), fieldSize)))
	}
	return joinNonEmpty("\n", all...)
}

// first is the beginning of a list that can be long.
func first(list []string) string { return strings.Join(list[:min(len(list), 8)], ", ") }

func labelled(label, s string) string {
	if s == "" {
		return ""
	}
	return label + s
}

func joinNonEmpty(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}
