// Package answer passes a model's answer on to the client while it watches it:
// it holds each tool call until that has been judged, ends the answer when a
// forbidden value appears in it, and notes what the audit record holds.
//
//	body ─▶ frames ─▶ format ─────────────────▶ out ─▶ Read
//	        (events)  (messages, chat,           ▲
//	                   responses, gemini)        │ released, in order
//	                      │ calls, text, usage   │
//	                      ▼                      │
//	                    gate ── Judge ─────────▶ held
//
// What goes on is byte for byte what came, except for what an Options field says
// is dropped or refused. Of a call, everything goes on at once but what would let a
// client act: see gate. Clients give up an answer in which nothing comes for too long,
// and many take neither comments nor pings for something. While anything is held,
// what comes after it waits, except for those.
//
// A client's parser decides what the client does, so everything that two parsers
// might read differently is refused while calls are judged: duplicate keys, events
// that are not JSON, fragments of a call that has been released, an event whose
// name and type differ.
package answer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/spelled"
)

const (
	firstBuffer = 8 << 10
	maxRead     = 32 << 10 // bounds what a buffer that has grown takes in at once
	keptBuffer  = 64 << 10 // larger ones are given back
)

// mode is how the bytes of the answer are taken.
type mode uint8

const (
	modeUnknown mode = iota // before the first byte that is not white space
	modeEvents
	modeBody
	modeObjects // of results
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
	scan   scan
	meter  *meter // of an API that holds no calls; nil for the others
	head   []byte // of an error that passes as it comes
	object object // of results, the one that has begun
	inLine bool   // of results, within a line that begins with no object

	buffer []byte
	in     []byte // the part of buffer that has been read from the body and not yet handled
	end    error  // what the body ended with
	closed bool   // the calls left open at the end have been completed

	taken int     // bytes that Grow has been asked for
	held  []byte  // waits for a verdict
	out   []byte  // may go on
	sent  int     // bytes of out that have gone
	last  *[]byte // where the event before went; nil if it was dropped
	err   error   // what Read ends with, once out is empty
}

