package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Outcome is how an exchange went.
type Outcome struct {
	Status   int   // what the client was sent; 0 if it had gone before
	Upstream int   // the provider's own status; 0 if there was none
	Received int64 // bytes of the answer's body as the provider sent them, before any decoding
	Sent     int64 // bytes of body that the client was sent

	FirstByte time.Duration // from the call of Forward to the first byte of the answer's body; 0 if there was none
	Duration  time.Duration // of Forward

	End End
	// Err says more about the End, for the operator; nil if it is Completed. It
	// holds no key.
	Err error

	// Abort says that the client was not sent all of an answer, or nothing at
	// all. Once the outcome is recorded, the handler must panic with
	// [http.ErrAbortHandler]; if it returned, then the server would end the
	// answer as if it were complete.
	Abort bool
}

// End is what ended an exchange. Its values other than Completed serve as
// error.type in records and metrics.
type End string

// The ends.
const (
	Completed           End = ""                     // the answer has been passed on, with any status
	ClientGone          End = "client_gone"          // the client has closed its connection
	ClientStalled       End = "client_stalled"       // the client has not taken what it was sent in time
	UpstreamUnreachable End = "upstream_unreachable" // no connection, or it broke before there was a status
	UpstreamTimeout     End = "upstream_timeout"     // no status in time
	UpstreamIdle        End = "upstream_idle"        // the answer's body stopped
	UpstreamBroken      End = "upstream_broken"      // the answer's body broke off or is damaged
	UpstreamRedirect    End = "upstream_redirect"    // the provider answered with 3xx, or switched protocols
	UpstreamEncoding    End = "upstream_encoding"    // the answer is in an encoding that is not understood
	AnswerRefused       End = "answer_refused"       // Exchange.Answer's reader refused the answer
	UploadRefused       End = "upload_refused"       // Exchange.Upload refused the request, or its client broke it off
)

// failure is an end and the error for the client, if it can still be sent one.
type failure struct {
	end    End
	err    error
	answer llmapi.Error
}

// errIdle is the cause of the cancellation when an answer's body stops.
var errIdle = errors.New("the provider sends nothing")

// roundTripFailure is about an exchange that has no status.
func roundTripFailure(client context.Context, err error) *failure {
	if client.Err() != nil {
		return clientGone(err)
	}
	if refusal, ok := errors.AsType[llmapi.Error](err); ok && errors.As(err, new(*uploadError)) {
		return &failure{UploadRefused, fmt.Errorf("refusing the upload: %w", err), refusal}
	}
	err = fmt.Errorf("asking the provider: %w", err)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() && !isDial(err) {
		return &failure{UpstreamTimeout, err, llmapi.Error{Status: http.StatusGatewayTimeout, Message: "the provider has not answered in time"}}
	}
	return &failure{UpstreamUnreachable, err, llmapi.Error{Status: http.StatusBadGateway, Message: "the proxy cannot reach the provider"}}
}

func isDial(err error) bool {
	op := new(net.OpError)
	return errors.As(err, &op) && op.Op == "dial"
}

// readFailure is about a body that could not be read to its end. The idle
// timeout shows in the cause of exchange, the context of this one exchange.
func readFailure(client, exchange context.Context, err error) *failure {
	if refusal, ok := errors.AsType[llmapi.Error](err); ok {
		return &failure{AnswerRefused, fmt.Errorf("refusing the answer: %w", err), refusal}
	}
	if client.Err() != nil {
		return clientGone(err)
	}
	if errors.Is(context.Cause(exchange), errIdle) {
		return &failure{UpstreamIdle, errIdle, llmapi.Error{Status: http.StatusGatewayTimeout, Message: "the provider stopped in the middle of its answer"}}
	}
	return &failure{UpstreamBroken, fmt.Errorf("reading the answer: %w", err), llmapi.Error{Status: http.StatusBadGateway, Message: "the provider's answer broke off"}}
}

func writeFailure(err error) *failure {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &failure{end: ClientStalled, err: fmt.Errorf("writing to the client: %w", err)}
	}
	return clientGone(err)
}

func clientGone(err error) *failure {
	return &failure{end: ClientGone, err: fmt.Errorf("the client has gone: %w", err)}
}

// redactedError is an error whose text may hold bytes that the provider sent.
type redactedError struct {
	err  error
	text string
}

// Error implements error.
func (e *redactedError) Error() string { return e.text }

// Unwrap returns the error as it was; its text is not for showing.
func (e *redactedError) Unwrap() error { return e.err }
