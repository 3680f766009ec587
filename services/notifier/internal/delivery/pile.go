package delivery

import (
	"cmp"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// maxCards is how many alerts a message shows each by itself; repeated ones are
// one. More would not fit a chat's message in full.
const maxCards = 6

// member is an alert that waits, without its payload.
type member struct {
	digest.Alert
	key    key
	lane   int
	msg    *bus.Msg
	repeat bool // the same event is in the pile under another sequence
}

// pile is what is fetched from a lane and not acknowledged. Thousands of alerts
// are not held in full: the events of the first few groups are kept, for
// cards, and dropped when there are too many groups for that.
type pile struct {
	members    []member
	bySequence map[uint64]int
	keys       map[key]struct{}
	groups     map[digest.Key]*group
}

// group is what one card shows.
type group struct {
	event *proto.Event // the first one, nil if there are too many groups for cards
	count int
}

// add puts an alert on the pile; what is there already is not counted twice.
func (p *pile) add(lane int, m *bus.Msg, k key, e *proto.Event) {
	if p.keys == nil {
		p.bySequence, p.keys, p.groups = make(map[uint64]int), make(map[key]struct{}), make(map[digest.Key]*group)
	}
	// An alert is acknowledged by its reply subject alone.
	m.Data, m.Header = nil, nil
	if i, ok := p.bySequence[m.Sequence]; ok && p.members[i].key == k {
		p.members[i].msg = m
		return
	}
	alert := digest.Describe(e)
	_, repeat := p.keys[k]
	p.bySequence[m.Sequence] = len(p.members)
	p.keys[k] = struct{}{}
	p.members = append(p.members, member{alert, k, lane, m, repeat})
	if repeat {
		return
	}
	g, ok := p.groups[alert.Key]
	if !ok {
		g = &group{event: e}
		e.Raw = nil // the sensor's record is large, and no card shows it
		p.groups[alert.Key] = g
	}
	g.count++
	if len(p.groups) == maxCards+1 {
		for _, g := range p.groups {
			g.event = nil
		}
	}
	if len(p.groups) > maxCards {
		g.event = nil
	}
}

// few reports whether all of the pile can be cards.
func (p *pile) few() bool { return len(p.groups) <= maxCards }

func (p *pile) empty() bool { return len(p.members) == 0 }

// cards are the alerts of a pile of few groups, the most severe and then the
// oldest first.
func (p *pile) cards() []sink.Alert {
	var cards []sink.Alert
	for _, g := range p.groups {
		cards = append(cards, sink.Alert{Event: g.event, Count: g.count})
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

// takeAll empties the pile.
func (p *pile) takeAll() []member {
	all := p.members
	*p = pile{}
	return all
}

// takeGroup takes the alerts of one group off a pile of few.
func (p *pile) takeGroup(which digest.Key) []member {
	rest := pile{bySequence: make(map[uint64]int), keys: make(map[key]struct{}), groups: p.groups}
	var taken []member
	for _, m := range p.members {
		if m.Key == which {
			taken = append(taken, m)
			continue
		}
		rest.bySequence[m.msg.Sequence] = len(rest.members)
		rest.keys[m.key] = struct{}{}
		rest.members = append(rest.members, m)
	}
	delete(rest.groups, which)
	*p = rest
	return taken
}

// lowest is the least sequence in the pile.
func (p *pile) lowest() (sequence uint64, ok bool) {
	for _, m := range p.members {
		if !ok || m.msg.Sequence < sequence {
			sequence, ok = m.msg.Sequence, true
		}
	}
	return sequence, ok
}
