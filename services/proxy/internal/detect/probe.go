package detect

import (
	"bytes"
	"regexp"

	"github.com/openclaw-security/bus/proto"
)

// probe looks for one thing. Every text that has it holds one of the keywords.
type probe struct {
	rule     string
	severity proto.Severity
	detail   string
	keywords []string
	exact    bool // the keywords are meant in this case only

	// What is looked at around a keyword: a form of a value, or an expression
	// whose matches must pass accept, if that is set. With neither, the keyword
	// says it all.
	form    *form
	pattern *regexp.Regexp
	accept  func(match []byte) bool

	foreign bool     // counts only in text that is not the user's own
	homes   []string // domains that may see it
}

// reach bounds what a probe's expression looks at around a keyword.
type reach struct {
	before, after int  // bytes from the keyword's end
	line          bool // and not past the keyword's line
}

// battery is a set of probes that look at a text together. It is read-only.
type battery struct {
	probes   []probe
	keywords []probeKeyword
	keys     *automaton
	reach    reach
}

type probeKeyword struct {
	text  string
	probe int
	at    int // where it stands in the probe's form
}

func newBattery(r reach, probes []probe) *battery {
	b := &battery{probes: probes, reach: r}
	var words []keyword
	add := func(text string, probe, at int) {
		words = append(words, keyword{text, len(b.keywords)})
		b.keywords = append(b.keywords, probeKeyword{text, probe, at})
	}
	for i, p := range probes {
		for _, k := range p.keywords {
			add(k, i, 0)
		}
		if p.form != nil {
			for _, a := range p.form.anchors() {
				add(p.form.text[a.from:a.to], i, a.from)
			}
		}
	}
	b.keys = newAutomaton(words)
	return b
}

// sweep is the state of looking at one text with one battery. The buffers are
// used again for the next one.
type sweep struct {
	fired   []bool
	covered []int // by probe: keywords that end before have been looked at
	hits    []int // the probes that fired
}

func (s *sweep) start(b *battery) {
	s.fired = append(s.fired[:0], make([]bool, len(b.probes))...)
	s.covered = append(s.covered[:0], make([]int, len(b.probes))...)
	s.hits = s.hits[:0]
}

// look adds the probes that find something in text to s.hits, each once between
// two starts.
func (b *battery) look(s *sweep, text []byte) {
	clear(s.covered)
	b.keys.scan(text, func(id, end int) {
		k := &b.keywords[id]
		if s.fired[k.probe] || end < s.covered[k.probe] {
			return
		}
		p := &b.probes[k.probe]
		if p.exact && string(text[end-len(k.text):end]) != k.text {
			return
		}
		if b.confirm(p, k, s, text, end) {
			s.fired[k.probe] = true
			s.hits = append(s.hits, k.probe)
		}
	})
}

func (b *battery) confirm(p *probe, k *probeKeyword, s *sweep, text []byte, end int) bool {
	if p.form != nil {
		return p.form.at(text, end-len(k.text), k.at)
	}
	if p.pattern == nil {
		return true
	}
	from, to, covered := b.reach.window(text, end)
	s.covered[k.probe] = covered
	window := text[from:to]
	if p.accept == nil {
		return p.pattern.Match(window)
	}
	for _, m := range p.pattern.FindAllIndex(window, -1) {
		if p.accept(window[m[0]:m[1]]) {
			return true
		}
	}
	return false
}

// window is the part of text to look at for a keyword that ends at end, and the
// offset up to which keywords have then been looked at as well: each of them
// would see, within the window, at least half as far ahead. So the same bytes
// are looked at a small number of times only, whatever the text.
func (r reach) window(text []byte, end int) (from, to, covered int) {
	from, to = max(end-r.before, 0), min(end+r.after, len(text))
	covered = to
	if to < len(text) {
		covered = end + r.after/2
	}
	if !r.line {
		return from, to, covered
	}
	if i := bytes.LastIndexByte(text[from:end], '\n'); i >= 0 {
		from += i + 1
	}
	if i := bytes.IndexByte(text[end:to], '\n'); i >= 0 {
		to = end + i
		covered = to
	}
	return from, to, covered
}
