package answer

import (
	"bytes"
	"fmt"
	"io"
)

// advanceEvents handles the next event, or the end of the stream.
func (r *Reader) advanceEvents() bool {
	ev, n := r.frames.next(r.in, r.end == io.EOF)
	switch {
	case n > 0:
		r.in = r.in[n:]
		r.handle(ev)
	case len(r.in) > r.o.MaxBody:
		r.unclear(ErrTooLarge)
		r.through()
	case r.end == nil:
		return false
	case r.end != io.EOF:
		r.broken()
	case !r.closed:
		r.closed = true
		r.gate.completeAll()
		r.release()
	default:
		r.err = io.EOF
	}
	return true
}

// handle puts an event where it belongs.
func (r *Reader) handle(ev event) {
	if ev.tail {
		if r.last != nil {
			*r.last = append(*r.last, ev.raw...)
		}
		return
	}
	to, err := ahead, error(nil)
	switch {
	case ev.ambiguous:
		to, err = pass, fmt.Errorf("%w: a field that some clients read as data", ErrMalformed)
	case string(bytes.TrimSpace(ev.data)) == "[DONE]":
		to = pass
		r.gate.completeAll()
	case len(bytes.TrimSpace(ev.data)) > 0:
		to, err = r.format.event(ev.name, ev.data)
	}
	// First this, so that no error can quote a forbidden value.
	if r.gate.watch.found || r.gate.watch.in(ev.raw) {
		r.refuse(ErrForbidden)
		return
	}
	if err != nil && !r.unclear(err) {
		return
	}
	switch {
	case to == drop:
		r.last = nil
	case to == pass && (len(r.held) > 0 || r.gate.holding()):
		r.held, r.last = append(r.held, ev.raw...), &r.held
		if r.gate.holding() && len(r.held) > r.o.MaxHeld {
			r.refuse(ErrTooLarge)
			return
		}
	default:
		r.out, r.last = append(r.out, ev.raw...), &r.out
	}
	r.release()
}

// release lets what is held go, if nothing holds it any more.
func (r *Reader) release() {
	if len(r.held) == 0 || r.gate.holding() {
		return
	}
	r.gate.released = len(r.gate.result.ToolCalls)
	r.out = append(r.out, r.held...)
	r.held = emptied(r.held)
	if r.last == &r.held {
		r.last = &r.out
	}
}

// advanceBody handles the body once it is there.
func (r *Reader) advanceBody() bool {
	switch {
	case len(r.in) > r.o.MaxBody:
		r.unclear(ErrTooLarge)
		r.through()
	case r.end == nil:
		return false
	case r.end != io.EOF:
		r.broken()
	case !r.closed:
		r.closed = true
		err := r.format.body(bytes.TrimPrefix(r.in, byteOrderMark))
		if r.gate.watch.found || r.gate.watch.in(r.in) {
			r.refuse(ErrForbidden)
			return true
		}
		if err != nil && !r.unclear(err) {
			return true
		}
		r.gate.completeAll()
	default:
		r.out, r.in, r.buffer = r.in, nil, nil
		r.err = io.EOF
	}
	return true
}
