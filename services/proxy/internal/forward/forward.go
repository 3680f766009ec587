// Package forward carries a request to a model provider and the answer back,
// and decides who may send which requests. It holds the only copy of the provider's
// key.
//
//	request ─▶ Table.Match ─▶ Access.Check ─▶ ReadBody ─▶ Upstream.Forward ─▶ provider
//	           method, path,   Host, Origin,      decoded,     key in, caller's      │
//	           query           client token       bounded      credentials out       │
//	                                                                                 ▼
//	client ◀─ key redacted ◀─ Exchange.Answer ◀─ decoded (gzip, br, zstd) ◀─ idle timeout
//
// What goes upstream is built anew rather than copied and cleaned: the path and
// the query from the Route that an allowlist has found, the header from the
// names that another lets through, the body from the bytes that were inspected.
// What no rule mentions therefore does not pass.
//
// # Why not httputil.ReverseProxy
//
// Its services are not wanted here. It copies headers, trailers, informational
// answers and protocol upgrades, each of which would have to be undone. It
// writes the status before the body is read, while an answer may be refused on
// account of its body. It has no deadline for a client that does not read. What is
// left is a RoundTrip and a copy, and these are written out in Forward.
//
// # Retries
//
// A provider bills what it has begun; callers retry by themselves, and then each attempt
// is audited. So a request is sent once more only if the provider has not processed it,
// which attempt knows of: that costs nothing, and a caller would take it for a failure.
package forward

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Exchange is one request on its way upstream.
type Exchange struct {
	Route Route

	// Body is sent as it is. The transport may still read it when Forward has
	// returned, so that it may not be written to again.
	Body []byte

	// Upload is sent in the place of Body, if it is set: once, as it comes. An
	// [llmapi.Error] in the tree of its error refuses the request.
	Upload Upload

	// Sent is called once Body is not needed any more, by any goroutine. May be nil.
	Sent func()

	// Again is asked about an answer with the status 400 or 422, of which problem is the
	// beginning. If it returns a body, the answer is dropped and the request sent once
	// more, with that body. May be nil.
	Again func(problem []byte) []byte

	// Room is where the memory for decoding an answer is taken from; nil if that has
	// no bound.
	Room Room

	// Answer is called with the answer's status and its header, as the client will
	// see them, and returns the reader through which the body passes on its way;
	// body has no encoding any more. A read should return as soon as there is
	// something. Nil passes the body as it is. The header is not to be changed.
	//
	// If an [llmapi.Error] is in the tree of an error of the reader, the answer is
	// refused: the client gets the Error in place of the provider's answer, if no
	// byte of the body has been read before, and else an answer that breaks off.
	Answer func(status int, header http.Header, body io.Reader) io.Reader
}

// Upload is a body that is not held in memory.
type Upload interface {
	io.Reader
	ContentType() string
	Length() int64 // in bytes; negative if it is not known
}

// Forward sends the request x on behalf of r, of which only parts of the header
// are used, and writes the answer to w. It blocks until the answer has ended, and
// it ends at once when the context of r does.
//
// Server-sent events are passed on from the first moment, and flushed with each
// read. Any other body is read before its status is sent, as far as the first
// read of Answer's reader goes, so that an error can still take its place.
// What goes wrong before the status is sent is answered with an error in the
// provider's form.
func (u *Upstream) Forward(w http.ResponseWriter, r *http.Request, x Exchange) Outcome {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)

	f := &flight{
		upstream: u,
		client:   r.Context(),
		ctx:      ctx,
		out:      sink{w: w, control: http.NewResponseController(w), timeout: u.writeTimeout, scrubber: scrubber{secrets: u.secrets}},
	}
	failed := f.run(r, x, cancel)
	if failed != nil {
		f.fail(failed)
	}
	f.outcome.Sent = f.out.sent
	if !f.raw.first.IsZero() {
		f.outcome.FirstByte = f.raw.first.Sub(start)
	}
	f.outcome.Received = f.raw.count
	f.outcome.Duration = time.Since(start)
	return f.outcome
}

// flight is an exchange while it lasts.
type flight struct {
	upstream *Upstream
	client   context.Context // done when the client has gone
	ctx      context.Context // done when the exchange is over
	raw      rawBody
	out      sink
	outcome  Outcome
}

