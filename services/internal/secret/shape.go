package secret

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Shape is what the secrets of one kind look like. Every shape is redacted
// wherever a text is published, kept or shown.
type Shape struct {
	Name string // as a finding names it: "a GitHub token"

	// Finding is how bad it is that one heads for the network, if the match is
	// [Sure]; a [Likely] one is low. Info means that it is redacted only.
	Finding proto.Severity

	// Homes are the domains of the issuer of the secret, who sees it anyway.
	Homes []string

	// Kind is what it gives access to, for those who treat the kinds differently.
	Kind Kind

	hints []Hint
	find  finder
}

// Kind is a kind of secrets.
type Kind string

// The kinds.
const (
	ModelKey     Kind = "model-key"     // of providers of models
	CloudKey     Kind = "cloud-key"     // of clouds, code hosts, registries
	ServiceToken Kind = "service-token" // of chats, mail, payment and other services
	PrivateKey   Kind = "private-key"
	NATSSeed     Kind = "nats-seed"
	// Other are web tokens, hashes and test keys, which also stand where they are no
	// leak.
	Other Kind = "other"
	// ByContext is what only its surroundings tell from other text. Where it overlaps
	// a secret that is known by itself, that one counts.
	ByContext Kind = "context"
)

// Kinds returns the kinds of secrets that are known by themselves.
func Kinds() []Kind {
	return []Kind{ModelKey, CloudKey, ServiceToken, PrivateKey, NATSSeed, Other}
}

// finder looks at text where a hint stands, text[at:end], and returns the secret
// there and how far hints of the same shape need not be looked at again. The
// span is empty if there is no secret.
//
// So that the work stays linear, what it looks at is bounded, or holds no other
// hint for which as much would be looked at, or lies before next.
type finder func(text []byte, at, end int) (secret span, sure Confidence, next int)

// Confidence says how much a match looks like a real secret.
type Confidence uint8

// The degrees of confidence.
const (
	Doubtful Confidence = iota // a placeholder, or a word where a secret could be
	Likely                     // of the shape, but short or weak
	Sure                       // as its issuer makes them
)

// match is a secret in a text.
type match struct {
	Shape      *Shape
	From, To   int // in bytes
	Confidence Confidence
}

// Finder collects the secrets of one text, for a caller who looks for the hints
// along with other keywords. Its zero value is ready to use; it is used again
// after a Reset. It is not safe for concurrent use.
type Finder struct {
	matches []match
	next    []int // by shape
	used    bool  // next is not all zero
}

// Reset prepares the finder for another text.
func (f *Finder) Reset() {
	f.matches = f.matches[:0]
	if f.next == nil {
		f.next = make([]int, len(table().shapes))
	}
	if f.used {
		clear(f.next)
		f.used = false
	}
}

// Hit looks for a secret where a hint, by its position in [Hints], ends in text.
// It must be called in the order of the ends.
func (f *Finder) Hit(hint int, text []byte, end int) {
	t := table()
	h := &t.hints[hint]
	at := end - len(h.Text)
	if at < f.next[h.shape] || h.Exact && string(text[at:end]) != h.Text || h.starts && !begins(text, at) {
		return
	}
	s := &t.shapes[h.shape]
	found, confidence, next := s.find(text, at, end)
	f.next[h.shape] = max(f.next[h.shape], next)
	f.used = true
	if found.to <= found.from {
		return
	}
	if !random(text[found.from:found.to]) {
		confidence = Doubtful
	}
	f.matches = append(f.matches, match{s, found.from, found.to, confidence})
}

// finds reports whether there is a secret, as far as the text around the hint that
// ends at end can tell; if what follows is too long to look at, there may be one.
func (h *Hint) finds(text []byte, end int) bool {
	at := end - len(h.Text)
	if h.Exact && string(text[at:end]) != h.Text || h.starts && !begins(text, at) {
		return false
	}
	const longest = 256 // to either side, so that the work stays linear
	from, to := max(0, at-longest), min(len(text), end+longest)
	if to < len(text) && token.runOf(text[:to], end) == to {
		return true
	}
	secret, _, _ := table().shapes[h.shape].find(text[from:to], at-from, end-from)
	return secret != none
}

// Found is a secret that stands somewhere in a text.
type Found struct {
	Shape      *Shape
	Confidence Confidence
	Host       string // of the URL that the secret gives access to, if it stands in one
}

// Severity is how bad it is that the secret heads for the network. It is low
// where it may not be one, or goes where it belongs by its nature, as in a header.
func (f *Found) Severity() proto.Severity {
	if f.Confidence < Sure {
		return min(f.Shape.Finding, proto.SeverityLow)
	}
	return f.Shape.Finding
}

