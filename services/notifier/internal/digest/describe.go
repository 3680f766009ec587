package digest

import (
	"cmp"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Bounds of what a digest keeps of foreign strings, in bytes.
const (
	maxName = 64
	maxText = 200
)

// Describe returns what a digest needs of e. It keeps none of e's memory alive
// but for strings of bounded size.
//
// The entity is the container where there is one, because an agent's tools run
// in containers; then the process, then the address that began it, then the host.
func Describe(e *proto.Event) Alert {
	a := Alert{ID: clip(e.ID, maxName), Time: e.Time}
	a.Severity = e.Severity
	a.Source = clip(e.Source, maxName)
	a.Rule = clip(e.Title, maxText)
	a.Entity = clip(entity(e), maxText)
	return a
}

func entity(e *proto.Event) string {
	if c := e.Container; c != nil && (c.Name != "" || c.ID != "") {
		return cmp.Or(c.Name, c.ID[:min(len(c.ID), 12)])
	}
	if p := e.Process; p != nil && (p.Executable != "" || p.Name != "") {
		return cmp.Or(p.Executable, p.Name)
	}
	if s := e.Src; s != nil && (s.IP != "" || s.Hostname != "" || s.Path != "") {
		return cmp.Or(s.IP, s.Hostname, s.Path)
	}
	return e.Host
}

// clip cuts s to at most limit bytes of valid UTF-8.
func clip(s string, limit int) string {
	if len(s) > limit {
		s = strings.Clone(s[:limit])
	}
	return strings.ToValidUTF8(s, "")
}
