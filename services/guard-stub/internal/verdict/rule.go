package verdict

import (
	"bytes"
	"context"
	"regexp"
	"slices"
)

// Bounds of the windows that patterns are tried in, in bytes.
const (
	reach = 256 // to either side of a keyword's end
	// Within 1 KiB the regexp package backtracks, with patterns of up to 256
	// instructions; beyond it takes several times as long for each byte.
	maxWindow = 1 << 10
)

// Rules is a rules file. It is safe for concurrent use.
type Rules struct {
	rules    []rule // by falling score; equal ones as in the file
	keywords *keywords
}

// rule is one rule.
type rule struct {
	id, reason string
	score      float64
	sensitive  bool     // to case
	keywords   []string // folded
	patterns   []*regexp.Regexp
}

// Verdict is what the rules say of some messages. The zero Verdict is that no
// rule matches.
type Verdict struct {
	Score   float64 // from 0 to 1
	Rule    string  // the id of the rule that decided, empty for none
	Reason  string  // what the rule says it looks for
	Message int     // the index of the first message that the rule matches
}

// Len is how many rules there are.
func (r *Rules) Len() int { return len(r.rules) }

// Scan judges the messages together. It returns an error only if ctx is done
// before it has.
func (r *Rules) Scan(ctx context.Context, messages []string) (Verdict, error) {
	var v Verdict
	best := len(r.rules) // only rules before it can still better the verdict
	for i, message := range messages {
		if best == 0 {
			break
		}
		n, err := r.first(ctx, fold(message), best)
		if err != nil {
			return Verdict{}, err
		}
		if n < best {
			best = n
			v = Verdict{Score: r.rules[n].score, Rule: r.rules[n].id, Reason: r.rules[n].reason, Message: i}
		}
	}
	return v, nil
}

// first returns the index of the first of n rules that matches the text, or n.
func (r *Rules) first(ctx context.Context, text folded, n int) (int, error) {
	windows := make([][]window, n)
	r.keywords.find(text.lower, func(end int, rules []int) {
		for _, i := range rules {
			if i < n && r.rules[i].means(text.text[:end]) {
				windows[i] = widen(windows[i], end, len(text.lower))
			}
		}
	})
	for i, list := range windows {
		for _, w := range list {
			if err := ctx.Err(); err != nil {
				return n, err
			}
			if r.rules[i].matches(text.text[w.from:w.to]) {
				return i, nil
			}
		}
	}
	return n, ctx.Err()
}

// window is a part of a text.
type window struct{ from, to int }

// widen adds the surroundings of a keyword that ends at end to windows, in a
// text of length size.
func widen(windows []window, end, size int) []window {
	w := window{max(0, end-reach), min(size, end+reach)}
	if n := len(windows); n > 0 {
		before := &windows[n-1]
		if w.from <= before.to && w.to-before.from <= maxWindow {
			before.to = w.to
			return windows
		}
	}
	return append(windows, w)
}

// means says whether the keyword that text ends with is one of the rule's in its
// case as well, where that matters.
func (r *rule) means(text []byte) bool {
	return !r.sensitive || slices.ContainsFunc(r.keywords, func(word string) bool { return bytes.HasSuffix(text, []byte(word)) })
}

// matches says whether a pattern matches in the text.
func (r *rule) matches(text []byte) bool {
	return slices.ContainsFunc(r.patterns, func(p *regexp.Regexp) bool { return p.Match(text) })
}
