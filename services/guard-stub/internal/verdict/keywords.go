package verdict

import "slices"

// keywords finds the keywords of all rules in one pass over a text: an
// Aho-Corasick automaton (A. V. Aho, M. J. Corasick, "Efficient string
// matching", 1975) with a table for its transitions.
type keywords struct {
	class   [256]uint8 // bytes that no keyword has share class 0
	classes int
	next    []int32 // by state and class; state 0 is the root
	rules   [][]int // by state: the rules whose keywords end there
}

// newKeywords builds the automaton of words, a list for each rule.
func newKeywords(words [][]string) *keywords {
	k := &keywords{classes: 1}
	for _, list := range words {
		for _, word := range list {
			for i := range len(word) {
				// At most 255 classes: no UTF-8 text has the byte 0xFF.
				if b := word[i]; k.class[b] == 0 {
					k.class[b] = uint8(k.classes)
					k.classes++
				}
			}
		}
	}
	k.grow()
	for rule, list := range words {
		for _, word := range list {
			k.insert(word, rule)
		}
	}
	k.link()
	return k
}

// grow adds a state without transitions.
func (k *keywords) grow() int32 {
	k.next = append(k.next, make([]int32, k.classes)...)
	k.rules = append(k.rules, nil)
	return int32(len(k.rules) - 1)
}

// insert adds the path of a word.
func (k *keywords) insert(word string, rule int) {
	state := 0
	for i := range len(word) {
		at := state*k.classes + int(k.class[word[i]])
		if k.next[at] == 0 {
			grown := k.grow() // before the store: it moves the table
			k.next[at] = grown
		}
		state = int(k.next[at])
	}
	if !slices.Contains(k.rules[state], rule) {
		k.rules[state] = append(k.rules[state], rule)
	}
}

// link turns the tree of words into the automaton: what a state has no
// transition for it does as the longest proper suffix of it that is a state.
func (k *keywords) link() {
	suffix := make([]int, len(k.rules))
	queue := make([]int, 0, len(k.rules))
	for class := range k.classes {
		if child := int(k.next[class]); child != 0 {
			queue = append(queue, child)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		for _, rule := range k.rules[suffix[state]] {
			if !slices.Contains(k.rules[state], rule) {
				k.rules[state] = append(k.rules[state], rule)
			}
		}
		for class := range k.classes {
			at, fallback := state*k.classes+class, k.next[suffix[state]*k.classes+class]
			if child := int(k.next[at]); child != 0 {
				suffix[child] = int(fallback)
				queue = append(queue, child)
			} else {
				k.next[at] = fallback
			}
		}
	}
}

// find calls found with each place behind a keyword and the rules that the
// keyword belongs to.
func (k *keywords) find(text []byte, found func(end int, rules []int)) {
	state := 0
	for i, b := range text {
		state = int(k.next[state*k.classes+int(k.class[b])])
		if rules := k.rules[state]; rules != nil {
			found(i+1, rules)
		}
	}
}
