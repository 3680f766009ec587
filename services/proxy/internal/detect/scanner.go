package detect

import (
	"bytes"
	"regexp"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/keyword"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/proxy/internal/spelled"
)

// signature looks for one thing. Every text that has it holds one of the keywords,
// but for a value that is spelled out.
type signature struct {
	rule     string
	severity proto.Severity
	detail   string
	keywords []string
	exact    bool // the keywords are meant in this case only

	// What is looked at around a keyword: a form of a value, or an expression
	// whose matches must pass accept and except, if those are set. With neither, the keyword
	// says it all.
	form    *form
	value   string // that is meant; without a form, it is looked for by package spelled
	pattern *regexp.Regexp
	accept  func(match []byte) bool
	only    *regexp.Regexp // the whole command has to match it, too; nil for no more than pattern
	except  *regexp.Regexp // commands that are ordinary though they match; nil for none

	foreign bool           // counts only in text that is not the user's own
	tool    *regexp.Regexp // counts only in calls of tools whose name matches; nil for all
	reads   bool           // counts only for a tool that may read what it is given
}

// reach bounds what a signature's expression looks at around a keyword.
type reach struct {
	before, after int  // bytes from the keyword's end
	line          bool // and not past the keyword's line
}

// scanner is a set of signatures that look at a text together, and with them, if
// secrets is set, for secrets of all shapes. It is read-only.
type scanner struct {
	signatures []signature
	secrets    bool
	keywords   []signatureKeyword
	matcher    *keyword.Matcher
	spelled    *spelled.Values // by signature
	reach      reach
}

type signatureKeyword struct {
	text      string
	signature int
	at        int // where it stands in the signature's form
}

func newScanner(r reach, signatures []signature, secrets bool) *scanner {
	b := &scanner{signatures: signatures, secrets: secrets, reach: r}
	var words []keyword.Keyword
	add := func(text string, signature, at int) {
		words = append(words, keyword.Keyword{Text: text, ID: len(b.keywords)})
		b.keywords = append(b.keywords, signatureKeyword{text, signature, at})
	}
	values := make([][]byte, len(signatures))
	for i, p := range signatures {
		if p.form == nil {
			values[i] = []byte(p.value)
		}
		for _, k := range p.keywords {
			add(k, i, 0)
		}
		if p.form != nil {
			for _, a := range p.form.anchors() {
				add(p.form.text[a.from:a.to], i, a.from)
			}
		}
	}
	if secrets {
		for i, h := range secret.Hints() {
			words = append(words, keyword.Keyword{Text: h.Text, ID: len(b.keywords) + i})
		}
	}
	b.matcher = keyword.New(words, keyword.Fold)
	b.spelled = spelled.New(values)
	return b
}

// scan is the state of looking at one text with one scanner. The buffers are
// used again for the next one.
type scan struct {
	fired   []bool
	covered []int // by signature: keywords that end before have been looked at
	hits    []int // the signatures that fired
	finder  secret.Finder
	secrets []secret.Found
}

func (s *scan) start(b *scanner) {
	s.fired = append(s.fired[:0], make([]bool, len(b.signatures))...)
	s.covered = append(s.covered[:0], make([]int, len(b.signatures))...)
	s.hits = s.hits[:0]
	s.secrets = s.secrets[:0]
}

// run adds the signatures that find something in text to s.hits, and the secrets
// in it to s.secrets, each once between two starts.
func (b *scanner) run(s *scan, text []byte) {
	clear(s.covered)
	if b.secrets {
		s.finder.Reset()
	}
	b.matcher.Scan(text, func(id, end int) {
		if hint := id - len(b.keywords); hint >= 0 {
			s.finder.Hit(hint, text, end)
			return
		}
		k := &b.keywords[id]
		if s.fired[k.signature] || end < s.covered[k.signature] {
			return
		}
		p := &b.signatures[k.signature]
		if p.exact && string(text[end-len(k.text):end]) != k.text {
			return
		}
		if b.confirm(p, k, s, text, end) {
			s.fired[k.signature] = true
			s.hits = append(s.hits, k.signature)
		}
	})
	if b.secrets {
		s.secrets = s.finder.Found(s.secrets, text, false)
	}
}

// spell adds the signature of a value that package spelled has found, unless that was
// found before.
func (b *scanner) spell(s *scan, i int) {
	if i >= 0 && !s.knows(b, b.signatures[i].value) {
		s.fired[i] = true
		s.hits = append(s.hits, i)
	}
}

// knows reports whether a value has been found in one way or another.
func (s *scan) knows(b *scanner, value string) bool {
	for i, p := range b.signatures {
		if s.fired[i] && p.value == value {
			return true
		}
	}
	return false
}

func (b *scanner) confirm(p *signature, k *signatureKeyword, s *scan, text []byte, end int) bool {
	if p.form != nil {
		return p.form.at(text, end-len(k.text), k.at)
	}
	if p.pattern == nil {
		return true
	}
	from, to, covered := b.reach.window(text, end)
	s.covered[k.signature] = covered
	window := text[from:to]
	if p.accept == nil && p.except == nil && p.only == nil {
		return p.pattern.Match(window)
	}
	for _, m := range p.pattern.FindAllIndex(window, -1) {
		if p.accept != nil && !p.accept(window[m[0]:m[1]]) {
			continue
		}
		whole := around(window, m[0], m[1])
		if (p.only == nil || p.only.Match(whole)) && (p.except == nil || !p.except.Match(whole)) {
			return true
		}
	}
	return false
}

// around is the command, or those commands, in which a match is, with what they are piped to.
func around(window []byte, from, to int) []byte {
	const separators = ";&\n\x1e"
	if from < to && bytes.IndexByte([]byte(separators), window[from]) >= 0 {
		from++ // of the command before
	}
	from = bytes.LastIndexAny(window[:from], separators) + 1
	if n := bytes.IndexAny(window[to:], separators); n >= 0 {
		to += n
	} else {
		to = len(window)
	}
	return bytes.TrimSpace(window[from:to])
}

// window is the part of text to look at for a keyword that ends at end, and the
// offset up to which keywords have then been looked at as well: each of them
// would see, within the window, at least half as far ahead. So the same bytes
// are looked at a small number of times only, in any text.
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
