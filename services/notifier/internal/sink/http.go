package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	postTimeout = 30 * time.Second // for one request
	maxReply    = 64 << 10         // bytes read of a reply
	maxRetryIn  = time.Hour        // of a Retry-After
)

// HTTP makes the requests of a sink that posts to a URL and whose server reports by
// the status alone whether it has accepted something. It is safe for concurrent use.
type HTTP struct{ client *http.Client }

// NewHTTP returns an HTTP.
func NewHTTP() *HTTP {
	return &HTTP{&http.Client{
		Timeout:   postTimeout,
		Transport: http.DefaultTransport.(*http.Transport).Clone(),
		// The receiver must not choose another place for alerts.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Post makes one request and returns the beginning of the reply of a server that has
// accepted it. Else the error is an [*Error] without the URL, which may have a secret
// path: a status of 400, 413, 415 or 422 is Refused, 429 and 503 are NotSent, 408 and
// all others from 500 on Ambiguous, as is a request without a reply; the rest is
// Broken.
func (h *HTTP) Post(ctx context.Context, address string, header http.Header, body []byte) (reply []byte, err error) {
	return h.request(ctx, http.MethodPost, address, header, body)
}

// Get is Post of a request that asks and sends nothing.
func (h *HTTP) Get(ctx context.Context, address string) error {
	_, err := h.request(ctx, http.MethodGet, address, http.Header{}, nil)
	return err
}

func (h *HTTP) request(ctx context.Context, method, address string, header http.Header, body []byte) (reply []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Class: Broken, Err: withoutURL("preparing the request", err)}
	}
	request.Header = header.Clone()
	request.Header.Set("User-Agent", "openclaw-security-bus")
	response, err := h.client.Do(request)
	if err != nil {
		return nil, &Error{Class: Ambiguous, Err: withoutURL("making the request", err)}
	}
	defer response.Body.Close()
	reply, _ = io.ReadAll(io.LimitReader(response.Body, maxReply))
	if response.StatusCode/100 == 2 {
		return reply, nil
	}
	e := &Error{Class: Broken, Err: fmt.Errorf("the receiver replies %s: %.200q", response.Status, reply)}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.Class, e.RetryAfter = NotSent, retryAfter(response.Header.Get("Retry-After"))
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		e.Class = Refused
	case http.StatusRequestTimeout:
		e.Class = Ambiguous
	default:
		if response.StatusCode >= 500 {
			e.Class = Ambiguous
		}
	}
	return nil, e
}

// retryAfter reads the seconds of a Retry-After; its other form, a date, is
// left to the caller's own patience.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryIn)
}

func withoutURL(doing string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", doing, err)
}
