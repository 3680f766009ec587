// Package selection chooses stored messages: by when they were stored, by their
// subject and by what is in them. The commands that read the bus and the requests
// that are about stored alerts choose alike.
package selection

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/internal/expr"
)

// Selection chooses messages for which all of it holds. Fields that are zero choose
// everything.
type Selection struct {
	From     time.Time      `json:"from,omitzero"` // stored at or after it
	To       time.Time      `json:"to,omitzero"`   // stored at or before it
	Severity proto.Severity `json:"severity"`      // the minimum
	Source   string         `json:"source,omitempty"`
	Kind     string         `json:"kind,omitempty"`
	Host     string         `json:"host,omitempty"`
	Matcher  string         `json:"matcher,omitempty"` // an expression about the event, as in docs/rules.md
}

// Compile makes the selection ready for matching, or says what is wrong with it.
func (s Selection) Compile() (*Matcher, error) {
	m := &Matcher{s: s}
	var errs []error
	if !s.From.IsZero() && !s.To.IsZero() && s.To.Before(s.From) {
		errs = append(errs, errors.New("the time range ends before it begins"))
	}
	if s.Matcher != "" {
		var err error
		if m.expr, err = expr.Compile(s.Matcher); err != nil {
			errs = append(errs, fmt.Errorf("the matcher %q: %w", s.Matcher, err))
		}
	}
	for _, name := range []*string{&m.s.Source, &m.s.Kind, &m.s.Host} {
		if *name != "" {
			*name = proto.Slug(*name)
		}
	}
	return m, errors.Join(errs...)
}

// Matcher is a compiled selection. It is safe for concurrent use.
type Matcher struct {
	s    Selection // with names as subjects have them
	expr *expr.Expr
}

// Match reports whether m is selected. What is not on a subject of the bus is not,
// and neither is what the matcher fails on.
func (x *Matcher) Match(m *bus.Stored) bool {
	s := x.s
	p, err := proto.ParseSubject(m.Subject)
	if err != nil || p.Severity < s.Severity ||
		s.Source != "" && p.Source != s.Source ||
		s.Kind != "" && p.Kind != s.Kind && p.Kind != proto.KindOther ||
		s.Host != "" && p.Host != s.Host ||
		m.Time.Before(s.From) || x.Past(m) {
		return false
	}
	byPayload := s.Kind != "" && p.Kind != s.Kind // whose kind is in the payload alone
	if x.expr == nil && !byPayload {
		return true
	}
	e, payload, err := consume.Decode(m.Subject, m.Data)
	if err != nil || byPayload && proto.Slug(e.Kind) != s.Kind {
		return false
	}
	if x.expr == nil {
		return true
	}
	document, err := expr.Decode(payload)
	if err != nil {
		return false
	}
	ok, err := x.expr.Match(document)
	return ok && err == nil
}

// Past reports whether m, and so everything behind it in its stream, was stored
// after the selection's time range.
func (x *Matcher) Past(m *bus.Stored) bool { return !x.s.To.IsZero() && m.Time.After(x.s.To) }

// Moment is a point in time, written as such (2026-11-22T07:00:00Z) or as how long
// ago it was (90s, 15m, 2h, 7d). The zero Moment is not given.
type Moment struct{ time.Time }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Moment) UnmarshalText(text []byte) error {
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