// Found adds the secrets in text, in which all hits are, to a list: of each shape
// the one that is most like a real one, and neither placeholders nor keys for
// tests. Where two overlap, what is known by itself counts, or else the first. If
// onlyByThemselves is set, what only its surroundings tell does not count.
func (f *Finder) Found(list []Found, text []byte, onlyByThemselves bool) []Found {
	if len(f.matches) == 0 {
		return list
	}
	for _, m := range f.counting() {
		if m.Confidence == Doubtful || m.Shape.Finding == proto.SeverityInfo || onlyByThemselves && m.Shape.Kind == ByContext {
			continue
		}
		found := Found{Shape: m.Shape, Confidence: m.Confidence}
		if bytes.HasPrefix(text[m.To:], []byte{'@'}) {
			found.Host = host(text[m.To+1:])
		}
		i := slices.IndexFunc(list, func(other Found) bool { return other.Shape.Name == m.Shape.Name })
		switch {
		case i < 0:
			list = append(list, found)
		case list[i].Confidence < found.Confidence:
			list[i] = found
		}
	}
	return list
}

// counting returns the matches in order, without those that overlap one that
// counts more.
func (f *Finder) counting() []match {
	slices.SortStableFunc(f.matches, func(a, b match) int { return a.From - b.From })
	var kept []match
	for _, context := range []bool{false, true} {
		known := kept // sorted, and none overlaps another
		for _, m := range f.matches {
			for len(known) > 0 && known[0].To <= m.From {
				known = known[1:]
			}
			if (m.Shape.Kind == ByContext) != context || len(known) > 0 && known[0].From < m.To {
				continue
			}
			if last := len(kept) - 1; last >= 0 && (kept[last].Shape.Kind == ByContext) == context && m.From < kept[last].To {
				continue
			}
			kept = append(kept, m)
		}
	}
	return kept
}

// host is the name that the rest of a URL's authority begins with.
func host(rest []byte) string {
	const longest = 255
	rest = rest[:min(len(rest), longest)]
	if end := bytes.IndexAny(rest, ":/?# \t\r\n\"'\x00\x01"); end >= 0 {
		rest = rest[:end]
	}
	return strings.ToLower(string(rest))
}

// minEntropy is in bits a character. Placeholders have less than 3, real
// secrets of 20 characters and more have at least 3.3.
const minEntropy = 3.0

// random tells a secret from a placeholder: xxxxxxxx, 1234512345, …EXAMPLE.
func random(match []byte) bool {
	match = match[:min(len(match), 4096)]
	if bytes.Contains(match, []byte("EXAMPLE")) || bytes.Contains(match, []byte("example")) {
		return false
	}
	var counts [256]int
	for _, c := range match {
		counts[c]++
	}
	entropy := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(match))
			entropy -= p * math.Log2(p)
		}
	}
	return entropy >= minEntropy
}

// strong reports whether a value that has no form of its own looks as if it had
// been made by chance: long, and with upper case, lower case and digits, or many
// digits.
func strong(value []byte) bool {
	var upper, lower, digits, others int
	for _, c := range value {
		switch {
		case 'A' <= c && c <= 'Z':
			upper++
		case 'a' <= c && c <= 'z':
			lower++
		case '0' <= c && c <= '9':
			digits++
		case c <= ' ':
			return false
		default:
			others++
		}
	}
	return len(value) >= 12 && digits > 0 && others < len(value)/3 && (upper > 0 && lower > 0 || digits >= 4 && upper+lower >= 4)
}

type shapeTable struct {
	shapes []Shape
	hints  []Hint
}

func newTable(shapes []Shape) *shapeTable {
	t := &shapeTable{shapes: shapes}
	for i := range shapes {
		for _, h := range shapes[i].hints {
			h.shape = i
			t.hints = append(t.hints, h)
		}
	}
	return t
}

// names are hints in any case with which a name ends.
func names(texts ...string) []Hint {
	list := folded(texts...)
	for i := range list {
		list[i].name = true
	}
	return list
}

// prefixes are hints, in their case only, that the secret starts with.
func prefixes(texts ...string) []Hint {
	list := exact(texts...)
	for i := range list {
		list[i].starts = true
	}
	return list
}

// exact are hints that are meant in their case only.
func exact(texts ...string) []Hint { return hintsOf(true, texts) }

// folded are hints in any case.
func folded(texts ...string) []Hint { return hintsOf(false, texts) }

func hintsOf(exact bool, texts []string) []Hint {
	var list []Hint
	for _, text := range texts {
		list = append(list, Hint{Text: text, Exact: exact})
	}
	return list
}
