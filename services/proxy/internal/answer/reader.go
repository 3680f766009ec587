// Package answer passes a model's answer on to the client while it watches it:
// it holds each tool call until that has been judged, ends the answer when a
// forbidden value appears in it, and notes what the audit record wants to know.
//
//	body ─▶ frames ─▶ format ─────────────────▶ out ─▶ Read
//	        (events)  (messages, chat,           ▲
//	                   responses, gemini)        │ released, in order
//	                      │ calls, text, usage   │
//	                      ▼                      │
//	                    gate ── Judge ─────────▶ held
//
// What goes on is byte for byte what came, save for what an Options field says
// is dropped or refused. While a call is held, what comes after it waits, except
// for comments and pings, which keep the connection alive.
//
// A client's parser decides what the client does, so whatever two parsers might
// read differently is refused while calls are judged: duplicate keys, events
// that are no JSON, fragments of a call that has been released, an event whose
// name and type differ.
package answer

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

const (
	firstBuffer = 8 << 10
	maxRead     = 32 << 10 // bounds what a buffer that has grown takes in at once
	keptBuffer  = 64 << 10 // larger ones are given back
)

// mode is how the bytes of the answer are taken.
type mode uint8

const (
	modeUnknown mode = iota // before the first byte that is no white space
	modeEvents
	modeBody
	modeThrough // as they come
)

// Reader yields what may go on of one answer. It is for one goroutine.
type Reader struct {
	o      Options
	body   io.Reader
	mode   mode
	format format
	gate   gate
	frames frames

	buffer []byte
	in     []byte // the part of buffer that has been read from the body and not yet handled
	end    error  // what the body ended with
	closed bool   // the calls left open at the end have been completed

	held []byte  // waits for a verdict
	out  []byte  // may go on
	sent int     // bytes of out that have gone
	last *[]byte // where the event before went; nil if it was dropped
	err  error   // what Read ends with, once out is empty
}

// NewReader returns a Reader of what may go on of body: an answer without
// Content-Encoding. Closing body is the caller's part, also after a refusal.
func NewReader(body io.Reader, o Options) *Reader {
	if o.MaxHeld <= 0 {
		o.MaxHeld = DefaultMaxHeld
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	r := &Reader{o: o, body: body}
	r.gate = gate{judge: o.Judge, text: o.Text, watch: newWatch(o.Forbidden)}
	r.last = &r.out
	r.format = newFormat(o, &r.gate)
	if r.format == nil {
		r.mode = modeThrough
	}
	return r
}

// Result returns what was seen so far. It is final once Read has returned an
// error.
func (r *Reader) Result() Result {
	result := r.gate.result
	if result.Usage != nil {
		result.Usage = new(*result.Usage)
	}
	return result
}

// Read yields what may go on, as soon as there is any. It ends with io.EOF after
// the whole answer or the event that tells of a refusal, with *Refused if the
// answer is refused and not labelled as a stream, which for a JSON body is
// before its first byte, and else with the error of the body.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		for r.err == nil && len(r.out)-r.sent < len(p) && r.advance() {
		}
		if n := r.deliver(p); n > 0 {
			return n, nil
		}
		if r.err != nil {
			return 0, r.err
		}
		// Both of these may block, so only with nothing left to deliver.
		if r.gate.undecided() {
			r.decide()
		} else {
			r.fill()
		}
	}
}

// deliver copies what may go on to p.
func (r *Reader) deliver(p []byte) int {
	n := copy(p, r.out[r.sent:])
	r.sent += n
	if r.sent == len(r.out) {
		r.out, r.sent = emptied(r.out), 0
	}
	return n
}

// advance does one step that needs no waiting, and reports whether there was
// one.
func (r *Reader) advance() bool {
	if r.gate.undecided() {
		return false
	}
	switch r.mode {
	case modeUnknown:
		return r.sniff()
	case modeEvents:
		return r.advanceEvents()
	case modeBody:
		return r.advanceBody()
	default:
		r.out = append(r.out, r.in...)
		r.in = r.in[:0]
		r.err = r.end
		return r.end != nil
	}
}

// sniff tells a JSON body from a stream by its first byte: a line that begins
// with a bracket is no field of an event, and no other begins a JSON text that
// can hold a call. White space without end is not searched over and over, but
// taken for the beginning of a body.
func (r *Reader) sniff() bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(r.in, byteOrderMark), " \t\r\n")
	switch {
	case len(text) > 0 && (text[0] == '{' || text[0] == '['), len(text) == 0 && len(r.in) >= firstBuffer:
		r.mode = modeBody
	case len(text) > 0 && len(r.in) >= len(byteOrderMark), r.end != nil:
		r.mode = modeEvents
	default:
		return false
	}
	return true
}

// decide has the complete calls judged.
func (r *Reader) decide() {
	if err := r.gate.decide(); err != nil {
		r.refuse(err)
		return
	}
	r.release()
}

// unclear is for what is not understood: it refuses the answer if calls are
// judged, and else reports that it may pass.
func (r *Reader) unclear(reason error) bool {
	if r.o.Judge != nil {
		r.refuse(reason)
		return false
	}
	return true
}

// through stops looking, unless the answer has been refused.
func (r *Reader) through() {
	if r.err != nil {
		return
	}
	r.gate.completeAll()
	r.release()
	r.mode = modeThrough
}

// broken ends an answer that broke off: a call of which the end is missing
// cannot be judged.
func (r *Reader) broken() {
	if !r.gate.gated() {
		r.through()
		return
	}
	r.gate.abandon(fmt.Errorf("reading the answer: %w", r.end))
	r.err = r.end
}

// refuse ends the answer.
func (r *Reader) refuse(reason error) {
	r.gate.abandon(reason)
	r.gate.result.Blocked = reason
	r.held, r.in, r.buffer = nil, nil, nil
	if !r.o.Stream {
		r.err = &Refused{Reason: reason}
		return
	}
	r.out = append(r.out, llmapi.Error{Status: http.StatusBadRequest, Message: reason.Error()}.Event(r.o.API)...)
	r.err = io.EOF
}

// fill reads from the body once.
func (r *Reader) fill() {
	switch {
	case r.buffer == nil || len(r.in) == 0 && cap(r.buffer) > keptBuffer:
		r.buffer = make([]byte, firstBuffer)
	case len(r.in) == len(r.buffer):
		r.buffer = make([]byte, 2*len(r.buffer))
	}
	kept := len(r.in)
	if kept > 0 && &r.in[0] != &r.buffer[0] {
		copy(r.buffer, r.in)
	}
	room := r.buffer[kept:min(len(r.buffer), kept+maxRead)]
	for range 100 {
		n, err := r.body.Read(room)
		r.in, r.end = r.buffer[:kept+n], err
		if n > 0 || err != nil {
			return
		}
	}
	r.end = io.ErrNoProgress
}

// emptied returns b without its content, and without its storage if that has
// grown large.
func emptied(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}
