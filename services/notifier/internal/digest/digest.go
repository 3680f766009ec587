// Package digest folds many alerts into a few lines and exact counts.
package digest

import (
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Digest counts alerts. Its size does not depend on how many there are.
type Digest struct {
	Total      int
	Severities proto.SeverityCounts
	Sources    []Count // all of them, most first
	// Groups are the largest, the most severe first.
	Groups []Group
	// OtherGroups and OtherAlerts count what is in no group of Groups.
	OtherGroups, OtherAlerts int
	// Criticals are the alerts of severity critical, the first of each rule and
	// entity, oldest first: each is to have a line of its own.
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
	Entity      string // whom it is about: address, container, process
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
}
