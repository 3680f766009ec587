package proto

import (
	"fmt"
	"strings"
)

// Severity is how bad an event is. The zero value is SeverityInfo.
type Severity uint8

// The severity scale, least first.
const (
	SeverityInfo Severity = iota
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityTokens = [...]string{"info", "low", "medium", "high", "critical"}

// Severities returns the scale, least first.
func Severities() []Severity {
	return []Severity{SeverityInfo, SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}
}

// SeveritiesOf returns those of the scale that a subject of the class can have.
func SeveritiesOf(class Class) []Severity {
	switch class {
	case ClassAlert:
		return Severities()[SeverityLow:]
	case ClassEvent:
		return Severities()[:SeverityLow]
	}
	return Severities()
}

// ParseSeverity reads a severity token ("info", "low", "medium", "high" or
// "critical").
func ParseSeverity(token string) (Severity, error) {
	for i, t := range severityTokens {
		if t == token {
			return Severity(i), nil
		}
	}
	return 0, fmt.Errorf("severity %q is none of %s", token, strings.Join(severityTokens[:], ", "))
}

// String returns the severity's token.
func (s Severity) String() string {
	if int(s) < len(severityTokens) {
		return severityTokens[s]
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// ID is the OCSF severity_id: 1 (informational) to 5 (critical).
func (s Severity) ID() int { return int(s) + 1 }

// Class is the subject class of an event of this severity: a detection is
// anything above info.
func (s Severity) Class() Class {
	if s > SeverityInfo {
		return ClassAlert
	}
	return ClassEvent
}

// MarshalText returns the token; a value outside the scale is an error.
func (s Severity) MarshalText() ([]byte, error) {
	if int(s) >= len(severityTokens) {
		return nil, fmt.Errorf("severity %d is outside the scale", uint8(s))
	}
	return []byte(severityTokens[s]), nil
}

// UnmarshalText reads a token.
func (s *Severity) UnmarshalText(text []byte) error {
	v, err := ParseSeverity(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}
