// Package keyword finds any number of keywords in a text in one pass, by the
// algorithm of Aho and Corasick ("Efficient string matching", 1975): ordinary
// text costs one table lookup a byte, however many keywords there are.
package keyword

import (
	"slices"
	"sync"
)

// Keyword is a string to find.
type Keyword struct {
	Text string
	ID   int // what Scan reports; keywords may share one
}

// Matcher finds a fixed set of keywords. It is read-only and safe for
// concurrent use.
//
// The automaton is stored as a complete table, so that a scan never goes back:
// the row of a state holds the next state for each class of bytes.
type Matcher struct {
	class   [256]uint16 // columns of next; bytes that no keyword has share column 0
	width   uint32
	next    []uint32 // by state*width+class: the next state*width, and hitBit
	found   [][]int  // by state: IDs of the keywords that end there
	longest int      // keyword, in bytes
}

// hitBit marks a transition into a state in which a keyword ends.
const hitBit = 1 << 31

// New returns a matcher of the keywords, of which none may be empty. Bytes that
// fold maps to the same byte are equal, in keywords and in texts; with a nil
// fold only equal bytes are.
func New(keywords []Keyword, fold func(byte) byte) *Matcher {
	if fold == nil {
		fold = func(c byte) byte { return c }
	}
	m := &Matcher{width: 1}
	for _, k := range keywords {
		m.longest = max(m.longest, len(k.Text))
		for i := range len(k.Text) {
			if c := fold(k.Text[i]); m.class[c] == 0 {
				m.class[c] = uint16(m.width)
				m.width++
			}
		}
	}
	classes := m.class
	for c := range m.class {
		m.class[c] = classes[fold(byte(c))]
	}

	m.addState()
	for _, k := range keywords {
		state := uint32(0)
		for i := range len(k.Text) {
			edge := state*m.width + uint32(m.class[k.Text[i]])
			if m.next[edge] == 0 {
				m.next[edge] = m.addState()
			}
			state = m.next[edge]
		}
		m.addFound(state, k.ID)
	}
	m.complete()
	return m
}

func (m *Matcher) addState() uint32 {
	m.next = append(m.next, make([]uint32, m.width)...)
	m.found = append(m.found, nil)
	return uint32(len(m.found) - 1)
}

func (m *Matcher) addFound(state uint32, ids ...int) {
	for _, id := range ids {
		if !slices.Contains(m.found[state], id) {
			m.found[state] = append(m.found[state], id)
		}
	}
}

// complete replaces each missing edge by the one that the state's longest
// proper suffix has, breadth first, so that the suffix is complete before it is
// needed; then it turns states into offsets.
func (m *Matcher) complete() {
	suffix := make([]uint32, len(m.found))
	queue := []uint32{0}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		for c := range m.width {
			edge := &m.next[state*m.width+c]
			var back uint32
			if state != 0 {
				back = m.next[suffix[state]*m.width+c]
			}
			if *edge == 0 {
				*edge = back
				continue
			}
			suffix[*edge] = back
			m.addFound(*edge, m.found[back]...)
			queue = append(queue, *edge)
		}
	}
	for i, state := range m.next {
		m.next[i] = state * m.width
		if len(m.found[state]) > 0 {
			m.next[i] |= hitBit
		}
	}
}

// Scan calls hit with the ID of each keyword in text and the offset behind it,
// in the order of the offsets. Keywords that share an ID and end at one offset
// are reported there once.
//
// The next step of a scan has to wait for the last one. So four parts of a long text
// are scanned side by side, which takes a third of the time, and what is found is
// kept until it is reported.
func (m *Matcher) Scan(text []byte, hit func(id, end int)) {
	if len(m.found) == 1 {
		return
	}
	var state uint32
	end := 0
	for part := m.part(text); part > 0; part = m.part(text[end:]) {
		s := sightings.Get().(*[4][]sighting)
		state = m.side(text, end, part, state, s)
		for i := range s {
			for _, at := range s[i] {
				for _, id := range m.found[at.state/m.width] {
					hit(id, end+i*part+at.end)
				}
			}
		}
		sightings.Put(s)
		end += 4 * part
	}
	for i, c := range text[end:] {
		state = m.next[state+uint32(m.class[c])]
		if state&hitBit == 0 {
			continue
		}
		state &^= hitBit
		for _, id := range m.found[state/m.width] {
			hit(id, end+i+1)
		}
	}
}

