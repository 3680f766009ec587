package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
	"github.com/openclaw-security/bus/services/proxy/internal/upload"
)

// openUpload has a body with files read as it passes.
func (x *exchange) openUpload() error {
	body, err := forward.UploadBody(x.w, x.r)
	if err != nil {
		return refusedBody(err)
	}
	if x.r.ContentLength > x.p.cfg.MaxUpload {
		return uploadVerdict(upload.ErrTooLarge)
	}
	x.upload, err = upload.NewReader(body, upload.Options{
		API:         x.route.API,
		ContentType: x.r.Header.Get("Content-Type"),
		Length:      x.r.ContentLength,
		Piece:       isPiece(x.r.Header),
		Judge:       x.judgePart,
		Grow:        x.grow,
		MaxBytes:    x.p.cfg.MaxUpload,
		MaxLine:     int(x.p.cfg.MaxBody),
	})
	if err != nil {
		return uploadVerdict(err)
	}
	return nil
}

// readOpaque judges a body of which only an operator knows what it is, as a file would be
// judged, and a form that cannot be read in one way as one file. The record says how it was
// read.
func (x *exchange) readOpaque() error {
	err := x.readAs(x.r.Header.Get("Content-Type"))
	if errors.Is(err, upload.ErrMalformed) || errors.Is(err, upload.ErrRead) {
		err = x.readAs("")
	}
	return uploadVerdict(err)
}

func (x *exchange) readAs(contentType string) error {
	body, err := upload.NewReader(bytes.NewReader(x.body), upload.Options{
		API:         x.route.API,
		ContentType: contentType,
		Length:      int64(len(x.body)),
		Judge:       x.judgePart,
		Grow:        x.grow,
		MaxBytes:    int64(len(x.body)),
		MaxLine:     len(x.body),
	})
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		_ = body.Close() // never fails
		x.record.addFiles(body)
	}
	return err
}

// isPiece reports whether a request brings a part of a file to Gemini, with others before or
// behind it: https://ai.google.dev/api/files.
func isPiece(h http.Header) bool {
	command, offset := h.Get("X-Goog-Upload-Command"), h.Get("X-Goog-Upload-Offset")
	return command != "" && (!strings.Contains(command, "finalize") || offset != "" && offset != "0")
}

// judgePart judges what is to go on next of an upload.
func (x *exchange) judgePart(part *inspect.Request) error {
	x.record.addPart(part)
	return x.judge.request(x.r.Context(), part).Err()
}

// endUpload ends the upload: what the provider has not taken by now, it will not get. It
// waits for a verdict that is under way.
func (x *exchange) endUpload() {
	if x.upload == nil {
		return
	}
	_ = x.upload.Close() // never fails
	x.record.addFiles(x.upload)
}

// uploadBody is an upload whose errors are for its client.
type uploadBody struct{ *upload.Reader }

var _ forward.Upload = uploadBody{}

// Read implements io.Reader.
func (b uploadBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	return n, uploadVerdict(err)
}

// uploadVerdict is the verdict on an upload that has ended with err.
func uploadVerdict(err error) error {
	verdict, known := errors.AsType[*policy.Verdict](err)
	switch {
	case known:
		return verdict
	case errors.Is(err, upload.ErrTooLarge):
		return policy.Unread(llmapi.Error{Status: http.StatusRequestEntityTooLarge, Message: err.Error() + " (PROXY_MAX_UPLOAD)"})
	case errors.Is(err, upload.ErrMalformed):
		return policy.Malformed(err)
	case errors.Is(err, upload.ErrRead):
		return refusedBody(forward.UploadError(err))
	}
	return err
}

// refusedBody is the verdict on a body that could not be read.
func refusedBody(err error) error {
	if refused, ok := errors.AsType[llmapi.Error](err); ok && !errors.As(err, new(*policy.Verdict)) {
		return policy.Unread(refused)
	}
	return err
}
