package chain

import (
	"context"
	"crypto/sha256"
	"fmt"
)

// A message can be delivered again long after it was logged, so "is it in the
// log" has to be answered for all of the log, and with little memory. The stream's
// sequences alone cannot answer it:
//
//   - A message with a lower sequence than the log's last can be new: what a
//     process fetched and had not logged when it died comes back only after the
//     acknowledgement's time limit, when later messages have been logged.
//   - A message with a sequence that the log has can be new: a stream that has lost
//     its tail in a crash uses its sequences again, and so does one made anew.
//   - A message with a sequence that the log does not have can be old: what was
//     lost is published again, and can then stand one place further.
//
// Only the ids decide. Those of the newest segments, recentIDs records or more, are
// in memory: what a stream has lost and gets again was among its last messages. An
// older message that comes again has the sequence that it had: the segments that hold
// records from around that sequence are searched, and their ids are read from the
// disk once for a whole run of such messages. A record that both miss is in the log
// twice; none is ever left out because of its sequence alone.
type dedup struct {
	recent []idSet // of the newest segments, oldest first
	older  []idSet // the last ones that were read, at most olderSets
}

const (
	recentIDs = 1 << 16
	olderSets = 2
)

// idSet holds the ids of a segment's records, shortened to 128 bits.
type idSet struct {
	segment uint64
	ids     map[idKey]struct{}
}

type idKey [16]byte

func keyOf(id string) idKey {
	sum := sha256.Sum256([]byte(id))
	return idKey(sum[:])
}

func newIDSet(segment uint64) idSet { return idSet{segment, make(map[idKey]struct{})} }

func (s idSet) has(k idKey) bool {
	_, ok := s.ids[k]
	return ok
}

// begin adds a set for a new segment, and drops the oldest sets as long as enough ids
// remain.
func (d *dedup) begin(segment uint64, wanted int) {
	d.recent = append(d.recent, newIDSet(segment))
	n := 0
	for _, set := range d.recent {
		n += len(set.ids)
	}
	for n-len(d.recent[0].ids) >= wanted {
		n -= len(d.recent[0].ids)
		d.recent = append([]idSet(nil), d.recent[1:]...)
	}
}

func (d *dedup) add(id string) { d.recent[len(d.recent)-1].ids[keyOf(id)] = struct{}{} }

func (d *dedup) isRecent(k idKey) bool {
	for i := len(d.recent) - 1; i >= 0; i-- {
		if d.recent[i].has(k) {
			return true
		}
	}
	return false
}

// Missing returns those of records whose ids the log does not hold, each id once,
// in order. It may read segments, at 64 MiB a fraction of a second each, if
// messages come again that were logged long ago. Records that retention has
// removed are missing.
func (l *Log) Missing(records []Record) ([]Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	missing := make([]Record, 0, len(records))
	batch := newIDSet(0)
	for _, r := range records {
		k := keyOf(r.ID)
		if batch.has(k) || l.dedup.isRecent(k) {
			continue
		}
		old, err := l.isOld(k, r.StreamSeq)
		if err != nil {
			return nil, fmt.Errorf("looking for a record in the audit log: %w", err)
		}
		if !old {
			batch.ids[k] = struct{}{}
			missing = append(missing, r)
		}
	}
	return missing, nil
}

// isOld looks into the segments whose ids are not in memory. l.mu is held.
func (l *Log) isOld(k idKey, streamSeq uint64) (bool, error) {
	if len(l.dedup.recent) == 0 {
		return false, nil
	}
	for _, s := range l.segments {
		if s.number >= l.dedup.recent[0].segment {
			break
		}
		if !s.stream.has(streamSeq) {
			continue
		}
		set, err := l.olderSet(s.number)
		if err != nil {
			return false, err
		}
		if set.has(k) {
			return true, nil
		}
	}
	return false, nil
}

func (l *Log) olderSet(segment uint64) (idSet, error) {
	for _, set := range l.dedup.older {
		if set.segment == segment {
			return set, nil
		}
	}
	set := newIDSet(segment)
	c := newChecker(nil)
	c.skip()
	_, err := readSegment(context.Background(), l.dir, segment, c, func(r line) { set.ids[keyOf(r.record.ID)] = struct{}{} })
	if err != nil {
		return idSet{}, err
	}
	if len(l.dedup.older) == olderSets {
		l.dedup.older = l.dedup.older[1:]
	}
	l.dedup.older = append(l.dedup.older[:len(l.dedup.older):len(l.dedup.older)], set)
	return set, nil
}
