package forward_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// flusher is a compressor that can send what it has.
type flusher interface {
	io.WriteCloser
	Flush() error
}

// compressor returns a writer of encoding, nil for none.
func compressor(t testing.TB, w io.Writer, encoding string) flusher {
	t.Helper()
	switch encoding {
	case "gzip":
		return gzip.NewWriter(w)
	case "deflate":
		return zlib.NewWriter(w)
	case "br":
		return brotli.NewWriter(w)
	case "zstd":
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	return nil
}

func compress(t testing.TB, encoding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := compressor(t, &b, encoding)
	if w == nil {
		return []byte(text)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func withBody(body []byte, encoding ...string) *http.Request {
	r := httptest.NewRequest("POST", "/v1/messages", bytes.NewReader(body))
	if encoding != nil {
		r.Header["Content-Encoding"] = encoding
	}
	return r
}

func TestReadBody(t *testing.T) {
	text := strings.Repeat(`{"role":"user"}`, 1000) // 15000 bytes
	for _, encoding := range []string{"", "identity", "gzip", "GZIP", "x-gzip", "br", "zstd"} {
		t.Run(encoding, func(t *testing.T) {
			format := strings.TrimPrefix(strings.ToLower(encoding), "x-")
			body, refusal := forward.ReadBody(httptest.NewRecorder(), withBody(compress(t, format, text), encoding), int64(len(text)), new(room))
			if refusal != nil {
				t.Fatalf("refused: %v", refusal)
			}
			if string(body) != text {
				t.Errorf("got %d bytes", len(body))
			}
		})
	}
}

func TestReadBodyOfUnknownLength(t *testing.T) {
	text := strings.Repeat("x", 1<<20)
	r := withBody([]byte(text))
	r.ContentLength = -1
	if body, refusal := forward.ReadBody(httptest.NewRecorder(), r, 2<<20, new(room)); refusal != nil || string(body) != text {
		t.Errorf("got %d bytes, %+v", len(body), refusal)
	}
}

// room is what has been taken, up to a limit if that is set.
type room struct {
	held, most, limit int64
}

var errNoRoom = errors.New("no room")

func (r *room) Take(n int64) error {
	if r.limit > 0 && r.held+n > r.limit {
		return errNoRoom
	}
	r.held += n
	r.most = max(r.most, r.held)
	return nil
}

func (r *room) Give(n int64) { r.held -= n }

func TestRoomIsTakenAsTheBodyComes(t *testing.T) {
	const size = 1 << 20
	tests := []struct {
		name     string
		length   int64  // that is announced
		body     string // that comes
		encoding string
		limit    int64
		most     int64
		held     int64 // in the end
		want     error
	}{
		{"nothing of what was announced", size, "", "", 0, 8 << 10, 0, nil},
		{"a little of what was announced", size, "{", "", 0, 8 << 10, 0, nil},
		{"all of it", size, strings.Repeat("x", size), "", 0, size*3/2 + 1, size + 1, nil},
		{"a small one without a length", -1, "{}", "", 0, 8 << 10, 8 << 10, nil},
		{"no room", size, strings.Repeat("x", size), "", size / 2, size / 2, 0, errNoRoom},
		{"no room to decode", -1, "x", "br", 1 << 20, 0, 0, errNoRoom},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := withBody([]byte(tt.body), tt.encoding)
			if tt.body == "" || tt.length > int64(len(tt.body)) {
				r.Body = io.NopCloser(io.MultiReader(strings.NewReader(tt.body), failing{io.ErrUnexpectedEOF}))
			}
			r.ContentLength = tt.length
			room := &room{limit: tt.limit}
			body, err := forward.ReadBody(httptest.NewRecorder(), r, 2*size, room)
			if tt.want != nil && !errors.Is(err, tt.want) || tt.held != 0 && err != nil {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			if room.most > tt.most || room.held != tt.held {
				t.Errorf("took %d at most, held %d; want %d, %d", room.most, room.held, tt.most, tt.held)
			}
		})
	}
}

// wideWindow is a zstd frame that asks for 16 MiB of memory: magic number, no
// flags, a window descriptor of exponent 14, one raw block of a byte.
var wideWindow = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3, 0x09, 0x00, 0x00, 'x'}

func TestReadBodyRefuses(t *testing.T) {
	text := strings.Repeat("a", 1000)
	gzipped := compress(t, "gzip", text)
	many := bytes.Repeat(compress(t, "gzip", ""), 100) // no content in 2300 bytes
	chunked := withBody([]byte(text))
	chunked.ContentLength = -1
	slow := withBody(nil)
	slow.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), failing{os.ErrDeadlineExceeded}))
	slow.ContentLength = 10
	tests := []struct {
		name    string
		request *http.Request
		status  int
	}{
		{"too long", withBody([]byte(text)), 413},
		{"too long, chunked", chunked, 413},
		{"too long when decoded, gzip", withBody(gzipped, "gzip"), 413},
		{"too long when decoded, br", withBody(compress(t, "br", text), "br"), 413},
		{"too long when decoded, zstd", withBody(compress(t, "zstd", text), "zstd"), 413},
		{"too long, and nothing when decoded", withBody(many, "gzip"), 413},
		{"deflate", withBody(nil, "deflate"), 415},
		{"unknown", withBody([]byte("x"), "compress"), 415},
		{"two encodings", withBody([]byte("x"), "gzip, br"), 415},
		{"two encodings, two lines", withBody([]byte("x"), "gzip", "gzip"), 415},
		{"damaged", withBody([]byte("no gzip"), "gzip"), 400},
		{"cut short", withBody(compress(t, "gzip", "a")[:20], "gzip"), 400},
		{"with more after it", withBody(append(compress(t, "gzip", "a"), "more"...), "gzip"), 400},
		{"with more after it, br", withBody(append(compress(t, "br", "a"), "more"...), "br"), 400},
		{"a window over the bound", withBody(wideWindow, "zstd"), 400},
		{"slow", slow, 408},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.request.Body == http.NoBody {
				test.request.Body = io.NopCloser(strings.NewReader("x"))
			}
			room := new(room)
			body, err := forward.ReadBody(httptest.NewRecorder(), test.request, 999, room)
			refusal, ok := errors.AsType[llmapi.Error](err)
			if !ok {
				t.Fatalf("got %d bytes, %v", len(body), err)
			}
			if refusal.Status != test.status || body != nil {
				t.Errorf("got %+v and %d bytes", refusal, len(body))
			}
			if room.held != 0 {
				t.Errorf("%d bytes are not given back", room.held)
			}
		})
	}
}

func TestSlowBodyIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t, nil)
		start := time.Now()
		response, _ := rig.raw("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
		if response.StatusCode != 408 || time.Since(start) != 15*time.Second {
			t.Errorf("status %d after %v", response.StatusCode, time.Since(start))
		}
	})
}

// failing is a reader of an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestCompressedRequestGoesOnAsItWasInspected(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		t.Run(encoding, func(t *testing.T) {
			arrived := make(chan received, 1)
			rig := newRig(t, recorder(arrived))
			request := message(t.Context(), string(compress(t, encoding, `{"a":1}`)))
			request.Header.Set("Content-Encoding", encoding)
			if _, err := rig.do(request); err != nil {
				t.Fatal(err)
			}
			if got := <-arrived; got.body != `{"a":1}` || got.Header["Content-Encoding"] != nil {
				t.Errorf("got %q, encoding %q", got.body, got.Header["Content-Encoding"])
			}
		})
	}
}

// One request with two lengths is where servers that stand behind each other
// disagree on where the next one starts.
func TestTwoLengthsAreOneRequest(t *testing.T) {
	const head = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	tests := []struct {
		name, text string
		body       string // empty for refused
	}{
		{"chunked and a length", head + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "{}"},
		{"chunked with trailers", head + "Transfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n\r\n2\r\n{}\r\n0\r\nX-Api-Key: caller\r\n\r\n", "{}"},
		{"two lengths", head + "Content-Length: 2\r\nContent-Length: 4\r\n\r\n{}{}", ""},
		{"other transfer encoding", head + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", ""},
		{"expectation", head + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", "{}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			arrived := make(chan received, 2)
			rig := newRig(t, recorder(arrived))
			response, _ := rig.raw(test.text)
			if test.body == "" {
				if response.StatusCode < 400 || len(arrived) > 0 {
					t.Errorf("status %d, %d arrived", response.StatusCode, len(arrived))
				}
				return
			}
			got := <-arrived
			if got.body != test.body || got.ContentLength != int64(len(test.body)) || got.TransferEncoding != nil || got.Trailer != nil {
				t.Errorf("got %q, length %d, %v, trailer %v", got.body, got.ContentLength, got.TransferEncoding, got.Trailer)
			}
			if got.Header["Expect"] != nil || len(arrived) > 0 {
				t.Errorf("header %v, %d more requests", got.Header, len(arrived))
			}
		})
	}
}

func FuzzReadBody(f *testing.F) {
	for _, encoding := range []string{"", "gzip", "br", "zstd"} {
		f.Add(compress(f, encoding, `{"model":"m"}`), encoding)
	}
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		const limit = 1000
		got, refusal := forward.ReadBody(httptest.NewRecorder(), withBody(body, encoding), limit, new(room))
		switch {
		case len(got) > limit:
			t.Errorf("%d bytes", len(got))
		case refusal != nil && got != nil:
			t.Errorf("both a body and %v", refusal)
		case refusal == nil && encoding == "" && string(got) != string(body):
			t.Errorf("got %q of %q", got, body)
		}
	})
}