// sighting is a state in which a keyword ends, and where that is in a part of a text.
type sighting struct {
	state uint32
	end   int
}

// sightings keeps the lists that Scan needs, of at most as many as a part has bytes.
var sightings = sync.Pool{New: func() any { return new([4][]sighting) }}

// part is how long each of four parts is into which a text can be cut, 0 if it is too
// short for that.
func (m *Matcher) part(text []byte) int {
	const most = 1 << 10
	if part := min(len(text)/4, most); part > 2*m.longest {
		return part
	}
	return 0
}

// side scans four parts of text behind from, and lists what it finds. It takes and
// returns the state before the first and behind the last byte.
func (m *Matcher) side(text []byte, from, part int, s0 uint32, list *[4][]sighting) uint32 {
	p0, p1, p2, p3 := text[from:][:part], text[from+part:][:part], text[from+2*part:][:part], text[from+3*part:][:part]
	// What a part begins with depends on as many bytes before it as a keyword has.
	var s1, s2, s3 uint32
	for i := part - m.longest; i < part; i++ {
		s1 = m.next[s1+uint32(m.class[p0[i]])] &^ hitBit
		s2 = m.next[s2+uint32(m.class[p1[i]])] &^ hitBit
		s3 = m.next[s3+uint32(m.class[p2[i]])] &^ hitBit
	}
	l0, l1, l2, l3 := list[0][:0], list[1][:0], list[2][:0], list[3][:0]
	for i := range part {
		s0 = m.next[s0+uint32(m.class[p0[i]])]
		s1 = m.next[s1+uint32(m.class[p1[i]])]
		s2 = m.next[s2+uint32(m.class[p2[i]])]
		s3 = m.next[s3+uint32(m.class[p3[i]])]
		if (s0|s1|s2|s3)&hitBit == 0 {
			continue
		}
		l0, s0 = seen(l0, s0, i)
		l1, s1 = seen(l1, s1, i)
		l2, s2 = seen(l2, s2, i)
		l3, s3 = seen(l3, s3, i)
	}
	*list = [4][]sighting{l0, l1, l2, l3}
	return s3
}

// seen adds a state to list if a keyword ends in it.
func seen(list []sighting, state uint32, at int) ([]sighting, uint32) {
	if state&hitBit == 0 {
		return list, state
	}
	state &^= hitBit
	return append(list, sighting{state, at + 1}), state
}

// Any reports whether hit returns true for a keyword in text. It calls hit as Scan
// does, but in no particular order, perhaps twice for one keyword, and no more
// once it has returned true.
func (m *Matcher) Any(text []byte, hit func(id, end int) bool) bool {
	// Four parts that overlap by more than a keyword, the last one up to the end.
	length := len(text)/4 + m.longest
	if len(m.found) == 1 || length > len(text) {
		found := false
		m.Scan(text, func(id, end int) { found = found || hit(id, end) })
		return found
	}
	last := len(text) - length
	second, third := last/3, 2*last/3
	p0, p1, p2, p3 := text[:length], text[second:][:length], text[third:][:length], text[last:]
	report := func(state uint32, end int) bool {
		return state&hitBit != 0 && slices.ContainsFunc(m.found[(state&^hitBit)/m.width], func(id int) bool { return hit(id, end) })
	}
	var s0, s1, s2, s3 uint32
	for i := range length {
		s0 = m.next[s0+uint32(m.class[p0[i]])]
		s1 = m.next[s1+uint32(m.class[p1[i]])]
		s2 = m.next[s2+uint32(m.class[p2[i]])]
		s3 = m.next[s3+uint32(m.class[p3[i]])]
		if (s0|s1|s2|s3)&hitBit == 0 {
			continue
		}
		if report(s0, i+1) || report(s1, second+i+1) || report(s2, third+i+1) || report(s3, last+i+1) {
			return true
		}
		s0, s1, s2, s3 = s0&^hitBit, s1&^hitBit, s2&^hitBit, s3&^hitBit
	}
	return false
}

// Fold maps ASCII letters to lower case and ASCII white space to a space.
func Fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case '\t' <= c && c <= '\r':
		return ' '
	default:
		return c
	}
}
