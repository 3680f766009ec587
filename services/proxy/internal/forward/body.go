package forward

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// bodyTime bounds how long a request's body may take. The largest prompts are
// tens of MiB, and the client is on the same machine or network.
const bodyTime = 2 * time.Minute

// bodyIdle bounds how long a body may go without a byte.
const bodyIdle = 15 * time.Second

// firstRead is how much room a body has before any of it has come, in bytes: who
// only announces one costs no more.
const firstRead = 8 << 10

var errTooLarge = errors.New("over the limit")

// Room is where the memory for what is read is taken from, and given back to, in
// bytes. Take may block; its error ends what needs the memory. Both may be called
// from several goroutines.
type Room interface {
	Take(n int64) error
	Give(n int64)
}

// ReadBody reads the body of r, decodes it (gzip, br or zstd) and returns at
// most limit bytes, which are what is to be inspected and forwarded. The limit
// holds for the body as sent as well as decoded. It blocks until the body has
// ended, for two minutes at most and 15 seconds between two reads; w is where the
// time limit is set. The capacity of the body that it returns has been taken from
// room, as the body came.
//
// The errors are an [llmapi.Error] (413 over the limit, 415 for another encoding,
// 400 for a body that is damaged or breaks off and 408 for one that takes too
// long) and what room returns.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64, room Room) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, bodyError(errTooLarge, limit)
	}
	in := &clientBody{body: r.Body, control: http.NewResponseController(w), idle: bodyIdle, end: time.Now().Add(bodyTime)}
	// Compressed input can be long and give nothing, so that it counts too.
	raw := &limitedReader{r: in, left: limit}
	encoding := contentEncoding(r.Header)
	if encoding == "" {
		body, err := readAll(raw, r.ContentLength, limit, room)
		return body, bodyError(err, limit)
	}
	if encoding == "deflate" { // two formats go by this name
		return nil, bodyError(errEncoding, limit)
	}
	// Who only announces a body takes no room for its decoder.
	begun := bufio.NewReaderSize(raw, firstRead)
	if _, err := begun.Peek(1); err != nil && err != io.EOF {
		return nil, bodyError(err, limit)
	}
	decoded, err := newDecoder(begun, encoding)
	if err != nil {
		return nil, bodyError(err, limit)
	}
	defer decoded.Close()
	if err := room.Take(decoded.weight); err != nil {
		return nil, err
	}
	defer room.Give(decoded.weight)
	body, err := readAll(&limitedReader{r: decoded, left: limit}, -1, limit, room)
	return body, bodyError(err, limit)
}

// clientBody is a request's body with its time limits. The server lifts the
// deadline when it has read the whole body. If there is none to set (with a
// test's recorder), then there is none to keep.
type clientBody struct {
	body    io.Reader
	control *http.ResponseController
	idle    time.Duration // between two reads
	end     time.Time
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	deadline := time.Now().Add(b.idle)
	if deadline.After(b.end) {
		deadline = b.end
	}
	_ = b.control.SetReadDeadline(deadline)
	return b.body.Read(p)
}

// What is read of a body that nobody wants, so that its client sees the answer.
const (
	drainBytes = 64 << 20
	drainTime  = 5 * time.Second
	drainIdle  = time.Second
)

// Drained answers r by answer, and then reads what its client still sends of a body.
// If the connection were closed with bytes of it unread, then the client's system would
// throw the answer away (RFC 9112, section 9.6), and a client that sees a reset tries
// again where a 413 is final. It blocks for 5 seconds at most, for one without a byte.
func Drained(w http.ResponseWriter, r *http.Request, answer func()) {
	if r.Body == nil || r.Body == http.NoBody {
		answer()
		return
	}
	if r.ContentLength > drainBytes {
		w.Header().Set("Connection", "close")
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // else the server reads, or closes the body, before it answers
	answer()
	if r.Header.Get("Expect") != "" || control.Flush() != nil { // the former sends a body only if asked for it
		return
	}
	body := &clientBody{body: r.Body, control: control, idle: drainIdle, end: time.Now().Add(drainTime)}
	_, _ = io.CopyN(io.Discard, body, drainBytes) // what goes wrong ends it, and that is all
}

// roomError is what there was no room for.
type roomError struct{ error }

// readAll is io.ReadAll with the room that it takes. Where the size is known, not
// negative, the last room is just large enough.
func readAll(r io.Reader, size, limit int64, room Room) (body []byte, err error) {
	if size < 0 {
		size = limit
	}
	taken := int64(0)
	defer func() {
		if err != nil {
			room.Give(taken)
		}
	}()
	for {
		if len(body) == cap(body) {
			larger := max(2*int64(cap(body)), firstRead)
			if int64(cap(body)) <= size && larger >= size {
				larger = size + 1 // one more, to see the end
			}
			if err := room.Take(larger); err != nil {
				return nil, roomError{err}
			}
			taken += larger
			grown := make([]byte, len(body), larger)
			copy(grown, body)
			room.Give(int64(cap(body)))
			taken -= int64(cap(body))
			body = grown
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// bodyError is err as the client is told it.
func bodyError(err error, limit int64) error {
	if full := (roomError{}); errors.As(err, &full) {
		return full.error
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLarge):
		return llmapi.Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request body has more than %d bytes", limit)}
	case errors.Is(err, errEncoding):
		return llmapi.Error{Status: http.StatusUnsupportedMediaType, Message: "the Content-Encoding must be gzip, br, zstd or none"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return llmapi.Error{Status: http.StatusRequestTimeout, Message: "the request body took too long"}
	default:
		return llmapi.Error{Status: http.StatusBadRequest, Message: "the request body is damaged or incomplete"}
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
