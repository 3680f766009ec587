package chain

import (
	"bufio"
	"bytes"
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
// the next one is in place before the one before is removed: a search in this order
// finds the segment at any time.
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

// meter is called with how many bytes were read from the disk. Its error ends the
// reading.
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
	read meter
}

func (r metered) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if stop := r.read(n); stop != nil {
		return 0, stop
	}
	return n, err
}

// maxLine bounds a line, in bytes: a payload in base64 and what stands around it.
const maxLine = MaxPayload/3*4 + 4096

// maxSegment bounds a segment, in bytes of lines, uncompressed.
const maxSegment = 4 << 30

const readAhead = 256 << 10 // bytes

// errTorn reports that a file ends within a line.
var errTorn = errors.New("the file ends within a line")

var (
	errLineTooLong    = errors.New("the line is longer than any that the log writes")
	errSegmentTooLong = errors.New("the segment is longer than any that the log writes")
)

// line is a line of a segment, newline included. Its bytes, and those of its
// record's payload, last until the next one is read.
type line struct {
	place
	bytes  []byte
	hash   Hash
	prev   Hash
	record Record
	frame  *frame // nil for a record
}

// lineReader reads the lines of a segment.
type lineReader struct {
	in   *bufio.Reader
	long []byte // a line that in's buffer cannot hold
	at   place  // of the next line
}

func newLineReader(s *source) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(s, readAhead), at: place{file: s.name(), line: 1}}
}

// next returns the next line. The error is io.EOF at the end of the last line,
// [errTorn] if there is something behind it, a [*Corruption] for a line that the log
// would not write, behind which reading can go on, or the file cannot be read.
func (r *lineReader) next() (line, error) {
	at := r.at
	raw, err := r.raw()
	if err != nil {
		return line{place: at}, err
	}
	r.at.line++
	r.at.offset += int64(len(raw))
	l := line{place: at, bytes: raw, hash: hashLine(raw)}
	if len(raw) > recordMark && bytes.HasPrefix(raw[recordMark:], []byte(partSeq)) {
		l.prev, l.record, err = parseRecord(raw)
		l.seq = l.record.Seq
	} else if l.frame, err = parseFrame(raw); err == nil {
		l.prev = l.frame.Prev
	}
	if err != nil {
		return l, at.corruption(err.Error())
	}
	return l, nil
}

// recordMark is where a line says what it is.
const recordMark = len(partPrev) + hexHash

func (r *lineReader) raw() ([]byte, error) {
	r.long = r.long[:0]
	for {
		piece, err := r.in.ReadSlice('\n')
		size := len(r.long) + len(piece)
		switch {
		case err == nil && len(r.long) == 0:
			return piece, nil
		case size > maxLine:
			return nil, fmt.Errorf("%s: %w", r.at.file, errLineTooLong)
		case r.at.offset+int64(size) > maxSegment:
			return nil, fmt.Errorf("%s: %w", r.at.file, errSegmentTooLong)
		case err == nil:
			r.long = append(r.long, piece...)
			return r.long, nil
		case errors.Is(err, bufio.ErrBufferFull):
			r.long = append(r.long, piece...)
		case errors.Is(err, io.EOF) && size > 0:
			return nil, errTorn
		default:
			return nil, err
		}
	}
}