// NewReader returns a Reader of what may go on of body: an answer without
// Content-Encoding. Closing body is the caller's part, also after a refusal.
func NewReader(body io.Reader, o Options) *Reader {
	if o.MaxCall <= 0 {
		o.MaxCall = DefaultMaxCall
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	r := &Reader{o: o, body: body, scan: newScan()}
	r.gate = gate{judge: o.Judge, maxCall: o.MaxCall, watch: newWatch(o)}
	r.last = &r.out
	r.format = newFormat(o, &r.gate)
	if r.format == nil {
		r.mode, r.meter = modeThrough, newMeter(o, &r.gate)
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
// the whole answer or the event that reports a refusal, with *Refused if the
// answer is refused and not labeled as a stream, which for a JSON body is
// before its first byte, and else with the error of the body.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		for r.err == nil && len(r.out)-r.sent < len(p) && r.wanted() && r.advance() {
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

// wanted reports whether anybody still waits for the answer, and else ends it.
func (r *Reader) wanted() bool {
	if r.o.Canceled == nil {
		return true
	}
	if err := r.o.Canceled(); err != nil {
		r.end = err
		r.gate.abandon(fmt.Errorf("reading the answer: %w", err))
		r.err = err
		return false
	}
	return true
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
	case modeObjects:
		return r.advanceObjects()
	default:
		if r.meter != nil {
			r.meter.write(r.in)
		}
		if r.o.Failed && len(r.head) < maxFault {
			r.head = append(r.head, r.in[:min(len(r.in), maxFault-len(r.head))]...)
		}
		r.out = append(r.out, r.in...)
		r.in = r.in[:0]
		if r.err = r.end; r.err != nil {
			r.gate.failed(r.head)
		}
		return r.end != nil
	}
}

// sniff distinguishes a JSON body from a stream by its first byte: a line that begins
// with a bracket is not a field of an event, and no other begins a JSON text that
// can hold a call. White space without end is not searched over and over, but
// taken for the beginning of a body.
func (r *Reader) sniff() bool {
	if len(r.in) < 4 && r.end == nil {
		return false
	}
	if r.o.API == llmapi.Results && !r.o.Failed && isBinary(r.in) {
		r.through() // no client reads answers in it
		return true
	}
	if start := r.in[:min(len(r.in), 4)]; bytes.IndexByte(start, 0) >= 0 || bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) {
		// There are clients that tell UTF-16 and UTF-32 by their zeros.
		r.unclear(fmt.Errorf("%w: it is not in UTF-8", ErrMalformed))
		r.through()
		return true
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(r.in, byteOrderMark), " \t\r\n")
	switch {
	case r.o.Failed && len(text) > 0 && text[0] == '<':
		r.through() // a gateway's page
	case r.o.API == llmapi.Results:
		if bytes.HasPrefix(r.in, byteOrderMark) {
			r.between(len(byteOrderMark))
		}
		r.mode = modeObjects
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
	if !r.hold(weightJudged * r.gate.largest()) {
		return
	}
	if err := r.gate.decide(len(r.held)); err != nil {
		r.refuse(err)
		return
	}
	r.release()
}

// unclear is for data that is not understood: it refuses the answer if calls are
// judged, and else reports that it may pass. An error passes unless a client could
// find a call in it.
func (r *Reader) unclear(reason error, data ...[]byte) bool {
	if r.o.Judge != nil && (!r.o.Failed || slices.ContainsFunc(data, holdsCall)) {
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
	answer, ok := errors.AsType[llmapi.Error](reason)
	if !ok {
		answer = llmapi.Blocked(reason.Error())
	}
	if !r.o.Stream {
		r.err = &Refused{reason, answer}
		return
	}
	r.out = append(r.out, answer.Event(r.o.API)...)
	r.err = io.EOF
}

// cut ends the answer without what Read has not returned yet: that holds, or
// follows, text that may not go on.
func (r *Reader) cut(reason error) {
	r.out, r.sent = r.out[:0], 0
	if r.o.Stream {
		r.out = append(r.out, "\n\n"...) // what has gone may end within an event
	}
	r.refuse(reason)
}

// fill reads from the body once.
func (r *Reader) fill() {
	switch {
	case r.buffer == nil || len(r.in) == 0 && cap(r.buffer) > keptBuffer:
		r.buffer = make([]byte, firstBuffer)
		r.hold(0)
	case len(r.in) == len(r.buffer):
		larger := min(2*len(r.buffer), r.o.MaxBody+maxRead)
		if r.mode != modeEvents && !r.parsing(larger) || r.mode == modeEvents && !r.hold(larger) {
			return
		}
		r.buffer = make([]byte, larger)
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

// How much a byte takes that is held, as it came or as an argument of a call, and one
// of a call's arguments while it is judged.
const (
	weightHeld   = 2
	weightJudged = 4
)

// hold has Grow know what is held, and that extra bytes are to come, and reports
// whether there is room for them. If there is not, it has ended the answer.
func (r *Reader) hold(extra int) bool {
	err := r.grow(extra)
	if err != nil && r.wanted() {
		r.refuse(err)
	}
	return err == nil
}

// parsing is hold for a body, of which nothing has gone. An error for which there is
// no room passes unread.
func (r *Reader) parsing(extra int) bool {
	err := r.grow(extra)
	switch {
	case err == nil:
		return true
	case !r.wanted():
	case r.o.Failed:
		r.through()
	default:
		r.refuse(err)
	}
	return false
}

func (r *Reader) grow(extra int) error {
	if r.o.Grow == nil {
		return nil
	}
	want := cap(r.buffer) + weightHeld*(len(r.held)+r.gate.kept) + cap(r.out) + extra
	want = want / keptBuffer * keptBuffer // what every answer has is not counted
	if want == r.taken {
		return nil
	}
	err := r.o.Grow(want - r.taken)
	if err == nil {
		r.taken = want
	}
	return err
}

// What a zero MaxCall and MaxBody stand for, in bytes.
const (
	DefaultMaxCall = 4 << 20
	DefaultMaxBody = 32 << 20
)

// Options say what is watched for in one answer.
type Options struct {
	// API is the format of the answer. Messages, ChatCompletions, Responses and
	// GenerateContent are understood; the others pass unseen.
	API llmapi.API

	// Stream says that the answer is labeled as server-sent events. It decides
	// the form of a refusal only: the last event of the stream, or an error of
	// Read. How the answer is read depends on its first byte, as that is what a
	// client goes by that expects one form and gets the other.
	Stream bool

	// Failed says that the answer has the status of an error. Nothing is refused for
	// its form or size then, so that the client learns what the provider says: it passes
	// unless a call is found in it, also by the most lenient of readers, and the call or
	// a forbidden value stops it. What begins as HTML or XML does passes unseen: no
	// client reads calls in that.
	Failed bool

	// Judge is called by Read with each tool call, complete, before the client has
	// all of it. It may block. Nil releases the call; an error ends the answer,
	// and is shown to the client: the [llmapi.Error] in it, or else its text. It
	// is called again for the same call if the answer gives its arguments in
	// different versions. The call may not be kept. Without Judge, nothing is
	// refused for its form.
	Judge func(llmapi.ToolCall) error

	// Text is called by Read when one of the answer's texts begins, and returns what
	// is called with its decoded pieces, which may not be kept, before they go on. An
	// error ends the answer as one of Judge does, and nothing goes on that Read has not
	// returned yet. May be nil.
	Text func(Text) func(piece []byte) error

	// Forbidden are values that end the answer when they appear in it: in its
	// raw bytes, in its decoded text or in a call's arguments, also when split
	// over several events. Text whose end could become one goes on once it can
	// no longer; fewer than 8 matching bytes are not held for that.
	Forbidden [][]byte

	// Spelled finds the values of Forbidden that are written with separators, backwards
	// and the like, in decoded text and in a call's arguments. May be nil.
	Spelled *spelled.Values

	// Canceled is called before each step of Read. Its error, as of the Err of the
	// request's context, ends the answer. May be nil.
	Canceled func() error

	// Grow is called before what the reader holds grows by n bytes beyond what
	// every answer takes, about 100 KiB, and with a negative n when it has shrunk.
	// It may block; an error ends the answer as one of Judge does. What is held at
	// the end is not given back. May be nil.
	Grow func(n int) error

	// Pieces says that Gemini was asked for the arguments of function calls in pieces
	// (streamFunctionCallArguments): a client that was not prepared for them could act
	// on the first.
	Pieces bool

	// Usage is what becomes of the chunk of Chat Completions that has no choices, just the
	// usage.
	Usage UsageMode

	MaxCall int // bytes of one call's arguments; over it, the answer is refused; 0 is DefaultMaxCall
	MaxBody int // bytes of a JSON body, of one event, or of the events that wait; over it, the answer is refused if there is a Judge, else passed on unseen; 0 is DefaultMaxBody
}
