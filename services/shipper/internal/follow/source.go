package follow

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// errMoved says that a path no longer leads to the file that was listed.
var errMoved = errors.New("file moved while it was opened")

// errShort says that a file ends before an offset at which it was to be read.
var errShort = errors.New("file is shorter than what was read of it")

// source reads the bytes of one generation at any offset, compressed or not.
type source struct {
	file *os.File
	key  fileKey

	zipped bool
	zip    *gzip.Reader // nil: to be started from the beginning
	pos    int64        // of zip, in decompressed bytes
	// short says why the compressed file could not be read to its end, as is
	// so while it is still being written; "" if it could.
	short string
}

// openSource opens path, which must still be the regular file that key names.
func openSource(path string, key fileKey, zipped bool) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && keyOf(info) != key {
		err = errMoved
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &source{file: file, key: key, zipped: zipped}, nil
}

func (s *source) close() error { return s.file.Close() }

func (s *source) stat() (fs.FileInfo, error) { return s.file.Stat() }

// readAt fills p from offset off. Fewer bytes without an error mean that the
// generation ends there for now.
func (s *source) readAt(p []byte, off int64) (int, error) {
	if s.zipped {
		return s.readZipped(p, off)
	}
	n, err := s.file.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// readZipped decompresses forward and starts again from the beginning for an
// offset it has passed. What can be decompressed of a damaged or unfinished file
// is read.
func (s *source) readZipped(p []byte, off int64) (int, error) {
	n, err := s.inflate(p, off)
	s.short = ""
	var pathError *fs.PathError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return n, nil
	case errors.As(err, &pathError):
		return n, err
	default:
		s.zip = nil
		s.short = "the compressed file is incomplete or damaged: " + err.Error()
		return n, nil
	}
}

func (s *source) inflate(p []byte, off int64) (n int, err error) {
	if s.zip == nil || off < s.pos {
		s.zip, s.pos = nil, 0
		if _, err := s.file.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		if s.zip, err = gzip.NewReader(s.file); err != nil {
			return 0, headerError(err)
		}
	}
	skipped, err := io.CopyN(io.Discard, s.zip, off-s.pos)
	s.pos += skipped
	for n < len(p) && err == nil {
		var m int
		m, err = s.zip.Read(p[n:])
		n += m
		s.pos += int64(m)
	}
	return n, err
}

// headerError makes an empty file the early end that it is: its compressor has
// not written anything yet.
func headerError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// holds reports whether the bytes at offset off are still want.
func (s *source) holds(want []byte, off int64, scratch *[tailSize]byte) (bool, error) {
	n, err := s.readAt(scratch[:len(want)], off)
	return bytes.Equal(scratch[:n], want), err
}

// before returns the up to 256 bytes before offset off, or errShort.
func (s *source) before(off int64) ([]byte, error) {
	tail := make([]byte, min(tailSize, off))
	n, err := s.readAt(tail, off-int64(len(tail)))
	if err == nil && n < len(tail) {
		err = errShort
	}
	return tail, err
}

// trailer returns the decompressed size that a compressed file states at its
// end (RFC 1952, ISIZE), which is exact for one member of less than 4 GiB, or 0.
func (s *source) trailer() int64 {
	const size = 4
	info, err := s.file.Stat()
	if err != nil {
		return 0
	}
	var b [size]byte
	if _, err := s.file.ReadAt(b[:], info.Size()-size); err != nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(b[:]))
}
