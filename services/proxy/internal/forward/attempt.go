package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// repeatTime is for how long after it was written a request may be sent once more. A
// server that closes a kept connection, or refuses a stream, crosses with the request: that
// shows within a round trip. Who closes later may have begun to work on it, and bills.
const repeatTime = 2 * time.Second

// errNotRepeated is why the transport is given no second copy of a body.
var errNotRepeated = errors.New("the connection broke or the provider refused the request, which is not sent once more")

// attempt is one request on its way to a provider, and the same once more if the provider
// says that it has not processed it:
//
//   - HTTP/2: by GOAWAY with a lower stream, or by REFUSED_STREAM (RFC 9113, sections 6.8
//     and 8.7). The transport knows, and asks for the body again.
//   - HTTP/1: by closing a connection that was kept, without a byte of an answer (RFC 9112,
//     section 9.3.1). For a POST the transport leaves that to its caller.
//
// Nothing else is sent twice.
type attempt struct {
	mu       sync.Mutex
	body     []byte
	over     bool   // it is not sent again, and body is gone
	release  func() // reports that body is gone; may be nil
	timer    *time.Timer
	repeated bool

	reused, multiplexed, answered bool // of the connection
	written                       time.Time
}

// send sends the request until the provider has answered with a status, twice at most.
func (u *Upstream) send(ctx context.Context, in *http.Request, x Exchange) (*http.Response, error) {
	if x.Upload != nil {
		return u.sendUpload(ctx, in, x)
	}
	a := &attempt{body: x.Body, release: x.Sent}
	defer a.end()
	response, err := u.transport.RoundTrip(a.watch(ctx, u.request(in, x)))
	if err == nil || ctx.Err() != nil || !a.closedUnread(err) {
		return response, err
	}
	again, repeatErr := a.again()
	if repeatErr != nil {
		return nil, err
	}
	request := u.request(in, x)
	request.Body = again
	return u.transport.RoundTrip(request.WithContext(ctx))
}

// watch has the attempt follow request, which has a body.
func (a *attempt) watch(ctx context.Context, request *http.Request) *http.Request {
	first := bytes.NewReader(a.body)
	// A body that is there, even if it has no bytes: without one the transport
	// sends some requests again by rules of its own. The type is one that the
	// transport knows to be in memory, so that it sends header and body together.
	request.Body = io.NopCloser(first)
	request.GetBody = a.again
	return request.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			secure, ok := c.Conn.(*tls.Conn)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.reused, a.answered = c.Reused, false
			a.multiplexed = ok && secure.ConnectionState().NegotiatedProtocol == "h2"
		},
		// The transport keeps the request as long as the answer streams, which can be
		// minutes; the bytes are not needed once they are written.
		WroteRequest: func(httptrace.WroteRequestInfo) {
			first.Reset(nil)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.written = time.Now()
			if a.timer == nil {
				a.timer = time.AfterFunc(repeatTime, a.end)
			}
		},
		GotFirstResponseByte: func() {
			a.mu.Lock()
			a.answered = true
			a.mu.Unlock()
			a.end()
		},
	}))
}

// again is the body once more, until one that it has returned was read: the transport asks
// for several, and sends one.
func (a *attempt) again() (io.ReadCloser, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.repeated {
		return nil, errNotRepeated
	}
	return io.NopCloser(&repeatedBody{a, bytes.NewReader(a.body)}), nil
}

// closedUnread reports whether err is that a kept connection of HTTP/1 was closed before
// there was an answer, and soon.
func (a *attempt) closedUnread(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	timeout := net.Error(nil)
	return a.reused && !a.multiplexed && !a.answered && !(errors.As(err, &timeout) && timeout.Timeout()) &&
		(a.written.IsZero() || time.Since(a.written) < repeatTime)
}

// end gives the body up.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	a.over, a.body = true, nil
	if a.release != nil {
		a.release()
		a.release = nil
	}
}

// repeatedBody is a second copy. It gives its bytes up once they have been read.
type repeatedBody struct {
	of    *attempt
	bytes *bytes.Reader
}

// Read implements io.Reader.
func (b *repeatedBody) Read(p []byte) (int, error) {
	b.of.mu.Lock()
	b.of.repeated = true
	b.of.mu.Unlock()
	n, err := b.bytes.Read(p)
	if err == io.EOF {
		b.bytes.Reset(nil)
	}
	return n, err
}
