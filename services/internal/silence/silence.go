// Package silence keeps alerts from being sent for a time. It never keeps them
// from being stored: what is silenced is found with replay and counted in the
// next message.
//
//	secbus silence add ─▶ key "silences" of the bus's state ─▶ Keeper ─▶ is this alert silenced?
//	Silence button ─────▶
package silence

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/expr"
)

// Bounds of what is kept.
const (
	maxSilences = 200
	maxText     = 1000                    // bytes of a matcher, of a comment
	maxList     = proto.MaxState - 64<<10 // bytes of all as they are stored
)

// Silence says which alerts are not sent.
type Silence struct {
	ID      string    `json:"id"`
	Matcher string    `json:"matcher"` // an expression about the event, as in docs/rules.md
	Comment string    `json:"comment,omitempty"`
	By      string    `json:"by,omitempty"` // who set it
	Created time.Time `json:"created"`
	// Until is when it ends; zero for when it is removed. One without an end
	// does not hold critical alerts back: a forgotten silence must not hide them
	// for good.
	Until time.Time `json:"until,omitzero"`
}

// New returns a silence that begins now, or says what is wrong with it.
func New(matcher, comment, by string, now, until time.Time) (Silence, error) {
	s := Silence{Matcher: matcher, Comment: comment, By: by, Created: now.UTC(), Until: until.UTC()}
	if until.IsZero() {
		s.Until = time.Time{}
	}
	var errs []error
	if _, err := expr.Compile(matcher); err != nil {
		errs = append(errs, fmt.Errorf("the matcher %q: %w", matcher, err))
	}
	if strings.TrimSpace(matcher) == "" {
		errs = append(errs, errors.New(`the matcher is empty; one that holds everything back is: true`))
	}
	if len(matcher) > maxText || len(comment) > maxText {
		errs = append(errs, fmt.Errorf("matcher and comment may be %d bytes long each", maxText))
	}
	if !until.IsZero() && !until.After(now) {
		errs = append(errs, errors.New("it would end before it begins"))
	}
	if err := errors.Join(errs...); err != nil {
		return Silence{}, err
	}
	var id [4]byte
	rand.Read(id[:]) // never fails: crypto/rand aborts the program instead
	s.ID = hex.EncodeToString(id[:])
	return s, nil
}

// Active reports whether the silence is in force at a time.
func (s Silence) Active(at time.Time) bool { return s.Until.IsZero() || at.Before(s.Until) }

// List are the silences as they are stored.
type List []Silence

// With returns the list with s, without those that have ended.
func (l List) With(s Silence) (List, error) {
	next := slices.DeleteFunc(slices.Clone(l), func(old Silence) bool { return !old.Active(s.Created) })
	if len(next) >= maxSilences {
		return nil, fmt.Errorf("there are %d silences already; remove some", len(next))
	}
	next = append(next, s)
	data, err := json.Marshal(next)
	if err != nil {
		return nil, fmt.Errorf("writing the silences: %w", err)
	}
	if len(data) > maxList {
		return nil, fmt.Errorf("the silences would take %d bytes together, and %d are possible; remove some", len(data), maxList)
	}
	return next, nil
}

// Without returns the list without the silence id, and whether it was there.
func (l List) Without(id string) (List, bool) {
	next := slices.DeleteFunc(slices.Clone(l), func(s Silence) bool { return s.ID == id })
	return next, len(next) < len(l)
}

// Set is a list ready for matching. It is safe for concurrent use.
type Set struct{ matchers []matcher }

type matcher struct {
	Silence
	expr *expr.Expr
}

// Compile makes a list ready. A silence that cannot be compiled holds nothing
// back; the error names it. Neither does what is beyond the bounds of what With and New
// make: each alert is compared with every silence.
func Compile(l List) (*Set, error) {
	set := &Set{}
	var errs []error
	if len(l) > maxSilences {
		errs = append(errs, fmt.Errorf("there are %d silences, of which the first %d count", len(l), maxSilences))
		l = l[:maxSilences]
	}
	for _, s := range l {
		if len(s.Matcher) > maxText {
			errs = append(errs, fmt.Errorf("silence %.40q: a matcher of %d bytes", s.ID, len(s.Matcher)))
			continue
		}
		x, err := expr.Compile(s.Matcher)
		if err != nil {
			errs = append(errs, fmt.Errorf("silence %s: %w", s.ID, err))
			continue
		}
		set.matchers = append(set.matchers, matcher{s, x})
	}
	return set, errors.Join(errs...)
}

// Match returns the first silence in force at a time that holds an alert back,
// given its stored JSON. A matcher that fails on the alert does not match: in
// doubt an alert is sent.
func (s *Set) Match(severity proto.Severity, payload []byte, at time.Time) (Silence, bool) {
	var document map[string]any
	for _, m := range s.matchers {
		if !m.Active(at) || m.Until.IsZero() && severity >= proto.SeverityCritical {
			continue
		}
		if document == nil {
			var err error
			if document, err = expr.Decode(payload); err != nil {
				return Silence{}, false
			}
		}
		if ok, err := m.expr.Match(document); ok && err == nil {
			return m.Silence, true
		}
	}
	return Silence{}, false
}
