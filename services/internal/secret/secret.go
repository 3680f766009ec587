// Package secret knows what secrets look like. It takes them out of text and of
// JSON that is going to be published, kept or shown, and tells the proxy's
// detections where they stand.
//
//	text ─▶ hints (one pass) ─▶ shapes, where a hint stands ─▶ matches ─┬─▶ redacted text
//	 │                                   ▲                              └─▶ findings
//	 └─▶ without escapes, quotes ────────┘
//
// Each shape looks at a bounded part of the text around its hints, or skips what
// it has looked at, so that the work grows in proportion to the text, also for
// a hostile one.
package secret

import (
	"bytes"
	"encoding/base64"
	"slices"
	"sync"

	"github.com/openclaw-security/bus/services/internal/keyword"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// Text replaces the secrets in a text by [Mark], also where the text is JSON in
// part. It cannot see a secret of no known shape.
func Text(s string) string {
	b := []byte(s)
	if clean, found := Bytes(b); found {
		return string(clean)
	}
	return s
}

// Bytes is [Text] for bytes. It reports whether it has found a secret: the result
// is text itself if not, and does not share memory with it otherwise.
func Bytes(text []byte) ([]byte, bool) {
	r := redactors.Get().(*redactor)
	defer redactors.Put(r)
	r.reset()
	r.look(view{text: text}, r.all, r.collect)
	if holdsJSON(text) {
		r.flat = flatten(r.flat, text)
		r.look(r.flat, r.all, r.collect)
	}
	return r.cut(text)
}

// holdsJSON reports whether a text may be JSON, perhaps in part.
func holdsJSON(text []byte) bool {
	return bytes.Contains(text, []byte(`{"`)) || bytes.Contains(text, []byte(`["`))
}

// JSON replaces the secrets in the strings of a JSON text, and leaves everything
// else as it is, byte for byte. Beside the shapes of [Text] it knows members
// whose name says what their value is, and argument lists. It reports whether it
// has found a secret: the result is record itself if not, and does not share
// memory with it otherwise. It is valid JSON if record is; names can occur twice
// in it if they were secrets.
func JSON(record []byte) ([]byte, bool) {
	if !suspicious(record) {
		return record, false
	}
	r := redactors.Get().(*redactor)
	defer redactors.Put(r)
	r.reset()
	r.flat = flatten(r.flat, record)
	r.look(r.flat, r.all, r.collect)
	return r.cut(record)
}

// Find returns the secrets in the strings of a JSON text, and, if it is not valid
// JSON, in all of it: of each shape the one that is most like a real one.
// Placeholders and keys for tests are not among them.
func Find(text []byte, valid bool) (found []Found) {
	if valid && !suspicious(text) {
		return nil
	}
	r := redactors.Get().(*redactor)
	defer redactors.Put(r)
	r.reset()
	add := func(v view, onlyByThemselves bool) { found = r.finder.Found(found, v.text, onlyByThemselves) }
	r.flat = flatten(r.flat, text)
	r.look(r.flat, r.all, add)
	if !valid {
		r.look(view{text: text}, r.all, add)
	}
	return found
}

// Known is [Find] for a text of any kind, for the secrets that are known by
// themselves only. Where there is none, it takes about as long as one pass over the
// text for keywords.
func Known(text []byte) (found []Found) {
	r := redactors.Get().(*redactor)
	defer redactors.Put(r)
	r.reset()
	add := func(v view, onlyByThemselves bool) { found = r.finder.Found(found, v.text, onlyByThemselves) }
	r.look(view{text: text}, r.known, add)
	if holdsJSON(text) {
		r.flat = flatten(r.flat, text)
		r.look(r.flat, r.known, add)
	}
	return found
}

// rounds is how many layers of escapes are undone: %2573 is s in two.
const rounds = 2

// redactor is what looking for the secrets of one text needs. It is used again
// for the next one.
type redactor struct {
	finder  Finder
	spans   []span // in the text that is being redacted
	flat    view
	buffers [rounds + 1]view
}

var redactors = sync.Pool{New: func() any { return new(redactor) }}

// maxKept bounds the buffers that are kept between texts, in bytes.
const maxKept = 1 << 20

func (r *redactor) reset() {
	if cap(r.flat.text) > maxKept || cap(r.buffers[0].text) > maxKept {
		*r = redactor{}
	}
	r.spans = r.spans[:0]
}

// span is a part of a text, in bytes.
type span struct{ from, to int }

// all has r.finder find the secrets of all shapes.
func (r *redactor) all(text []byte) { r.scan(hints(), text) }

// known has r.finder find the secrets that are known by themselves.
func (r *redactor) known(text []byte) {
	r.finder.Reset()
	if holdsDiscord(text) || rareKnownHints().Any(text, func(hint, end int) bool { return Hints()[hint].finds(text, end) }) {
		r.scan(knownHints(), text)
	}
}

func (r *redactor) scan(m *keyword.Matcher, text []byte) {
	r.finder.Reset()
	m.Scan(text, func(hint, end int) { r.finder.Hit(hint, text, end) })
}

// look has find look for secrets in v, as it is and without its escapes and quotes,
// and calls found for each view, with the matches in r.finder. If onlyByThemselves is
// set, the view has lost some of its characters, and a secret does not count that
// only its surroundings tell.
func (r *redactor) look(v view, find func([]byte), found func(v view, onlyByThemselves bool)) {
	scan := func(v view, onlyByThemselves bool) {
		find(v.text)
		found(v, onlyByThemselves)
	}
	scan(v, false)
	plain := v
	for i := range rounds {
		next, changed := plain.unescape(r.buffers[i])
		r.buffers[i] = next
		if !changed {
			break
		}
		plain = next
		scan(plain, false)
	}
	unquoted, changed := plain.unquote(r.buffers[rounds])
	if r.buffers[rounds] = unquoted; changed {
		scan(unquoted, true)
	}
}

// collect adds the matches in v to r.spans.
func (r *redactor) collect(v view, onlyByThemselves bool) {
	for _, m := range r.finder.matches {
		if onlyByThemselves && m.Shape.Kind == ByContext || m.Shape.Name == base64Shape && !holds(v.text[m.From:m.To]) {
			continue
		}
		// What separates strings of a JSON text is not a part of any.
		for from := m.From; from < m.To; {
			to := from + max(0, bytes.IndexAny(v.text[from:m.To], "\x00\x01"))
			if to == from && !separates(v.text[from]) {
				to = m.To
			}
			if to > from {
				r.spans = append(r.spans, span{v.offset(from), v.offset(to)})
			}
			from = to + 1
		}
	}
}

// base64Shape is the name of what has to be decoded to be known.
const base64Shape = "a secret in base64"

// holds reports whether a text in base64 holds a secret. All of it is then taken
// out, because a reader could not decode the rest.
func holds(encoded []byte) bool {
	decoded, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return false
	}
	_, found := Bytes(decoded)
	return found
}

