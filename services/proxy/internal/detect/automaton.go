package detect

// keyword is one string that an automaton looks for.
type keyword struct {
	text string
	id   int // what is reported when it is found
}

// automaton finds all keywords in one pass (Aho and Corasick, 1975), as a
// complete table: one look-up a byte, and no going back. It takes no notice of
// ASCII case, and takes every white-space character for a space.
type automaton struct {
	class [256]uint8 // columns of next; bytes that no keyword has share column 0
	width uint32
	next  []uint32 // by state*width+class: the next state*width, and hitBit
	found [][]int  // by state: ids of the keywords that end there
}

// hitBit marks a transition into a state in which a keyword ends.
const hitBit = 1 << 31

func newAutomaton(keywords []keyword) *automaton {
	a := &automaton{width: 1}
	for _, k := range keywords {
		for i := range len(k.text) {
			if c := fold(k.text[i]); a.class[c] == 0 && a.width < 256 {
				a.class[c] = uint8(a.width)
				a.width++
			}
		}
	}
	for c := range a.class {
		a.class[c] = a.class[fold(byte(c))]
	}

	a.addState()
	for _, k := range keywords {
		state := uint32(0)
		for i := range len(k.text) {
			edge := state*a.width + uint32(a.class[k.text[i]])
			if a.next[edge] == 0 {
				a.next[edge] = a.addState()
			}
			state = a.next[edge]
		}
		a.found[state] = append(a.found[state], k.id)
	}
	a.complete()
	return a
}

func (a *automaton) addState() uint32 {
	a.next = append(a.next, make([]uint32, a.width)...)
	a.found = append(a.found, nil)
	return uint32(len(a.found) - 1)
}

// complete replaces each missing edge by the one that the state's longest
// proper suffix has, breadth first, so that the suffix is complete before it is
// needed; then it turns states into offsets.
func (a *automaton) complete() {
	suffix := make([]uint32, len(a.found))
	queue := []uint32{0}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		for c := range a.width {
			edge := &a.next[state*a.width+c]
			var back uint32
			if state != 0 {
				back = a.next[suffix[state]*a.width+c]
			}
			if *edge == 0 {
				*edge = back
				continue
			}
			suffix[*edge] = back
			a.found[*edge] = append(a.found[*edge], a.found[back]...)
			queue = append(queue, *edge)
		}
	}
	for i, state := range a.next {
		a.next[i] = state * a.width
		if len(a.found[state]) > 0 {
			a.next[i] |= hitBit
		}
	}
}

// scan calls hit with the id of each keyword in text and the offset behind it.
func (a *automaton) scan(text []byte, hit func(id, end int)) {
	if len(a.found) == 1 {
		return
	}
	var state uint32
	for i, c := range text {
		state = a.next[state+uint32(a.class[c])]
		if state&hitBit == 0 {
			continue
		}
		state &^= hitBit
		for _, id := range a.found[state/a.width] {
			hit(id, i+1)
		}
	}
}

// fold maps ASCII letters to lower case and white space to a space.
func fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case isSpace(c):
		return ' '
	default:
		return c
	}
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
