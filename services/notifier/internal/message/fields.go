package message

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Max units of a field of a card, and of one that tends to be long.
const (
	fieldSize = 120
	longSize  = 320
)

// flowOf is from where to where.
func (f Format) flow(e *proto.Event) string {
	src, dst := f.endpoint(e.Src), f.endpoint(e.Dst)
	if src == "" || dst == "" {
		return labelled("→ ", dst) + src
	}
	return src + " → " + dst
}

func (f Format) endpoint(p *proto.Endpoint) string {
	switch {
	case p == nil:
		return ""
	case p.Path != "":
		return f.Line(p.Path, fieldSize)
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
	return f.Line(address, fieldSize)
}

// passedOf is what passed over the connection.
func (f Format) passed(e *proto.Event) string {
	switch {
	case e.HTTP != nil && (e.HTTP.Hostname != "" || e.HTTP.Path != ""):
		return f.Line(e.HTTP.Method+" "+e.HTTP.Hostname+e.HTTP.Path, longSize)
	case e.DNS != nil && len(e.DNS.Names) > 0:
		return f.Line("DNS "+e.DNS.RRType+" "+first(e.DNS.Names), longSize)
	case e.TLS != nil && e.TLS.SNI != "":
		return f.Line("TLS "+e.TLS.SNI, longSize)
	}
	return ""
}

// commandOf is what was run, or the file that it was about.
func (f Format) command(e *proto.Event) string {
	switch {
	case e.Process != nil && len(e.Process.Args) > 0:
		return f.Line(strings.Join(e.Process.Args[:min(len(e.Process.Args), 256)], " "), longSize)
	case e.File != nil:
		return f.Line(e.File.Path, longSize)
	case e.Process != nil:
		return f.Line(e.Process.Executable, longSize)
	}
	return ""
}

func (f Format) process(e *proto.Event) string {
	p := e.Process
	if p == nil || p.Name == "" && p.Executable == "" {
		return ""
	}
	s := f.Line(cmp.Or(p.Name, p.Executable), fieldSize)
	if p.PID != 0 {
		s += fmt.Sprintf(", pid %d", p.PID)
	}
	if p.UID != nil {
		s += fmt.Sprintf(", uid %d", *p.UID)
	}
	return s
}

func (f Format) container(e *proto.Event) string {
	c := e.Container
	if c == nil {
		return ""
	}
	id := ""
	if c.ID != "" {
		id = shortID(c.ID)
	}
	name := f.Line(c.Name, 60)
	if name == "" || id == "" {
		return name + id
	}
	return name + " (" + id + ")"
}

// entity is what the event is about, in a few words.
func (f Format) entity(e *proto.Event) string {
	if e.Dst != nil {
		if to := f.endpoint(e.Dst); to != "" {
			return "→ " + to
		}
	}
	if e.Process != nil && e.Process.Name != "" {
		return f.Line(e.Process.Name, fieldSize)
	}
	return cmp.Or(f.endpoint(e.Src), f.container(e))
}

// detailsOf is what explains an alert, a line each.
func (f Format) details(e *proto.Event) string {
	var all []string
	if r := e.Rule; r != nil {
		all = append(all, "Rule "+joinNonEmpty(" · ", f.Line(r.ID, 60), f.Line(r.Name, fieldSize), f.Line(r.Category, fieldSize)))
	}
	for i, t := range e.MITRE {
		if i == 3 {
			all = append(all, fmt.Sprintf("and %s more", plural(len(e.MITRE)-i, "technique")))
			break
		}
		if s := f.Line(t.ID+" "+t.Name, fieldSize); s != "" {
			all = append(all, "MITRE ATT&CK "+joinNonEmpty(" · ", s, f.Line(t.Tactic, 40)))
		}
	}
	if e.Action != "" {
		all = append(all, labelled("Action: ", f.Line(e.Action, 60)))
	}
	if e.File != nil && e.File.SHA256 != "" {
		all = append(all, labelled("SHA-256: ", f.Line(e.File.SHA256, 64)))
	}
	if e.Container != nil {
		all = append(all, labelled("Image: ", f.Line(e.Container.Image, fieldSize)))
	}
	if e.Gap != nil {
		all = append(all, labelled("Lost: ", f.Line(e.Gap.Reason, fieldSize)))
	}
	if e.Line != nil {
		all = append(all, labelled("Line: ", f.Line(e.Line.Reason, fieldSize)))
	}
	if len(e.Tags) > 0 {
		all = append(all, labelled("Tags: ", f.Line(first(e.Tags), fieldSize)))
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
