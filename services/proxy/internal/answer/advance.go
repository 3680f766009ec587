package answer

import (
	"bytes"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// advanceEvents handles the next event, or the end of the stream.
func (r *Reader) advanceEvents() bool {
	ev, n := r.frames.next(r.in, r.complete())
	switch {
	case n > 0:
		r.in = r.in[n:]
		r.handle(ev)
	case len(r.in) > r.o.MaxBody:
		r.unclear(ErrTooLarge)
		r.through()
	case r.end == nil:
		return false
	case !r.complete():
		r.broken()
	case !r.closed:
		r.closed = true
		r.gate.completeAll()
		if r.stopped(nil) {
			return true
		}
		r.release()
	default:
		r.err = r.end
	}
	return true
}

// complete reports whether there is no more of the answer than what has come. An error
// that broke off is one all the same.
func (r *Reader) complete() bool { return r.end == io.EOF || r.end != nil && r.o.Failed }

// handle puts an event where it belongs.
func (r *Reader) handle(ev event) {
	if ev.tail {
		if r.last != nil {
			*r.last = append(*r.last, ev.raw...)
		}
		return
	}
	to, err := ahead, error(nil)
	r.gate.begins()
	switch {
	case ev.ambiguous:
		to, err = pass, fmt.Errorf("%w: a field that some clients read as data", ErrMalformed)
	case string(bytes.TrimSpace(ev.data)) == "[DONE]":
		to = pass
		r.gate.completeAll()
	case len(bytes.TrimSpace(ev.data)) > 0:
		if !r.hold(parseWeight(ev.data)) {
			return
		}
		if to, err = pass, r.scan.bounded(ev.data); err == nil {
			to, err = r.format.event(ev.name, ev.data)
		}
		r.overlooked(ev.data)
	}
	for _, f := range ev.fields {
		if r.gate.watch.add(key{index: int(f.kind), kind: elsewhere}, f.value) && to == ahead {
			to = pass // it waits for what follows
		}
	}
	// First these, so that no error can quote a forbidden value.
	if r.stopped(ev.raw) || err != nil && !r.unclear(err, ev.texts()...) {
		return
	}
	switch {
	case to == drop:
		r.last = nil
	case to == pass && (len(r.held) > 0 || r.gate.holds()):
		r.gate.place(len(r.held))
		r.held, r.last = append(r.held, ev.raw...), &r.held
		if len(r.held) > r.o.MaxBody+len(ev.raw) {
			r.refuse(ErrTooLarge)
			return
		}
		if !r.hold(0) {
			return
		}
	default:
		r.out, r.last = append(r.out, ev.raw...), &r.out
	}
	r.release()
}

// stopped ends the answer if what raw holds may not go on in any case.
func (r *Reader) stopped(raw []byte) bool {
	w := &r.gate.watch
	if w.stopped != nil {
		r.cut(w.stopped)
		return true
	}
	found := w.found
	if found == nil {
		found = w.in(raw)
	}
	if found == nil && r.gate.over {
		found = ErrTooLarge
	}
	if found != nil {
		r.refuse(found)
	}
	return found != nil
}

// release lets go what nothing holds any more of what is held.
func (r *Reader) release() {
	if len(r.held) == 0 {
		return
	}
	n := r.gate.free(len(r.held))
	r.out = append(r.out, r.held[:n]...)
	if n < len(r.held) {
		r.held = r.held[:copy(r.held, r.held[n:])]
		return
	}
	r.held = emptied(r.held)
	if r.last == &r.held {
		r.last = &r.out
	}
}

// parseBody reads a body. An error can be a list of errors, as at Gemini's endpoint
// in OpenAI's form.
func (r *Reader) parseBody(data []byte) error {
	if !r.o.Failed || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return r.format.body(data)
	}
	var list []jsontext.Value
	if err := parse(data, &list); err != nil {
		return err
	}
	for _, one := range list {
		if one.Kind() != '{' {
			continue
		}
		if err := r.format.body(one); err != nil {
			return err
		}
	}
	return nil
}

// advanceBody handles the body once it is there.
func (r *Reader) advanceBody() bool {
	switch {
	case len(r.in) > r.o.MaxBody:
		r.unclear(ErrTooLarge)
		r.through()
	case r.end == nil:
		return false
	case !r.complete():
		r.broken()
	case !r.closed:
		r.closed = true
		if !r.parsing(parseWeight(r.in)) {
			return true
		}
		data := bytes.TrimPrefix(r.in, byteOrderMark)
		r.gate.single = true
		err := r.scan.bounded(data)
		if err == nil {
			err = r.parseBody(data)
		}
		if r.o.Failed {
			r.gate.failed(data)
		}
		r.overlooked(data)
		r.gate.watch.endAll()
		if r.stopped(r.in) || err != nil && !r.unclear(err, data) {
			return true
		}
		r.gate.completeAll()
	default:
		r.out, r.in, r.buffer = r.in, nil, nil
		r.err = r.end
	}
	return true
}

// emptied returns b without its content, and without its storage if that has
// grown large.
func emptied(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}