// cut returns text with a mark in the place of each span, and whether there are
// any.
func (r *redactor) cut(text []byte) ([]byte, bool) {
	if len(r.spans) == 0 {
		return text, false
	}
	slices.SortFunc(r.spans, func(a, b span) int { return a.from - b.from })
	out := make([]byte, 0, len(text)+len(Mark))
	end := 0
	for _, s := range r.spans {
		if s.from >= end {
			out = append(append(out, text[end:s.from]...), Mark...)
		}
		end = max(end, s.to)
	}
	return append(out, text[end:]...), true
}

// Hint is a keyword that stands in, or before, every secret of a shape.
type Hint struct {
	Text   string
	Exact  bool // meant in this case only
	name   bool // the end of a name, or nearly
	starts bool // the secret itself starts with it
	shape  int
}

// Hints returns the hints of all shapes. Their positions are what [Finder.Hit]
// takes; they are to be found without regard to case.
func Hints() []Hint { return table().hints }

var table = sync.OnceValue(func() *shapeTable { return newTable(shapes()) })

// Matchers of the hints of all shapes, and of those of secrets that are known by
// themselves. The rare ones are without what is in every text; see [holdsDiscord].
var (
	hints          = sync.OnceValue(func() *keyword.Matcher { return matcher(func(Hint) bool { return true }) })
	rareHints      = sync.OnceValue(func() *keyword.Matcher { return matcher(Hint.rare) })
	knownHints     = sync.OnceValue(func() *keyword.Matcher { return matcher(Hint.known) })
	rareKnownHints = sync.OnceValue(func() *keyword.Matcher { return matcher(func(h Hint) bool { return h.rare() && h.known() }) })
)

func (h Hint) rare() bool  { return h.Text != "." }
func (h Hint) known() bool { return table().shapes[h.shape].Kind != ByContext }

func matcher(with func(Hint) bool) *keyword.Matcher {
	var words []keyword.Keyword
	for i, h := range Hints() {
		if with(h) {
			words = append(words, keyword.Keyword{Text: h.Text, ID: i})
		}
	}
	return keyword.New(words, keyword.Fold)
}
