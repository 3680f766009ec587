package forward

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
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

	// Answer is told the answer's status and its header, as the client will see
	// them, and returns the reader through which the body passes on its way;
	// body has no encoding any more. A read should return as soon as there is
	// something. Nil passes the body as it is. The header is not to be changed.
	Answer func(status int, header http.Header, body io.Reader) io.Reader
}

// Forward sends the request x on behalf of r, of which only parts of the header
// are used, and writes the answer to w. It blocks until the answer has ended, and
// it ends at once when the context of r does.
//
// Server-sent events are passed on from the first moment, and flushed with each
// read. Any other body is read before its status is sent, as far as the first
// read of Answer's reader goes, so that a [Refusal] can still take its place.
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
	failed := f.run(u.request(ctx, r, x), x.Answer, cancel)
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

// WriteError answers with e in the form of provider.
func WriteError(w http.ResponseWriter, provider llmapi.Provider, e llmapi.Error) {
	writeError(w, e.Status, e.Body(provider))
}

func writeError(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the only error is a client that has gone
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

func (f *flight) run(request *http.Request, answer func(int, http.Header, io.Reader) io.Reader, cancel context.CancelCauseFunc) *failure {
	response, err := f.upstream.transport.RoundTrip(request)
	if err != nil {
		return roundTripFailure(f.client, err)
	}
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
		body = decoded
	}
	delete(response.Header, "Content-Encoding")

	events := isEventStream(response.Header)
	// A body of a length that is known beforehand is not a stream.
	f.out.flush = events || response.ContentLength < 0
	responseHeader(response.Header)
	f.upstream.secrets.redactHeader(response.Header)
	if answer != nil {
		body = answer(response.StatusCode, response.Header, body)
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
			return readFailure(f.client, f.ctx, readErr)
		case n == 0:
			if idle++; idle == maxEmptyReads {
				return readFailure(f.client, f.ctx, io.ErrNoProgress)
			}
		}
	}
}

// maxEmptyReads is how many reads in a row may return nothing and no error.
const maxEmptyReads = 100

// fail records what went wrong and tells the client, if it can still be told.
func (f *flight) fail(failed *failure) {
	f.outcome.End = failed.end
	f.outcome.Err = &redactedError{failed.err, string(f.upstream.secrets.redact([]byte(failed.err.Error())))}
	if f.outcome.Status != 0 || failed.answer.Status == 0 {
		f.outcome.Abort = true
		return
	}
	f.outcome.Status = failed.answer.Status
	body := f.upstream.secrets.redact(failed.answer.Body(f.upstream.provider))
	f.out.deadline()
	writeError(f.out.w, failed.answer.Status, body)
	f.out.sent += int64(len(body))
}

func isEventStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}
