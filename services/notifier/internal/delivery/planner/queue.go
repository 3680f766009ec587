package planner

import (
	"cmp"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// maxCards is how many alerts a message shows each by itself; repeated ones are
// one. More would not fit a chat's message in full.
const maxCards = 6

// Lane is one of the two delivery queues of a chat.
type Lane int

// The lanes.
const (
	Urgent  Lane = iota // high and critical alerts
	Routine             // the rest
)

// String is the lane's name in logs and metrics.
func (l Lane) String() string { return [...]string{"urgent", "routine"}[l] }

// Member is an alert that waits, without its payload.
type Member struct {
	digest.Alert

	EventKey store.Key
	Msg      *bus.Msg
	Stored   time.Time
	Repeat   bool // the same event is in the queue under another sequence
}

// place is where an alert is stored.
type place struct {
	stream   string
	sequence uint64
}

// origin is the durable that an alert was fetched from.
type origin struct{ stream, durable string }

func placeOf(m *bus.Msg) place   { return place{m.Stream, m.Sequence} }
func originOf(m *bus.Msg) origin { return origin{m.Stream, m.Durable} }

// Queue is the pending queue of a lane: the alerts that were fetched for it and are
// neither in a plan nor acknowledged. Thousands of alerts are not held in full: the events
// of a few groups are kept, for cards, and dropped when there are too many groups
// for that. Those of critical alerts are kept longer: a few are shown as cards,
// even if many other alerts are in the queue. The zero Queue is empty.
type Queue struct {
	members []Member
	byPlace map[place]int
	keys    map[store.Key]int // the first member with that key
	fetched map[origin]int    // how many members are from a durable
	groups  map[digest.Key]*group

	criticals int  // groups of critical alerts
	many      bool // there were too many groups for cards
	manyCrits bool // and too many critical ones
}

// group is what one card shows.
type group struct {
	event *proto.Event // the first one, nil if there are too many groups for cards
	count int
}

// Add puts an alert into the queue; one that is there already is not counted twice.
func (q *Queue) Add(m *bus.Msg, k store.Key, e *proto.Event) {
	// An alert is acknowledged by its reply subject alone.
	m.Data, m.Header = nil, nil
	if i, ok := q.byPlace[placeOf(m)]; ok && q.members[i].EventKey == k {
		q.members[i].Msg = m
		return
	}
	q.put(Member{EventKey: k, Msg: m, Stored: m.Stored}, e)
}

// Len is how many alerts wait.
func (q *Queue) Len() int { return len(q.members) }

// Fetched is how many of them were fetched from a durable of a stream.
func (q *Queue) Fetched(stream, durable string) int { return q.fetched[origin{stream, durable}] }

// Oldest is when the first of them was stored; those of several streams are in the
// queue as they were fetched.
func (q *Queue) Oldest() (stored time.Time, ok bool) {
	for i, m := range q.members {
		if i == 0 || m.Stored.Before(stored) {
			stored = m.Stored
		}
	}
	return stored, !q.Empty()
}

func (q *Queue) put(m Member, e *proto.Event) {
	m.Alert = digest.Describe(e)
	_, m.Repeat = q.keys[m.EventKey]
	q.append(m)
	if m.Repeat {
		return
	}
	g, ok := q.groups[m.Key]
	if !ok {
		g = new(group)
		q.groups[m.Key] = g
		q.retain(g, m.Key, e)
	}
	g.count++
}

// append adds a member and what finds it.
func (q *Queue) append(m Member) {
	if q.keys == nil {
		q.byPlace, q.keys, q.fetched = make(map[place]int), make(map[store.Key]int), make(map[origin]int)
	}
	if q.groups == nil {
		q.groups = make(map[digest.Key]*group)
	}
	at := len(q.members)
	q.members = append(q.members, m)
	q.byPlace[placeOf(m.Msg)] = at
	q.fetched[originOf(m.Msg)]++
	if _, ok := q.keys[m.EventKey]; !ok {
		q.keys[m.EventKey] = at
	}
}

// retain holds the event of a new group as long as a card may show it.
func (q *Queue) retain(g *group, k digest.Key, e *proto.Event) {
	if isCritical(k) {
		q.criticals++
	}
	if !q.many && len(q.groups) > maxCards {
		q.many = true
		q.forget(func(k digest.Key) bool { return !isCritical(k) })
	}
	if !q.manyCrits && q.criticals > maxCards {
		q.manyCrits = true
		q.forget(anyKey)
	}
	if !q.many || isCritical(k) && !q.manyCrits {
		e.Raw = nil // the sensor's record is large, and no card shows it
		g.event = e
	}
}

func (q *Queue) forget(which func(digest.Key) bool) {
	for k, g := range q.groups {
		if which(k) {
			g.event = nil
		}
	}
}

func isCritical(k digest.Key) bool { return k.Severity == proto.SeverityCritical }

func anyKey(digest.Key) bool { return true }

// few reports whether the whole queue can be shown as cards.
func (q *Queue) few() bool { return !q.many }

// Hurries reports whether there are critical alerts that can be shown as cards.
func (q *Queue) Hurries() bool { return q.criticals > 0 && !q.manyCrits }

// Empty reports whether nothing waits.
func (q *Queue) Empty() bool { return len(q.members) == 0 }

// cards are the alerts of some groups, few enough for that, by severity and then
// by age.
func (q *Queue) cards(which func(digest.Key) bool) []sink.Alert {
	var cards []sink.Alert
	for k, g := range q.groups {
		if which(k) {
			cards = append(cards, sink.Alert{Event: g.event, Count: g.count})
		}
	}
	slices.SortFunc(cards, bySeverity)
	return cards
}

func bySeverity(a, b sink.Alert) int {
	return cmp.Or(
		cmp.Compare(b.Event.Severity, a.Event.Severity),
		a.Event.Time.Compare(b.Event.Time),
		cmp.Compare(a.Event.ID, b.Event.ID),
	)
}

// Drain empties the queue and returns what was in it.
func (q *Queue) Drain() []Member {
	all := q.members
	*q = Queue{}
	return all
}

// remove removes the alerts of some groups and returns them.
func (q *Queue) remove(which func(digest.Key) bool) []Member {
	rest := Queue{groups: q.groups, criticals: q.criticals, many: q.many, manyCrits: q.manyCrits}
	var removed []Member
	for _, m := range q.members {
		if which(m.Key) {
			removed = append(removed, m)
		} else {
			rest.append(m)
		}
	}
	for k := range rest.groups {
		if which(k) {
			delete(rest.groups, k)
			if isCritical(k) {
				rest.criticals--
			}
		}
	}
	if rest.Empty() {
		rest = Queue{}
	}
	*q = rest
	return removed
}

// Lowest is the lowest sequence of a stream in the queue.
func (q *Queue) Lowest(stream string) (sequence uint64, ok bool) {
	for p := range q.byPlace {
		if p.stream == stream && (!ok || p.sequence < sequence) {
			sequence, ok = p.sequence, true
		}
	}
	return sequence, ok
}
