package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// form is how a segment is kept. A segment goes through them in this order, and
// the next one is in place before the one before is removed: whoever looks for
// them in this order finds the segment at any time.
type form int

const (
	plain      form = iota // lines
	compressed             // the same lines, in zstd
	stub                   // header, footer and removal
)

// suffixes returns the ends of the file names, by form.
func suffixes() []string { return []string{".jsonl", ".jsonl.zst", ".stub.jsonl"} }

func fileName(number uint64, f form) string { return fmt.Sprintf("%08d%s", number, suffixes()[f]) }

func parseFileName(name string) (number uint64, f form, ok bool) {
	digits, suffix, _ := strings.Cut(name, ".")
	f = form(slices.Index(suffixes(), "."+suffix))
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || f < 0 || number == 0 || fileName(number, f) != name {
		return 0, 0, false
	}
	return number, f, true
}

// segmentFile is a file of a segment in a directory.
type segmentFile struct {
	number uint64
	form   form
	size   int64 // bytes on disk
}

func (s segmentFile) name() string { return fileName(s.number, s.form) }

// listSegments returns the files of the segments in dir, by number and form.
func listSegments(dir string) ([]segmentFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []segmentFile
	for _, e := range entries {
		number, f, ok := parseFileName(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has taken its next form meanwhile
		}
		if err != nil {
			return nil, err
		}
		files = append(files, segmentFile{number, f, info.Size()})
	}
	slices.SortFunc(files, func(a, b segmentFile) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.form, b.form))
	})
	return files, nil
}

// current returns one file per segment, the one that is read.
func current(files []segmentFile) []segmentFile {
	return slices.CompactFunc(slices.Clone(files), func(a, b segmentFile) bool { return a.number == b.number })
}

// maxWindow bounds the memory that a compressed segment can ask for, in bytes.
// The log itself writes with a smaller window.
const maxWindow = 8 << 20

// source is a segment that is being read.
type source struct {
	io.Reader // the lines
	segmentFile
	file    *os.File
	decoder *zstd.Decoder
}

// meter is told of the bytes that are read from the disk. Its error ends it.
type meter func(n int) error

// untilDone is a meter that ends the reading with ctx.
func untilDone(ctx context.Context) meter { return func(int) error { return ctx.Err() } }

// openSegment opens a segment in the form that it is in.
func openSegment(dir string, number uint64, m meter) (*source, error) {
	var err error
	for f := plain; f <= stub; f++ {
		var opened *os.File
		opened, err = os.Open(filepath.Join(dir, fileName(number, f)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return newSource(opened, number, f, m)
	}
	return nil, err
}

func newSource(opened *os.File, number uint64, f form, m meter) (*source, error) {
	s := &source{segmentFile: segmentFile{number: number, form: f}, file: opened, Reader: metered{opened, m}}
	if f != compressed {
		return s, nil
	}
	var err error
	s.decoder, err = zstd.NewReader(s.Reader, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	s.Reader = s.decoder
	return s, nil
}

// close frees what the source holds. The file was only read from.
func (s *source) close() {
	if s.decoder != nil {
		s.decoder.Close()
	}
	s.file.Close() //nolint:errcheck // it was only read from
}

type metered struct {
	from io.Reader
	told meter
}

func (r metered) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if told := r.told(n); told != nil {
		return 0, told
	}
	return n, err
}
