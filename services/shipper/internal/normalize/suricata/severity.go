package suricata

import (
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// severity is the higher of the rule's priority and the severity in its
// metadata; the package comment has the table.
func (r *record) severity() proto.Severity {
	if r.Alert == nil {
		if r.EventType == "alert" {
			return proto.SeverityMedium // a detection, but unreadable
		}
		return proto.SeverityInfo
	}
	s := ofPriority(r.Alert.Severity)
	for _, word := range r.Alert.Metadata.SignatureSeverity {
		s = max(s, ofWord(word))
	}
	return s
}

func ofPriority(priority int64) proto.Severity {
	switch {
	case priority == 1:
		return proto.SeverityHigh
	case priority == 3:
		return proto.SeverityLow
	case priority > 3:
		return proto.SeverityInfo
	}
	return proto.SeverityMedium // 2, or a detection of unreadable priority
}

func ofWord(word string) proto.Severity {
	switch strings.ToLower(word) {
	case "critical":
		return proto.SeverityCritical
	case "major":
		return proto.SeverityHigh
	case "minor":
		return proto.SeverityLow
	}
	return proto.SeverityInfo
}