func (f *flight) run(r *http.Request, x Exchange, cancel context.CancelCauseFunc) *failure {
	response, err := f.upstream.send(f.ctx, r, x)
	if err != nil {
		return roundTripFailure(f.client, err)
	}
	f.upstream.nameHere(response.Header, r, x.Route)
	defer response.Body.Close()
	f.outcome.Upstream = response.StatusCode
	if response.StatusCode < 200 || response.StatusCode >= 300 && response.StatusCode < 400 {
		// Following it would take the key to a place of the answer's choice.
		return &failure{UpstreamRedirect, fmt.Errorf("the provider answered with status %d", response.StatusCode), llmapi.Error{
			Status:  http.StatusBadGateway,
			Message: fmt.Sprintf("the provider answered with status %d, which this proxy neither follows nor passes on", response.StatusCode),
		}}
	}

	f.raw = rawBody{body: response.Body, limit: f.upstream.idleTimeout}
	f.raw.timer = time.AfterFunc(f.raw.limit, func() { cancel(errIdle) })
	f.raw.timer.Stop() // until a read waits
	var body io.Reader = &f.raw
	if encoding := contentEncoding(response.Header); encoding != "" {
		decoded, err := newDecoder(body, encoding)
		if err != nil {
			return &failure{UpstreamEncoding, fmt.Errorf("reading the answer: %w", err), llmapi.Error{
				Status:  http.StatusBadGateway,
				Message: "the provider's answer is in an encoding that this proxy does not understand",
			}}
		}
		defer decoded.Close()
		if x.Room != nil {
			if err := x.Room.Take(decoded.weight); err != nil {
				return readFailure(f.client, f.ctx, err)
			}
			defer x.Room.Give(decoded.weight)
		}
		body = decoded
	}
	delete(response.Header, "Content-Encoding")
	if x.Again != nil && (response.StatusCode == http.StatusBadRequest || response.StatusCode == http.StatusUnprocessableEntity) {
		problem, err := io.ReadAll(io.LimitReader(body, maxProblem))
		if err != nil {
			return readFailure(f.client, f.ctx, err)
		}
		if x.Body = x.Again(problem); x.Body != nil {
			x.Again = nil
			response.Body.Close()
			return f.run(r, x, cancel)
		}
		body = io.MultiReader(bytes.NewReader(problem), body)
	}

	events := IsEventStream(response.Header)
	// A body of a length that is known beforehand is not a stream.
	f.out.flush = events || response.ContentLength < 0
	responseHeader(response.Header)
	f.upstream.secrets.redactHeader(response.Header)
	if x.Answer != nil {
		body = x.Answer(response.StatusCode, response.Header, body)
	}
	return f.relay(response, body, events)
}

// relay copies body to the client. Unless it is made of events, the status
// waits for the first read.
func (f *flight) relay(response *http.Response, body io.Reader, events bool) *failure {
	buffer := f.upstream.buffers.Get().(*[bufferSize]byte)
	defer f.upstream.buffers.Put(buffer)
	start := func() {
		if f.outcome.Status == 0 {
			f.outcome.Status = response.StatusCode
			f.out.start(response.StatusCode, response.Header)
		}
	}
	if events {
		start()
		if err := f.out.send(nil); err != nil {
			return writeFailure(err)
		}
	}
	for idle := 0; ; {
		n, readErr := body.Read(buffer[:])
		if n > 0 {
			idle = 0
			start()
			if err := f.out.write(buffer[:n], false); err != nil {
				return writeFailure(err)
			}
		}
		switch {
		case readErr == io.EOF:
			start()
			if err := f.out.write(nil, true); err != nil {
				return writeFailure(err)
			}
			return nil
		case readErr != nil:
			failed := readFailure(f.client, f.ctx, readErr)
			if response.StatusCode >= http.StatusBadRequest && failed.end != AnswerRefused {
				start() // an error that broke off is still an error
				f.out.rest()
			}
			return failed
		case n == 0:
			if idle++; idle == maxEmptyReads {
				return readFailure(f.client, f.ctx, io.ErrNoProgress)
			}
		}
	}
}

// maxProblem is how much of an error Exchange.Again is shown, in bytes.
const maxProblem = 16 << 10

// maxEmptyReads is how many reads in a row may return nothing and no error.
const maxEmptyReads = 100

// fail records what went wrong and reports it to the client, if that is still possible.
func (f *flight) fail(failed *failure) {
	f.outcome.End = failed.end
	f.outcome.Err = &redactedError{failed.err, string(f.upstream.secrets.redact([]byte(failed.err.Error())))}
	if f.outcome.Status != 0 || failed.answer.Status == 0 {
		f.outcome.Abort = true
		return
	}
	f.outcome.Status = failed.answer.Status
	f.out.deadline()
	f.out.sent += int64(failed.answer.Write(f.out.w, f.upstream.provider, f.upstream.secrets.redact))
}

// IsEventStream reports whether a body is labeled as server-sent events.
func IsEventStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}
