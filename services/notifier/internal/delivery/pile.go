package delivery

import (
	"cmp"
	"slices"
	"time"

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
	msg    *bus.Msg // nil while the alert was only heard of
	stored time.Time
	repeat bool // the same event is in the pile under another sequence
}

// pile is what is fetched from a lane and not acknowledged, and what was heard
// of before it can be fetched. Thousands of alerts are not held in full: the
// events of a few groups are kept, for cards, and dropped when there are too many
// groups for that. Those of critical alerts are kept longer: a few are shown as
// cards, whatever else is in the pile.
type pile struct {
	members    []member
	bySequence map[uint64]int
	keys       map[key]int // the first member with that key
	groups     map[digest.Key]*group

	heard     int  // members that were only heard of
	criticals int  // groups of critical alerts
	many      bool // there were too many groups for cards
	manyCrits bool // and too many critical ones
}

// group is what one card shows.
type group struct {
	event *proto.Event // the first one, nil if there are too many groups for cards
	count int
}

// add puts an alert on the pile; what is there already is not counted twice.
func (p *pile) add(lane int, m *bus.Msg, k key, e *proto.Event) {
	// An alert is acknowledged by its reply subject alone.
	m.Data, m.Header = nil, nil
	if i, ok := p.bySequence[m.Sequence]; ok && p.members[i].key == k {
		p.members[i].msg = m
		return
	}
	if i, ok := p.keys[k]; ok && p.members[i].msg == nil {
		p.members[i].msg = m
		p.bySequence[m.Sequence] = i
		p.heard--
		return
	}
	p.put(member{key: k, lane: lane, msg: m, stored: m.Stored}, e)
}

// hear puts an urgent alert on the pile of which there is no copy yet.
func (p *pile) hear(k key, stored time.Time, e *proto.Event) {
	if _, known := p.keys[k]; !known {
		p.put(member{key: k, lane: urgent, stored: stored}, e)
	}
}

func (p *pile) put(m member, e *proto.Event) {
	m.Alert = digest.Describe(e)
	_, m.repeat = p.keys[m.key]
	p.append(m)
	if m.repeat {
		return
	}
	g, ok := p.groups[m.Key]
	if !ok {
		g = new(group)
		p.groups[m.Key] = g
		p.keep(g, m.Key, e)
	}
	g.count++
}

// append adds a member and what finds it.
func (p *pile) append(m member) {
	if p.keys == nil {
		p.bySequence, p.keys = make(map[uint64]int), make(map[key]int)
	}
	if p.groups == nil {
		p.groups = make(map[digest.Key]*group)
	}
	at := len(p.members)
	p.members = append(p.members, m)
	if m.msg != nil {
		p.bySequence[m.msg.Sequence] = at
	} else {
		p.heard++
	}
	if _, ok := p.keys[m.key]; !ok {
		p.keys[m.key] = at
	}
}

// keep keeps the event of a new group as long as a card may show it.
func (p *pile) keep(g *group, k digest.Key, e *proto.Event) {
	if isCritical(k) {
		p.criticals++
	}
	if !p.many && len(p.groups) > maxCards {
		p.many = true
		p.forget(func(k digest.Key) bool { return !isCritical(k) })
	}
	if !p.manyCrits && p.criticals > maxCards {
		p.manyCrits = true
		p.forget(anyKey)
	}
	if !p.many || isCritical(k) && !p.manyCrits {
		e.Raw = nil // the sensor's record is large, and no card shows it
		g.event = e
	}
}

func (p *pile) forget(which func(digest.Key) bool) {
	for k, g := range p.groups {
		if which(k) {
			g.event = nil
		}
	}
}

func isCritical(k digest.Key) bool { return k.Severity == proto.SeverityCritical }

func anyKey(digest.Key) bool { return true }

// few reports whether all of the pile can be cards.
func (p *pile) few() bool { return !p.many }

// pressing reports whether there are critical alerts that can be cards.
func (p *pile) pressing() bool { return p.criticals > 0 && !p.manyCrits }

func (p *pile) empty() bool { return len(p.members) == 0 }

// cards are the alerts of some groups, few enough for that, the most severe and
// then the oldest first.
func (p *pile) cards(which func(digest.Key) bool) []sink.Alert {
	var cards []sink.Alert
	for k, g := range p.groups {
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

// takeAll empties the pile.
func (p *pile) takeAll() []member {
	all := p.members
	*p = pile{}
	return all
}

// take takes the alerts of some groups off the pile.
func (p *pile) take(which func(digest.Key) bool) []member {
	rest := pile{groups: p.groups, criticals: p.criticals, many: p.many, manyCrits: p.manyCrits}
	var taken []member
	for _, m := range p.members {
		if which(m.Key) {
			taken = append(taken, m)
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
	if rest.empty() {
		rest = pile{}
	}
	*p = rest
	return taken
}

// lowest is the least sequence in the pile.
func (p *pile) lowest() (sequence uint64, ok bool) {
	for s := range p.bySequence {
		if !ok || s < sequence {
			sequence, ok = s, true
		}
	}
	return sequence, ok
}
