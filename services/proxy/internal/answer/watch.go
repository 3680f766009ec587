package answer

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/proxy/internal/spelled"
)

const (
	// minHeld is how many bytes of a forbidden value have to match before text
	// waits for what follows.
	minHeld = 8
	// maxTexts bounds the texts that are open at the same time; no API has that
	// many choices, parts and members.
	maxTexts = 512
	// someTexts are allocated at a time.
	someTexts = 8
)

// Text says which of an answer's texts a piece belongs to. Several can come by turns.
type Text struct {
	Choice int
	Kind   TextKind
}

// mixed stands for all choices of an answer.
const mixed = -1

// TextKind is what a text is to a client.
type TextKind uint8

// Kinds of texts.
const (
	Content   TextKind = iota // what the model says, refusals and the output of its tools included
	Reasoning                 // what it thinks
	Arguments                 // of one tool call
)

// key distinguishes the texts of an answer that are open at the same time, and the
// calls.
type key struct {
	choice, index int
	kind          string // empty for a call
}

// watch looks at each of an answer's texts by itself: for forbidden values, also where
// one is spread over several pieces, and through what Options.Text begins.
type watch struct {
	begin   func(Text) func([]byte) error
	values  [][]byte
	spelled *spelled.Values
	longest int

	texts   map[key]*watched
	unused  []watched // of texts that have not begun
	seam    []byte    // scratch space
	clock   uint64
	pending int   // texts whose end could become a value
	found   error // a value was in a text
	stopped error // what the other that looks at the texts says
}

// watched is a text that is open.
type watched struct {
	tail    []byte // of the text: as much as could be the beginning of a value
	spelled spelled.Text
	pending bool
	piece   func([]byte) error // nil if nobody else looks
	used    uint64
}

func newWatch(o Options) watch {
	w := watch{begin: o.Text, values: o.Forbidden, spelled: o.Spelled}
	for _, v := range o.Forbidden {
		w.longest = max(w.longest, len(v))
	}
	return w
}

// forbids reports whether there are values to look for.
func (w *watch) forbids() bool { return w.longest > 0 }

func (w *watch) waiting() bool { return w.pending > 0 }

// say is a further piece of the text k, which is about.
func (w *watch) say(k key, about Text, piece []byte) {
	t := w.text(k)
	if w.begin != nil && w.stopped == nil {
		if t.piece == nil {
			t.piece = w.begin(about)
		}
		w.stopped = t.piece(piece)
	}
	w.look(t, piece)
	w.mix(k, piece)
}

// mix looks at the texts of all choices as one, too, from the second choice on: a client
// that asked for one choice may take no notice of which a piece belongs to.
func (w *watch) mix(k key, piece []byte) {
	if !w.forbids() {
		return
	}
	all := key{choice: mixed, kind: k.kind}
	if _, ok := w.texts[all]; !ok {
		if k.choice <= 0 {
			return
		}
		if first := w.texts[key{0, k.index, k.kind}]; first != nil {
			seeded := w.text(all)
			w.look(seeded, first.tail)
		}
	}
	w.look(w.text(all), piece)
}

// add looks for values in a further piece of the text k, and reports whether it ends
// with what could become one.
func (w *watch) add(k key, piece []byte) bool {
	if !w.forbids() {
		return false
	}
	t := w.text(k)
	w.look(t, piece)
	return t.pending
}

// text returns the text k, which begins if it is not open. For one too many the one that
// has been silent for longest ends.
func (w *watch) text(k key) *watched {
	w.clock++
	t := w.texts[k]
	if t == nil {
		if len(w.texts) >= maxTexts {
			oldest := k
			for other, o := range w.texts {
				if oldest == k || o.used < w.texts[oldest].used {
					oldest = other
				}
			}
			w.forget(oldest)
		}
		if w.texts == nil {
			w.texts = make(map[key]*watched)
		}
		if len(w.unused) == 0 {
			w.unused = make([]watched, someTexts)
		}
		t, w.unused = &w.unused[0], w.unused[1:]
		w.texts[k] = t
	}
	t.used = w.clock
	return t
}

