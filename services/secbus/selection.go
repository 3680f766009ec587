package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// selection chooses events by their subject.
type selection struct {
	Severity proto.Severity `default:"info" placeholder:"LEVEL" help:"Least severity: info, low, medium, high or critical."`
	Source   string         `placeholder:"NAME" help:"Only this source, such as suricata."`
	Kind     string         `placeholder:"NAME" help:"Only this kind, such as alert or dns."`
	Host     string         `placeholder:"NAME" help:"Only this host."`
}

// matches reports whether an event under subject is selected. What is not on a
// subject of the bus is not.
func (s selection) matches(subject string) bool {
	p, err := proto.ParseSubject(subject)
	return err == nil &&
		p.Severity >= s.Severity &&
		(s.Source == "" || p.Source == proto.Slug(s.Source)) &&
		(s.Kind == "" || p.Kind == proto.Slug(s.Kind)) &&
		(s.Host == "" || p.Host == proto.Slug(s.Host))
}

// moment is a point in time, given as such (2026-11-22T07:00:00Z) or as how long
// ago it was (90s, 15m, 2h, 7d). The zero moment is not given.
type moment struct{ time.Time }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *moment) UnmarshalText(text []byte) error {
	s := string(text)
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		m.Time = at
		return nil
	}
	ago, err := time.ParseDuration(s)
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		ago = time.Duration(n * 24 * float64(time.Hour))
	}
	if err != nil || ago < 0 {
		return fmt.Errorf("%q is neither a time such as 2026-11-22T07:00:00Z nor how long ago, such as 15m, 2h or 7d", s)
	}
	m.Time = time.Now().Add(-ago)
	return nil
}
