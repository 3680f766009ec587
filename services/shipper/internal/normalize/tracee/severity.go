package tracee

import (
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// escapeToHost is the MITRE ATT&CK technique that ends a container's isolation.
const escapeToHost = "T1611"

// severity follows the table in the package comment; without a detection it is
// info.
func (d *detection) severity() proto.Severity {
	switch {
	case d == nil:
		return proto.SeverityInfo
	case !d.level.known || d.level.value < 0:
		return proto.SeverityMedium // a detection, but of unreadable severity
	}
	switch d.level.value {
	case 0:
		return proto.SeverityInfo
	case 1:
		return proto.SeverityLow
	case 2:
		return proto.SeverityMedium
	case 3:
		if id, _, _ := strings.Cut(d.technique.ID, "."); id != escapeToHost {
			return proto.SeverityHigh
		}
	}
	return proto.SeverityCritical
}
