package shipper

import (
	"encoding/json"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
)

// storedLines are the lines beyond the place where reading goes on that are in one of
// the two streams already, because a process ended in the middle of a round. They
// are known by the ids of their events, and so are skipped even if local rules would
// treat them otherwise now. Until the last of each generation of the file has been read
// again, reading has to begin at the same place should the process be killed again.
type storedLines struct {
	ids  map[string]bool
	last map[string]int64 // where the last one of a generation begins
}

// newStoredLines takes what [publish.RunPair] has read back, with the payloads that
// [keepOrigin] has left.
func newStoredLines(beyond []*bus.Stored) *storedLines {
	s := &storedLines{ids: make(map[string]bool), last: make(map[string]int64)}
	for _, m := range beyond {
		s.ids[m.Header.Get(proto.HeaderEventID)] = true
		var e stored
		if subject, err := proto.ParseSubject(m.Subject); err != nil || subject.Kind == proto.KindGap {
			continue // another gap, or none, may be found at the second reading
		}
		if json.Unmarshal(m.Data, &e) != nil || e.Origin == nil {
			continue // an alarm, for which no line stands
		}
		s.last[e.Origin.Generation] = max(s.last[e.Origin.Generation], e.Origin.Offset)
	}
	return s
}

// stored is what has to be known of an event that is stored.
type stored struct {
	Origin *proto.Origin `json:"origin"`
}

// keepOrigin takes all but the origin of its line from a message that was read back.
func keepOrigin(m *bus.Stored) {
	var e stored
	if json.Unmarshal(m.Data, &e) != nil {
		e.Origin = nil
	}
	m.Data, _ = json.Marshal(e) // strings and numbers always encode
}

// has reports whether the event of this id is stored.
func (s *storedLines) has(id string) bool { return s.ids[id] }

// take reports whether the event that a line has become is stored, and notes that the
// line has been read.
func (s *storedLines) take(id string, line *follow.Line) bool {
	if last, ok := s.last[line.Generation]; ok && (line.Start >= last || line.Kind == follow.Gap) {
		delete(s.last, line.Generation)
	}
	return s.ids[id]
}

// pending reports whether stored lines are still to be read again.
func (s *storedLines) pending() bool { return len(s.last) > 0 }

// giveUp notes that there is nothing left to read: the files of the stored lines that
// have not been met are gone.
func (s *storedLines) giveUp() { clear(s.last) }
