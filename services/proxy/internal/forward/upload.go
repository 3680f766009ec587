package forward

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// uploadTime bounds how long a body may take that is passed on as it comes: it holds
// little memory.
const uploadTime = time.Hour

// UploadBody is the body of r, which may take an hour, and 15 seconds between two reads.
// w is where the time limit is set. An error of the body is an [llmapi.Error].
func UploadBody(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	if encoding := contentEncoding(r.Header); encoding != "" {
		return nil, llmapi.Error{Status: http.StatusUnsupportedMediaType, Message: "an upload must not have a Content-Encoding"}
	}
	return &clientBody{body: r.Body, control: http.NewResponseController(w), idle: bodyIdle, end: time.Now().Add(uploadTime)}, nil
}

// UploadError is an error of an upload's body as its client is told it.
func UploadError(err error) error { return bodyError(err, 0) }

// sendUpload sends a request whose body is there once.
func (u *Upstream) sendUpload(ctx context.Context, in *http.Request, x Exchange) (*http.Response, error) {
	body := &uploadBody{Upload: x.Upload}
	request := u.request(in, x)
	request.Body, request.ContentLength = io.NopCloser(body), x.Upload.Length()
	if kind := x.Upload.ContentType(); kind != "" {
		request.Header["Content-Type"] = []string{kind}
	}
	response, err := u.transport.RoundTrip(request.WithContext(ctx))
	if refused := body.refused(); refused != nil {
		if response != nil {
			response.Body.Close()
		}
		return nil, &uploadError{refused}
	}
	return response, err
}

// uploadBody remembers what an upload ended with, which a transport need not pass on.
type uploadBody struct {
	Upload
	mu  sync.Mutex
	err error
}

// Read implements io.Reader.
func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.Upload.Read(p)
	if err != nil && err != io.EOF {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

func (b *uploadBody) refused() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// uploadError is why an upload ended before the provider had all of it.
type uploadError struct{ error }

// Unwrap returns what the upload ended with.
func (e *uploadError) Unwrap() error { return e.error }

// uploadURL is the header in which Gemini's API says where the bytes of a file go:
// https://ai.google.dev/api/files#method:-media.upload.
const uploadURL = "X-Goog-Upload-Url"

// nameHere has the place for a file's bytes be one of this proxy. The provider's own would
// be a way past it, for which a client has no key.
func (u *Upstream) nameHere(answer http.Header, r *http.Request, route Route) {
	named := answer.Get(uploadURL)
	if named == "" {
		return
	}
	delete(answer, uploadURL)
	there, err := url.Parse(named)
	if err != nil || there.Host != u.base.Host {
		return
	}
	path := there.EscapedPath()
	if base := u.base.Path; base != "" {
		path = strings.TrimPrefix(path, base)
	}
	if route.Upstream != "" {
		path = servicePrefix + route.Upstream + path
	}
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	answer[uploadURL] = []string{fmt.Sprintf("%s://%s%s?%s", scheme, r.Host, path, there.RawQuery)}
}
