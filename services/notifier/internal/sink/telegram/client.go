package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/render"
)

const (
	// requestTimeout is longer than the 60 seconds for which the server may hold
	// back a request that came too soon, and then accept it.
	requestTimeout = 90 * time.Second
	maxResponse    = 1 << 20 // bytes
	maxErrorRunes  = 300     // of what a server or a library says
)

// client makes the Bot API's requests.
type client struct {
	methods string // URL before the method's name; the token is in it
	secret  string // the part of the token that nobody may see
	http    *http.Client
}

func newClient(api string, token config.Secret) *client {
	_, secret, _ := strings.Cut(token.Reveal(), ":")
	return &client{
		methods: api + "/bot" + token.Reveal() + "/",
		secret:  secret,
		http: &http.Client{
			// HTTP/1.1 alone, which a transport of one's own speaks unless it is
			// told otherwise: one request at a time on a connection, so that what
			// had been written when it broke is certain.
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
				TLSHandshakeTimeout:    15 * time.Second,
				IdleConnTimeout:        time.Minute,
				MaxIdleConnsPerHost:    2,
				MaxResponseHeaderBytes: 64 << 10,
			},
			// To follow would be to send the message, and the token, elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// apiError is a response of the Bot API that reports an error.
type apiError struct {
	method      string
	code        int
	description string // cleaned
	retryAfter  int64  // seconds
	migrateTo   int64
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s: %s (%d)", e.method, e.description, e.code)
}

// says reports whether the description has one of the phrases, in any case.
func (e *apiError) says(phrases ...string) bool {
	description := strings.ToLower(e.description)
	for _, p := range phrases {
		if strings.Contains(description, strings.ToLower(p)) {
			return true
		}
	}
	return false
}

// transportError is a request without a usable response.
type transportError struct {
	method  string
	written bool   // the server may have the request
	text    string // cleaned, without the token
	cause   error  // the end of a context, or nil: other causes may quote the URL
}

func (e *transportError) Error() string { return e.method + ": " + e.text }

func (e *transportError) Unwrap() error { return e.cause }

// call makes one request and puts the response's result into result, unless that
// is nil. The error is an [*apiError] or a [*transportError].
func (c *client) call(ctx context.Context, method string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := json.Marshal(params)
	if err != nil {
		return c.broke(ctx, method, false, fmt.Errorf("encoding the request: %w", err))
	}
	var written atomic.Bool
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// The transport gets another connection if the kept one turns out to
		// be closed before anything was written.
		GetConn:          func(string) { written.Store(false) },
		WroteHeaderField: func(string, []string) { written.Store(true) },
	}), http.MethodPost, c.methods+method, bytes.NewReader(body))
	if err != nil {
		return c.broke(ctx, method, false, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return c.broke(ctx, method, written.Load(), err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	switch {
	case err != nil:
		return c.broke(ctx, method, true, fmt.Errorf("reading the response: %w", err))
	case len(content) > maxResponse:
		return c.broke(ctx, method, true, fmt.Errorf("the response is larger than %d bytes", maxResponse))
	case response.StatusCode/100 == 3:
		return c.broke(ctx, method, false, fmt.Errorf("redirected by status %d, which the Bot API never does", response.StatusCode))
	}
	return c.response(method, response.StatusCode, content, result)
}

// response reads what the server said.
func (c *client) response(method string, status int, content []byte, result any) error {
	var a struct {
		OK          *bool           `json:"ok"`
		Result      json.RawMessage `json:"result"`
		Code        int             `json:"error_code"`
		Description string          `json:"description"`
		Parameters  struct {
			RetryAfter int64 `json:"retry_after"`
			MigrateTo  int64 `json:"migrate_to_chat_id"`
		} `json:"parameters"`
	}
	if err := json.Unmarshal(content, &a); err != nil || a.OK == nil {
		return &transportError{method: method, written: true, text: fmt.Sprintf("status %d with a body that is not the Bot API's", status)}
	}
	if !*a.OK {
		if a.Code == 0 {
			a.Code = status
		}
		return &apiError{
			method:      method,
			code:        a.Code,
			description: c.clean(a.Description),
			retryAfter:  a.Parameters.RetryAfter,
			migrateTo:   a.Parameters.MigrateTo,
		}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return &transportError{method: method, written: true, text: "the result is not of the form that is documented"}
	}
	return nil
}

// broke is the error of a request that got no response.
func (c *client) broke(ctx context.Context, method string, written bool, err error) error {
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL
	}
	return &transportError{method: method, written: written, text: c.clean(err.Error()), cause: ctx.Err()}
}

// clean makes foreign words fit for an error. The token can be in any of them: a
// proxy may show the path that it was asked for.
func (c *client) clean(text string) string {
	return strings.ReplaceAll(render.Clean(strings.ReplaceAll(text, c.secret, "[redacted]"), maxErrorRunes), c.secret, "[redacted]")
}
