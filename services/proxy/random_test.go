package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"unicode/utf16"
)

// writer writes random JSON, all of whose freedoms it uses: order, white space,
// escapes.
type writer struct {
	*rand.Rand
	escapes bool // of characters that need none
	inLines bool // white space has no carriage return
	out     bytes.Buffer
}

// object is a JSON object; its members are written in random order.
type object map[string]any

// array is a JSON array.
type array []any

func (w *writer) json(v any) string {
	w.out.Reset()
	w.space()
	w.value(v)
	w.space()
	return w.out.String()
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case object:
		names := slices.Sorted(maps.Keys(v)) // so that the seed decides
		w.Shuffle(len(names), reflect.Swapper(names))
		w.sequence('{', '}', len(names), func(i int) {
			w.text(names[i])
			w.space()
			w.out.WriteByte(':')
			w.space()
			w.value(v[names[i]])
		})
	case array:
		w.sequence('[', ']', len(v), func(i int) { w.value(v[i]) })
	case string:
		w.text(v)
	default:
		_ = json.NewEncoder(&w.out).Encode(v) // a number, a bool or null, into memory
		w.out.Truncate(w.out.Len() - 1)
	}
}

func (w *writer) sequence(open, shut byte, n int, element func(int)) {
	w.out.WriteByte(open)
	w.space()
	for i := range n {
		if i > 0 {
			w.out.WriteByte(',')
			w.space()
		}
		element(i)
		w.space()
	}
	w.out.WriteByte(shut)
}

func (w *writer) space() {
	if w.IntN(8) > 0 {
		return
	}
	for range w.IntN(4) {
		c := " \t\n\r"[w.IntN(4)]
		if c == '\r' && w.inLines {
			c = ' '
		}
		w.out.WriteByte(c)
	}
}

func (w *writer) text(s string) {
	w.out.WriteByte('"')
	for _, c := range s {
		short := strings.IndexRune("\"\\/\b\f\n\r\t", c)
		switch {
		case w.escapes && w.IntN(6) == 0, c < ' ' && short < 0:
			for _, unit := range utf16.AppendRune(nil, c) {
				format := []string{"\\u%04x", "\\u%04X"}[w.IntN(2)]
				fmt.Fprintf(&w.out, format, unit)
			}
		case short >= 0 && (c != '/' || w.IntN(4) == 0):
			w.out.WriteByte('\\')
			w.out.WriteByte(`"\/bfnrt`[short])
		default:
			w.out.WriteRune(c)
		}
	}
	w.out.WriteByte('"')
}

// Texts are made of these. None is a reason to stop anything.
var vocabulary = strings.Split(`the|quick|brown|fox|jumps|"over"|a\lazy|dog|/etc/hosts|é|日本語|🙂👍🏽|<b>|&amp;|`+"\n|\t|\r\n|\x01|\u2028|"+`{"a":|[1,2]|data:|event: x|\u0041|0.5|…|null`, "|")

func (w *writer) words(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(vocabulary[w.IntN(len(vocabulary))])
		if w.IntN(5) > 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// prose is now and then long: most of a request is, and of its time.
func (w *writer) prose() string {
	switch w.IntN(30) {
	case 0:
		return w.words(1 + w.IntN(40_000))
	case 1:
		return strings.Repeat("A", w.IntN(100_000)) // as images are
	}
	return w.words(1 + w.IntN(30))
}

// anything is a value of a kind that nobody knows.
func (w *writer) anything(depth int) any {
	switch k := w.IntN(8); {
	case k == 0 && depth > 0:
		o := object{}
		for range w.IntN(4) {
			o[fmt.Sprintf("x_%d %s", w.IntN(100), w.words(1))] = w.anything(depth - 1)
		}
		return o
	case k == 1 && depth > 0:
		return array{w.anything(depth - 1), w.anything(depth - 1)}
	case k == 2:
		return w.Float64() * 1e9
	case k == 3:
		return nil
	case k == 4:
		return w.IntN(2) == 0
	default:
		return w.words(1 + w.IntN(5))
	}
}
