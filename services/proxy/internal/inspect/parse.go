// Package inspect reads the body of a request to a model's API in one pass and
// finds what the proxy decides by: the model, whether an answer streams, every
// text that the model will see, and the tools offered to it.
//
//	body ─▶ strings, scalars ─▶ objects, arrays ─▶ top: the body's members
//	        UTF-8, escapes      names, depth        ├─▶ content: messages, blocks, parts ─┐
//	                                                ├─▶ tools: definitions ───────────────┼─▶ segments
//	                                                └─▶ collect: everything else ─────────┘
//
// The proxy forwards exactly the bytes that were read, so two things would make
// a hole. One is a text that nobody looks at. Therefore the default is to
// collect: the strings of a member that is not understood are segments too, such
// as what the API will add next year. The other is a body that the API reads in another way
// than this package. Therefore everything that parsers are known to differ in is
// refused: names that occur twice, however written; known names in another case,
// which Go's encoding/json accepts; trailing data, a byte order mark, malformed
// UTF-8, half surrogate pairs, numbers out of range, deep nesting. A NUL in a
// text is let through: a parser that stops there sees less than was inspected.
//
// The names of members that carry meaning are those of all APIs together:
// compatible servers mix them, and none means different things in two APIs in
// the same place. Where Gemini takes two spellings, a body may have both, and
// both are read.
package inspect

import (
	"fmt"
	"hash/maphash"
	"math"
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Bounds of what is accepted, each far beyond what clients send. They keep an
// answer to a body of 32 MiB from taking many times its memory.
const (
	maxDepth    = 128     // of objects and arrays
	maxContent  = 24      // the depth below which an object is not content of any API: about twice that of a document in a tool's result
	maxSegments = 1 << 18 // and as many containers around them, and as many names in the objects that are open at a time
)

// The reasons that are given in several places.
const (
	reasonSyntax = "this is not JSON"
	reasonTwice  = "a name occurs twice in an object"
)

// parser reads one body. After an error it stands at the end, so that every
// loop over the body ends; err is looked at where a value was needed.
type parser struct {
	body  []byte
	pos   int
	err   *Error
	req   *Request
	paths *paths
	in    int32 // the container that pos is in, an index into paths.containers
	depth int

	inner string // the first model of a request within the body
	room  []byte // for decoded strings
	seed  maphash.Seed
	names []uint64 // hashes of the names in the open objects

	calls  map[string]string // id of a tool call → name of the tool
	intern map[string]string
}

// Parse reads the body of a request to api. The Request refers to body, which
// may not be changed while it is in use. Strings with escapes are decoded into
// memory of their own, at most as much as the body has. An error is an [*Error].
func Parse(api llmapi.API, body []byte) (*Request, error) {
	p := parser{
		body:  body,
		req:   &Request{API: api, Segments: make([]Segment, 0, len(body)/384+16)},
		paths: &paths{body: body, containers: make([]step, 0, len(body)/256+16)},
		in:    root,
		seed:  maphash.MakeSeed(),
		names: make([]uint64, 0, 64),
	}
	if p.check(); p.err == nil {
		p.top(root)
	}
	if p.peek(); p.pos < len(body) {
		p.fail(p.pos, "something follows the JSON object")
	}
	if p.err != nil {
		return nil, p.err
	}
	if p.req.Model == "" && p.req.API == llmapi.Batches {
		p.req.Model = p.inner
	}
	p.settle()
	p.references()
	if p.decode(); p.err != nil {
		return nil, p.err
	}
	return p.req, nil
}

// check refuses what is not JSON at all, with a reason for each mistake that
// people make.
func (p *parser) check() {
	switch {
	case len(p.body) > math.MaxInt32:
		p.fail(0, "the body is too large")
	case len(p.body) >= 3 && string(p.body[:3]) == "\ufeff":
		p.fail(0, "the body starts with a byte order mark")
	case !utf8.Valid(p.body):
		i := 0
		for r, size := utf8.DecodeRune(p.body); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(p.body[i:]) {
			i += size
		}
		p.fail(i, "the body is not UTF-8")
	case p.peek() != '{':
		p.fail(p.pos, "the body is not a JSON object")
	}
}

// fail records the first error.
func (p *parser) fail(offset int, reason string) {
	if p.err != nil {
		return
	}
	if p.in != root {
		if path := p.paths.path(p.paths.containers[p.in]); path != "" {
			reason = path + ": " + reason
		}
	}
	p.err = &Error{Reason: reason, Offset: offset}
	p.pos = len(p.body)
}

// emit adds text as a segment whose role is set later.
func (p *parser) emit(to int32, kind Kind, text []byte) {
	switch {
	case len(text) == 0 || p.err != nil:
	case len(p.req.Segments) == maxSegments:
		p.fail(p.pos, "the body has too many strings")
	default:
		p.req.Segments = append(p.req.Segments, Segment{
			Role: roleOpen, Kind: kind, Text: text, where: step{p.in, to}, paths: p.paths,
		})
	}
}

// emitData adds text as data if it looks like data, else as text.
func (p *parser) emitData(to int32, text []byte) {
	kind := KindData
	if !isOpaque(text) {
		kind = KindText
	}
	p.emit(to, kind, text)
}

// emitWord adds text as data if it is a plain word, else as text.
func (p *parser) emitWord(to int32, text []byte) {
	kind := KindData
	if !isWord(text) {
		kind = KindText
	}
	p.emit(to, kind, text)
}

// assume gives role to the segments from first on that have none yet.
func (p *parser) assume(first int, role Role) {
	for i := range p.req.Segments[first:] {
		if s := &p.req.Segments[first+i]; s.Role == roleOpen {
			s.Role = role
		}
	}
}

// settle leaves no role open. Only the model reasons and calls tools: what
// another role has in the same form is a text like any other.
func (p *parser) settle() {
	for i := range p.req.Segments {
		s := &p.req.Segments[i]
		if s.Role == roleOpen {
			s.Role = RoleOther
		}
		if s.Role != RoleAssistant && (s.Kind == KindArguments || s.Kind == KindReasoning) {
			s.Kind = KindText
		}
	}
}

// shared returns b as a string, the same for equal names: a conversation calls
// few tools many times.
func (p *parser) shared(b []byte) string {
	if s, ok := p.intern[string(b)]; ok || len(b) == 0 {
		return s
	}
	if p.intern == nil {
		p.intern = make(map[string]string)
	}
	s := string(b)
	p.intern[s] = s
	return s
}

// Error says why a body is refused.
type Error struct {
	// Reason is a sentence for the person who reads the client's log. Of the
	// body it quotes plain words at most.
	Reason string
	// Offset is where in the body, in bytes from 0.
	Offset int
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("request body at byte %d: %s", e.Offset, e.Reason)
}
