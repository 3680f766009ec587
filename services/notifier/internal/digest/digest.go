// Package digest folds many alerts into a few lines and exact counts.
package digest

import (
	"cmp"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Digest counts alerts. Its size does not depend on how many there are.
type Digest struct {
	Total      int
	Severities proto.SeverityCounts
	Sources    []Count // all of them, the largest first
	// Groups are the largest, by severity.
	Groups []Group
	// OtherGroups and OtherAlerts count what is in no group of Groups.
	OtherGroups, OtherAlerts int
	// Criticals are the alerts of severity critical, the first of each title and
	// entity. One of each source and signature comes first, the rare before the
	// frequent, and the others by age: titles and entities may hold an attacker's
	// words, so that any number of them can be made up. Among both, the sources take
	// turns: one whose key is stolen makes up signatures too, but no other source.
	Criticals []Critical
}

// Count is a name and how often it came.
type Count struct {
	Name  string
	Count int
}

// Group is what is alike in severity, source, rule and entity.
type Group struct {
	Severity    proto.Severity
	Source      string
	Rule        string // the signature's title
	Entity      string // what it is about: address, container, process
	Count       int
	First, Last time.Time
}

// Critical is one alert that a digest names.
type Critical struct {
	ID     string
	Time   time.Time
	Source string
	Rule   string
	Entity string
	Count  int // how often the same came in this digest
	Of     int // how many have its source and signature, in the first of them; else 0

	signature signature
	turn      int // of its origin
}

// Bounds of the foreign strings in a digest, in bytes.
const (
	maxName = 64
	maxText = 200
)

// Describe returns what a digest needs of e. It holds none of e's memory
// but for strings of bounded size.
//
// The entity is the container where there is one, because an agent's tools run
// in containers; then the process, then the address that began it, then the host.
func Describe(e *proto.Event) Alert {
	a := Alert{ID: clip(e.ID, maxName), Time: e.Time}
	a.Severity = e.Severity
	a.Source = clip(e.Source, maxName)
	a.Host = clip(e.Host, maxName)
	a.Signature = clip(e.Kind, maxName)
	if e.Rule != nil && e.Rule.ID != "" {
		a.Signature = clip(e.Rule.ID, maxName)
	}
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
