package forward

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// bodyTime bounds how long a request's body may take. The largest prompts are
// tens of MiB, and the client is on the same machine or network.
const bodyTime = 2 * time.Minute

// firstRead bounds what is allocated on the word of a Content-Length alone, in
// bytes: half a MiB holds all but a few prompts, and a caller who only
// announces a body costs no more.
const firstRead = 512 << 10

var errTooLarge = errors.New("over the limit")

// ReadBody reads the body of r, decodes it (gzip, br or zstd) and returns at
// most limit bytes, which are what is to be inspected and forwarded. The limit
// holds for the body as sent as well as decoded. It blocks until the body has
// ended, for two minutes at most; w is where the time limit is set.
//
// The errors are 413 over the limit, 415 for another encoding, 400 for a body
// that is damaged or breaks off and 408 for one that takes too long.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *llmapi.Error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, bodyError(errTooLarge, limit)
	}
	// The server lifts the deadline when it has read the whole body. If w has
	// none to set (a test's recorder), then there is none to keep.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))

	// Compressed input can be long and give nothing, so that it counts too.
	raw := &limitedReader{r: r.Body, left: limit}
	encoding := contentEncoding(r.Header)
	if encoding == "" {
		body, err := readAll(raw, r.ContentLength)
		return body, bodyError(err, limit)
	}
	if encoding == "deflate" { // two formats go by this name
		return nil, bodyError(errEncoding, limit)
	}
	decoded, err := newDecoder(raw, encoding)
	if err != nil {
		return nil, bodyError(err, limit)
	}
	defer decoded.Close()
	body, err := readAll(&limitedReader{r: decoded, left: limit}, -1)
	return body, bodyError(err, limit)
}

// readAll is io.ReadAll with a first guess at the size; negative for none.
func readAll(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		size = 4 << 10
	}
	body := make([]byte, 0, min(size, firstRead)+1) // one more, to see the end
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		if len(body) == cap(body) {
			body = slices.Grow(body, len(body))
		}
	}
}

func bodyError(err error, limit int64) *llmapi.Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLarge):
		return &llmapi.Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request body has more than %d bytes", limit)}
	case errors.Is(err, errEncoding):
		return &llmapi.Error{Status: http.StatusUnsupportedMediaType, Message: "the Content-Encoding must be gzip, br, zstd or none"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &llmapi.Error{Status: http.StatusRequestTimeout, Message: "the request body took too long"}
	default:
		return &llmapi.Error{Status: http.StatusBadRequest, Message: "the request body is damaged or incomplete"}
	}
}

// limitedReader returns errTooLarge where io.LimitedReader would pretend that
// the input has ended.
type limitedReader struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (l *limitedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), errTooLarge
	}
	l.left -= int64(n)
	return n, err
}
