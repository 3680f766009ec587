package forward

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds a zstd decoder's memory in bytes: the window that RFC 9659
// allows for content on the web. The other formats have a bound of their own,
// of which Brotli's 16 MiB is the largest.
const maxWindow = 8 << 20

// What decoding takes, in bytes: the window of gzip and deflate (RFC 1951) with its
// buffers; the largest window of Brotli, or of what is accepted of zstd, and as much
// again while it fills.
const (
	smallWindow = 128 << 10
	largeWindow = 32 << 20
)

// errEncoding says that a body is in no encoding that is understood here.
var errEncoding = errors.New("unknown content encoding")

// contentEncoding is the one encoding that h declares, in lower case, empty for
// none. Several encodings of one body come back as they are, and are not
// understood.
func contentEncoding(h http.Header) string {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(h["Content-Encoding"], ",")))
	switch encoding {
	case "identity":
		return ""
	case "x-gzip":
		return "gzip"
	}
	return encoding
}

// decoder reads body without its encoding. It returns what it has as soon as
// the other side has flushed it, and it holds a window, never the body: how far
// a body may grow is for its reader to say. Close gives up the memory.
type decoder struct {
	body   io.Reader
	weight int64 // what it takes once it reads, in bytes
	open   func(io.Reader) (io.ReadCloser, error)
	// Opened with the first Read, because that reads a header and blocks.
	reader io.ReadCloser
	err    error
}

// newDecoder returns a decoder, or an error that wraps errEncoding.
func newDecoder(body io.Reader, encoding string) (*decoder, error) {
	d := &decoder{body: body, weight: smallWindow}
	switch encoding {
	case "gzip":
		d.open = func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }
	case "deflate":
		d.open = zlib.NewReader
	case "br":
		d.weight = largeWindow
		d.open = func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(brotli.NewReader(r)), nil }
	case "zstd":
		d.weight = largeWindow
		d.open = func(r io.Reader) (io.ReadCloser, error) {
			// One decoder, no goroutines: blocks come out as they come in.
			z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			return z.IOReadCloser(), nil
		}
	default:
		return nil, fmt.Errorf("%w %.50q", errEncoding, encoding)
	}
	return d, nil
}

// Read implements io.Reader. A body that ends within the encoding is an error.
func (d *decoder) Read(p []byte) (int, error) {
	if d.reader == nil && d.err == nil {
		reader, err := d.open(d.body)
		if err != nil {
			d.err = err
		} else {
			d.reader = reader
		}
	}
	if d.err != nil {
		return 0, d.err
	}
	return d.reader.Read(p)
}

// Close implements io.Closer. It does not close the body.
func (d *decoder) Close() error {
	if d.reader == nil {
		return nil
	}
	return d.reader.Close()
}