func (w *watch) look(t *watched, piece []byte) {
	if !w.forbids() {
		return
	}
	// The seam, where the tail and the piece meet, and the piece itself.
	reach := w.longest - 1
	w.seam = append(append(w.seam[:0], t.tail...), piece[:min(len(piece), reach)]...)
	seam := w.seam
	end := seam
	if len(piece) > reach {
		end = piece
	}
	found := w.contains(seam)
	if found == nil && len(piece) > reach {
		found = w.contains(piece)
	}
	value, pending := w.spelled.Add(&t.spelled, piece)
	if found == nil && value >= 0 {
		found = &ForbiddenError{Value: value, Spelled: true}
	}
	if w.found == nil {
		w.found = found
	}
	pending = pending || w.begins(end)
	t.tail = append(t.tail[:0], end[max(0, len(end)-reach):]...)
	w.count(t.pending, pending)
	t.pending = pending
}

// forget is the end of the text k for good.
func (w *watch) forget(k key) {
	w.end(k)
	delete(w.texts, k)
}

// end is the end of the text k: nobody waits for what follows. It is looked at all the
// same, together with what came before, if it follows: there are servers that end a
// text more than once.
func (w *watch) end(k key) {
	if t, ok := w.texts[k]; ok {
		w.count(t.pending, false)
		t.pending = false
		if t.piece != nil && w.stopped == nil {
			w.stopped = t.piece(nil)
		}
	}
}

// endChoice is the end of a choice's texts.
func (w *watch) endChoice(choice int) {
	for k := range w.texts {
		if k.choice == choice && k.kind != elsewhere {
			w.end(k)
		}
	}
}

// endAll is the end of every text.
func (w *watch) endAll() {
	for k := range w.texts {
		w.end(k)
	}
}

func (w *watch) count(before, after bool) {
	if before {
		w.pending--
	}
	if after {
		w.pending++
	}
}

// begins reports whether text ends with minHeld bytes or more that a value
// begins with.
func (w *watch) begins(text []byte) bool {
	if len(text) < minHeld {
		return false
	}
	last := text[len(text)-1]
	for _, v := range w.values {
		for n := min(len(v)-1, len(text)); n >= minHeld; n-- {
			if v[n-1] == last && bytes.HasSuffix(text, v[:n]) {
				return true
			}
		}
	}
	return false
}

// contains returns an error that names the value in text, nil if there is none.
func (w *watch) contains(text []byte) error {
	for i, v := range w.values {
		if len(v) > 0 && bytes.Contains(text, v) {
			return &ForbiddenError{Value: i}
		}
	}
	return nil
}

// in is contains for text as it is and after JSON's escapes have been resolved.
func (w *watch) in(text []byte) error {
	if !w.forbids() {
		return nil
	}
	err := w.contains(text)
	if err == nil && bytes.IndexByte(text, '\\') >= 0 {
		err = w.contains(unescape(text))
	}
	return err
}

// inArguments is in for the arguments of a call, which are searched for what is
// spelled out, too.
func (w *watch) inArguments(text []byte) error {
	if err := w.in(text); err != nil || !w.forbids() {
		return err
	}
	if value := w.spelled.In(unescape(text)); value >= 0 {
		return &ForbiddenError{Value: value, Spelled: true}
	}
	return nil
}

// unescape resolves every escape of a JSON text, without regard for where in the
// text it is and whether the text is well-formed.
func unescape(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 == len(text) {
			return append(plain, text...)
		}
		plain = append(plain, text[:i]...)
		c := text[i+1]
		text = text[i+2:]
		switch c {
		case 'b':
			plain = append(plain, '\b')
		case 'f':
			plain = append(plain, '\f')
		case 'n':
			plain = append(plain, '\n')
		case 'r':
			plain = append(plain, '\r')
		case 't':
			plain = append(plain, '\t')
		case 'u':
			var char rune
			char, text = unescapeRune(text)
			plain = utf8.AppendRune(plain, char)
		default:
			plain = append(plain, c)
		}
	}
}

// unescapeRune reads what follows \u, including the second half of a surrogate
// pair.
func unescapeRune(text []byte) (rune, []byte) {
	char, ok := hex4(text)
	if !ok {
		return utf8.RuneError, text
	}
	text = text[4:]
	if utf16.IsSurrogate(char) && len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
		if low, ok := hex4(text[2:]); ok {
			if pair := utf16.DecodeRune(char, low); pair != utf8.RuneError {
				return pair, text[6:]
			}
		}
	}
	return char, text
}

func hex4(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var char rune
	for _, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		char = char<<4 | rune(c)
	}
	return char, true
}
