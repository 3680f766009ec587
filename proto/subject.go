package proto

import (
	"errors"
	"fmt"
	"strings"
)

// Class is the second token of a subject: what sort of record it is, and with
// that, which stream holds it.
type Class string

// The classes.
const (
	ClassAlert Class = "alert" // a detection: any severity above info
	ClassEvent Class = "event" // telemetry: severity info
	ClassAudit Class = "audit" // an LLM request seen by the proxy
)

// The first tokens: clients publish under IngestPrefix; the server alone
// publishes under StoredPrefix. Under ReplayPrefix the operator sends stored
// events once more to its subscribers, and under QueryPrefix services reply to
// requests; nothing there is stored.
const (
	IngestPrefix = "ingest"
	StoredPrefix = "security"
	ReplayPrefix = "replay"
	QueryPrefix  = "query"
)

// MaxTokenLength bounds each token of a subject, in bytes.
const MaxTokenLength = 63

// ErrSubject is wrapped by every error about a malformed subject.
var ErrSubject = errors.New("malformed subject")

// Subject is a subject of the bus without its first token:
//
//	<ingest|security>.<class>.<host>.<source>.<kind>.<severity>
//
// It always has six tokens, each of [a-z0-9_-], so that one wildcard pattern
// serves permissions, fencing, checkpoints and filters.
type Subject struct {
	Class    Class
	Host     string
	Source   string
	Kind     string
	Severity Severity
}

// NewSubject builds a valid subject from foreign words: host, source and kind
// are passed through [Slug], and the class follows from the severity.
func NewSubject(host, source, kind string, severity Severity) Subject {
	return Subject{
		Class:    severity.Class(),
		Host:     Slug(host),
		Source:   Slug(source),
		Kind:     Slug(kind),
		Severity: severity,
	}
}

// Ingest is the subject to publish to.
func (s Subject) Ingest() string { return s.join(IngestPrefix) }

// Stored is the subject under which the server stores and republishes.
func (s Subject) Stored() string { return s.join(StoredPrefix) }

func (s Subject) join(prefix string) string {
	return prefix + "." + string(s.Class) + "." + s.Host + "." + s.Source + "." + s.Kind + "." + s.Severity.String()
}

// Validate says what is wrong with the subject, wrapping [ErrSubject].
func (s Subject) Validate() error {
	switch s.Class {
	case ClassAlert, ClassEvent, ClassAudit:
	default:
		return fmt.Errorf("%w: class %q is none of alert, event, audit", ErrSubject, s.Class)
	}
	for _, t := range []struct{ name, token string }{
		{"host", s.Host},
		{"source", s.Source},
		{"kind", s.Kind},
	} {
		if !validToken(t.token) {
			return fmt.Errorf("%w: %s %q is not 1 to %d characters of [a-z0-9_-]", ErrSubject, t.name, t.token, MaxTokenLength)
		}
	}
	if s.Severity > SeverityCritical {
		return fmt.Errorf("%w: %s", ErrSubject, s.Severity)
	}
	if s.Class != ClassAudit && s.Class != s.Severity.Class() {
		return fmt.Errorf("%w: severity %s does not belong to class %s", ErrSubject, s.Severity, s.Class)
	}
	return nil
}

// ParseSubject reads an ingest or stored subject. Errors wrap [ErrSubject].
func ParseSubject(subject string) (Subject, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 6 {
		return Subject{}, fmt.Errorf("%w: %q has %d tokens, not 6", ErrSubject, subject, len(tokens))
	}
	if tokens[0] != IngestPrefix && tokens[0] != StoredPrefix {
		return Subject{}, fmt.Errorf("%w: %q begins with neither %q nor %q", ErrSubject, subject, IngestPrefix, StoredPrefix)
	}
	severity, err := ParseSeverity(tokens[5])
	if err != nil {
		return Subject{}, fmt.Errorf("%w: %w", ErrSubject, err)
	}
	s := Subject{Class: Class(tokens[1]), Host: tokens[2], Source: tokens[3], Kind: tokens[4], Severity: severity}
	if err := s.Validate(); err != nil {
		return Subject{}, err
	}
	return s, nil
}

// SourceFilter matches all that one source on one host has stored. It is the
// unit of fencing: a source's last message under it is the source's checkpoint.
// Both words are passed through [Slug].
func SourceFilter(host, source string) string {
	return StoredPrefix + ".*." + Slug(host) + "." + Slug(source) + ".>"
}

// Slug turns a foreign word into a valid subject token: lower case, every run
// of other characters replaced by one hyphen, cut to [MaxTokenLength] bytes. A
// word of which nothing is left becomes "unknown". A valid token is unchanged.
func Slug(word string) string {
	if validToken(word) {
		return word
	}
	b := make([]byte, 0, min(len(word), MaxTokenLength))
	for i := 0; i < len(word) && len(b) < MaxTokenLength; i++ {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case tokenByte(c):
			b = append(b, c)
		case len(b) > 0 && b[len(b)-1] != '-':
			b = append(b, '-')
		}
	}
	if s := strings.TrimRight(string(b), "-"); s != "" {
		return s
	}
	return "unknown"
}

func validToken(s string) bool {
	if s == "" || len(s) > MaxTokenLength {
		return false
	}
	for i := range len(s) {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return true
}

func tokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
