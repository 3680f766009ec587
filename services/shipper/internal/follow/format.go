package follow

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// format is how a file is compressed.
type format uint8

const (
	plainText format = iota
	gzipped
	zstandard
	xzipped
	bzipped
	// foreign cannot be read here.
	foreign
)

// formatOf returns the format that an extension states.
func formatOf(ext string) (format, bool) {
	switch strings.ToLower(ext) {
	case ".gz", ".gzip":
		return gzipped, true
	case ".zst", ".zstd":
		return zstandard, true
	case ".xz":
		return xzipped, true
	case ".bz2":
		return bzipped, true
	case ".z", ".lz", ".lz4", ".lzma", ".lzo", ".br", ".sz", ".zip", ".7z", ".rar", ".tgz", ".tar", ".gpg", ".age", ".enc":
		return foreign, true
	default:
		return plainText, false
	}
}

// magics are what the formats begin with: RFC 1952, RFC 8878, the xz file format
// 1.1.0, and the manuals of the other programs.
var magics = []struct {
	bytes  string
	format format
}{
	{"\x1f\x8b", gzipped},
	{"\x28\xb5\x2f\xfd", zstandard},
	{"\xfd7zXZ\x00", xzipped},
	{"BZh", bzipped},
	{"\x04\x22\x4d\x18", foreign},   // lz4
	{"\x1f\x9d", foreign},           // compress
	{"\x89LZO\x00", foreign},        // lzop
	{"LZIP", foreign},               // lzip
	{"PK\x03\x04", foreign},         // zip
	{"7z\xbc\xaf\x27\x1c", foreign}, // 7-Zip
	{"\x5d\x00\x00", foreign},       // lzma
	{"\xff\x06\x00\x00sNaPpY", foreign},
	{"\x85\x02", foreign}, // OpenPGP
	{"age-encryption.org/", foreign},
}

// magicSize is the length of the longest of magics.
const magicSize = 19

// sniff returns the format that a file's first bytes tell. One that is named as
// compressed and has nothing in it yet has the format of its name.
func sniff(file io.ReaderAt, named format) format {
	var head [magicSize]byte
	n, _ := file.ReadAt(head[:], 0)
	for _, m := range magics {
		if bytes.HasPrefix(head[:n], []byte(m.bytes)) {
			return m.format
		}
	}
	switch {
	case n >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18":
		return zstandard // a frame to skip, with which parallel compressors begin
	case n > 0 && head[0] == '{':
		return plainText
	case n >= 6 && named != plainText:
		return foreign
	}
	return named
}

// maxWindow bounds the memory that reading a compressed file takes, in bytes.
// xz -9 asks for as much, others for less.
const maxWindow = 64 << 20

// errWindow says that a file asks for more memory than it gets.
var errWindow = fmt.Errorf("its compression takes more than %d MiB of memory to undo", maxWindow>>20)

// newDecoder begins to decompress r.
func newDecoder(f format, r io.Reader) (io.Reader, error) {
	switch f {
	case gzipped:
		return gzip.NewReader(r)
	case zstandard:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return zstdReader{d}, nil
	case xzipped:
		b := bufio.NewReader(r)
		if err := checkDictionary(b); err != nil {
			return nil, err
		}
		return xz.NewReader(b)
	case bzipped:
		return bzip2.NewReader(r), nil
	default:
		return nil, errors.New("compressed in a way that is not read here")
	}
}

// zstdReader makes the errors of a stream that is not complete those of io.
type zstdReader struct{ d *zstd.Decoder }

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.d.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = errWindow
	}
	return n, err
}

func (z zstdReader) Close() error {
	z.d.Close()
	return nil
}

// checkDictionary looks into the header of the first block (xz file format 1.1.0,
// section 3.1) for the size of the dictionary, which the library allocates
// without a limit.
func checkDictionary(b *bufio.Reader) error {
	const (
		streamHeader = 12
		lzma2        = 0x21
		max          = 28 // 64 MiB
	)
	head, err := b.Peek(streamHeader + 2)
	if err != nil {
		return headerError(err)
	}
	size := (int(head[streamHeader]) + 1) * 4
	if size == 4 {
		return nil // an index: the file has no block
	}
	head, err = b.Peek(streamHeader + size)
	if err != nil {
		return headerError(err)
	}
	rest := head[streamHeader+1:]
	flags := rest[0]
	rest = rest[1:]
	for _, present := range []byte{0x40, 0x80} { // compressed and uncompressed size
		for flags&present != 0 && len(rest) > 0 {
			more := rest[0]&0x80 != 0
			rest = rest[1:]
			if !more {
				break
			}
		}
	}
	if len(rest) < 3 || rest[0] != lzma2 {
		return errors.New("compressed with a filter that is not read here")
	}
	if rest[2] > max {
		return errWindow
	}
	return nil
}
