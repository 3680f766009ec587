package inspect

import (
	"hash/maphash"
	"slices"
)

// fewNames is up to how many names an object's are compared each with each.
const fewNames = 16

// object is a JSON object that is being read:
//
//	for o := p.object(to); p.next(&o); {
//		// p stands at the value of o.name and must read it
//	}
type object struct {
	name []byte // decoded
	to   int32  // the step to its value

	frame
	names int // where its own begin in parser.names
}

// array is a JSON array that is being read, like [object].
type array struct {
	to int32 // the step to the element
	frame
}

// frame is what objects and arrays have in common.
type frame struct {
	in       int32 // the surrounding container
	segments int   // how many there were before
	started  bool  // its first value has been reached
}

// object enters the object that p stands at.
func (p *parser) object(to int32) object {
	return object{frame: p.enter(to), names: len(p.names)}
}

// array enters the array that p stands at.
func (p *parser) array(to int32) array {
	return array{to: -1, frame: p.enter(to)}
}

// enter goes behind the opening bracket that p stands at.
func (p *parser) enter(to int32) frame {
	f := frame{in: p.in, segments: len(p.req.Segments)}
	switch {
	case p.depth == maxDepth:
		p.fail(p.pos, "the body is nested too deeply")
	case len(p.paths.containers) == maxSegments:
		p.fail(p.pos, "the body has too many objects and arrays")
	default:
		p.pos++
		p.depth++
		p.paths.containers = append(p.paths.containers, step{p.in, to})
		p.in = int32(len(p.paths.containers) - 1)
	}
	return f
}

// leave ends the container at its closing bracket.
func (p *parser) leave(f *frame) {
	p.pos++
	p.depth--
	if len(p.req.Segments) == f.segments {
		p.paths.containers = p.paths.containers[:p.in] // no segment refers to it
	}
	p.in = f.in
}

// more goes to the next value of a container and reports whether there is one.
func (p *parser) more(f *frame, end byte) bool {
	c := p.peek()
	switch {
	case p.err != nil:
		return false
	case c == end:
		p.leave(f)
		return false
	case !f.started:
		f.started = true
		return true
	case c != ',':
		p.fail(p.pos, reasonSyntax)
		return false
	}
	p.pos++
	p.peek()
	return true
}

// nextElement goes to the next element.
func (p *parser) nextElement(a *array) bool {
	a.to++
	return p.more(&a.frame, ']')
}

// next goes to the value of the next member.
func (p *parser) next(o *object) bool {
	if !p.more(&o.frame, '}') {
		p.unique(o)
		return false
	}
	start := p.pos
	o.to = ^int32(start)
	o.name = p.string()
	p.addName(o, start)
	if p.peek() != ':' {
		p.fail(p.pos, reasonSyntax)
		return false
	}
	p.pos++
	p.peek()
	return p.err == nil
}

// addName refuses a name that o has already. Names are compared as they are
// decoded, by a hash whose seed no client knows.
func (p *parser) addName(o *object, start int) {
	hash := maphash.Bytes(p.seed, o.name)
	if own := p.names[o.names:]; len(own) < fewNames && slices.Contains(own, hash) {
		p.fail(start, reasonTwice)
	}
	if len(p.names) == maxSegments {
		p.fail(start, "the body has too many names in one object")
		return
	}
	p.names = append(p.names, hash)
}

// unique ends an object: it compares the names of a large one, which addName
// would do in quadratic time.
func (p *parser) unique(o *object) {
	own := p.names[o.names:]
	if len(own) > fewNames && p.err == nil {
		slices.Sort(own)
		for i := range own[1:] {
			if own[i] == own[i+1] {
				p.fail(p.pos, reasonTwice)
			}
		}
	}
	p.names = p.names[:o.names]
}
