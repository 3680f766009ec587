package follow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openclaw-security/bus/services/shipper/internal/safeopen"
)

// errMoved says that a path no longer leads to the file that was listed.
var errMoved = errors.New("file moved while it was opened")

// errShort says that a file ends before an offset at which it was to be read.
var errShort = errors.New("file is shorter than what was read of it")

// source reads the bytes of one generation at any offset, compressed or not.
type source struct {
	file *os.File
	key  fileKey

	format format
	zip    io.Reader // nil: to be started from the beginning
	pos    int64     // of zip, in decompressed bytes
	// short says why the compressed file could not be read to its end, as is
	// so while it is still being written; "" if it could.
	short string
}

// open opens e, which must still be the regular file that its key names and which
// no other user of the machine may have put there, and notes how it is compressed.
func (e *entry) open() (*source, error) {
	var file *os.File
	var err error
	if e.held != nil {
		file, err = duplicate(e.held)
	} else {
		file, err = safeopen.Open(e.path)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && keyOf(info) != e.key {
		err = errMoved
	}
	if err == nil {
		err = spare(file)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	if e.moved {
		e.format = sniff(file, e.format)
	}
	s := &source{file: file, key: e.key, format: e.format}
	if e.format == foreign {
		// Its raw bytes are what it is known by.
		s.format = plainText
	}
	return s, nil
}

// duplicate returns a second descriptor of a file that may have no name.
func duplicate(file *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "dup", Path: file.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}

// spareDescriptors are left for the rest of the process: connections, and the
// answer that says that descriptors are short.
const spareDescriptors = 8

// spare returns an error like the kernel's if file has taken one of the last
// descriptors. The kernel gives out the lowest that is free.
func spare(file *os.File) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil //nolint:nilerr // There is nothing to keep to.
	}
	if uint64(file.Fd())+spareDescriptors >= uint64(limit.Cur) { //nolint:unconvert // Cur is an int64 on FreeBSD.
		return &fs.PathError{Op: "open", Path: file.Name(), Err: syscall.EMFILE}
	}
	return nil
}

func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (s *source) close() error {
	s.restart()
	return s.file.Close()
}

// restart gives up decompressing where it is.
func (s *source) restart() {
	if c, ok := s.zip.(io.Closer); ok {
		_ = c.Close() // It frees memory and has nothing to say.
	}
	s.zip, s.pos = nil, 0
}

func (s *source) stat() (fs.FileInfo, error) { return s.file.Stat() }

// readAt fills p from offset off. Fewer bytes without an error mean that the
// generation ends there for now.
func (s *source) readAt(p []byte, off int64) (int, error) {
	if s.format != plainText {
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
		s.restart()
		s.short = "the compressed file is incomplete or damaged: " + err.Error()
		return n, nil
	}
}

func (s *source) inflate(p []byte, off int64) (n int, err error) {
	if s.zip == nil || off < s.pos {
		s.restart()
		if _, err := s.file.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		if s.zip, err = newDecoder(s.format, s.file); err != nil {
			s.zip = nil
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

// length returns how many bytes src has, decompressing all of it into buf if need
// be.
func (s *source) length(buf []byte) (int64, error) {
	if s.format == plainText {
		info, err := s.stat()
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	for off := int64(0); ; {
		n, err := s.readAt(buf, off)
		off += int64(n)
		if err != nil || n < len(buf) {
			return off, err
		}
	}
}

// trailer returns the decompressed size that a gzip file states at its end
// (RFC 1952, ISIZE), which is exact for one member of less than 4 GiB, or 0.
func (s *source) trailer() int64 {
	const size = 4
	if s.format != gzipped {
		return 0
	}
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

// links returns how many names a file has.
func links(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink) //nolint:unconvert // Nlink is a uint16 on Darwin.
	}
	return 1
}

// fileKey is the device and inode of a file: a hint that two paths or two
// moments mean the same file, never a proof, for inodes are reused.
type fileKey struct{ dev, ino uint64 }

func keyOf(info os.FileInfo) fileKey {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileKey{}
	}
	return fileKey{dev: uint64(st.Dev), ino: st.Ino} //nolint:unconvert // Dev is an int32 on Darwin.
}
