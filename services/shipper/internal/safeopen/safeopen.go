// Package safeopen opens files that a sensor writes, and refuses those that
// another user of the machine may have put there.
//
//	/ ─▶ tmp (1777, shared) ─▶ tracee ─▶ out ─▶ events.json
//	      from here on every directory, link and file must belong to root or to
//	      this process's user, and only its owner may write to it
//
// Each step is opened relative to the one before and judged by its open
// descriptor, so that nothing can be exchanged between the check and the use.
package safeopen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsafe is what the error of Open wraps if another user may have written or
// placed the file.
var ErrUnsafe = errors.New("another user may have written it")

// maxLinks is how many symbolic links of a path are followed, as on Linux.
const maxLinks = 40

const (
	groupWrite = 0o020
	otherWrite = 0o002
)

// Open opens the regular file at path for reading. Errors are *fs.PathError.
//
// A file that everybody may write is refused anywhere. On a path through a
// directory that everybody may write, such as /tmp, every later directory,
// symbolic link and the file itself must belong to root or to the effective
// user, and may be writable only by its owner and by root's or the effective
// group; a directory may also be writable by everybody if it is sticky. A link
// is not followed out of a shared directory without the sticky bit, and a file
// with several names is refused in any shared directory, because any user could
// have linked it there.
func Open(path string) (*os.File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	w := walk{root: "/", uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	return w.open(abs)
}

// walk goes down a path, one open directory after the other.
type walk struct {
	root     string
	uid, gid uint32
	dirs     []dir
}

// open opens the file at path, which begins at the root of the walk.
func (w *walk) open(path string) (*os.File, error) {
	defer w.up(0)
	fd, err := w.find(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// dir is an open directory.
type dir struct {
	fd   int
	path string
	// shared says that everybody may write to it, sticky that they may not
	// rename or remove what belongs to others.
	shared, sticky bool
	// below is the directory on the way here that everybody may write to; ""
	// if there is none.
	below string
}

// up closes all but the first n directories.
func (w *walk) up(n int) {
	for _, d := range w.dirs[n:] {
		_ = unix.Close(d.fd)
	}
	w.dirs = w.dirs[:n]
}

func (w *walk) find(path string) (int, error) {
	if err := w.down(unix.AT_FDCWD, w.root); err != nil {
		return -1, err
	}
	rest := split(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			w.up(max(1, len(w.dirs)-1))
			continue
		}
		at := w.dirs[len(w.dirs)-1]
		var st unix.Stat_t
		err := retry(func() error { return unix.Fstatat(at.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
		if err != nil {
			return -1, err
		}
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFLNK:
			if links++; links > maxLinks {
				return -1, unix.ELOOP
			}
			target, err := w.link(at, name, &st)
			if err != nil {
				return -1, err
			}
			if filepath.IsAbs(target) {
				w.up(1)
			}
			rest = slices.Concat(split(target), rest)
		case len(rest) > 0:
			if err := w.down(at.fd, name); err != nil {
				return -1, err
			}
		case st.Mode&unix.S_IFMT != unix.S_IFREG:
			return -1, errors.New("it is not a regular file")
		default:
			return w.file(at, name)
		}
	}
	return -1, errors.New("it is not a regular file")
}

// split returns the elements of a path, none of which is empty or ".".
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

// down opens a directory and makes it the last one.
func (w *walk) down(at int, name string) error {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if runtime.GOOS == "linux" {
		flags |= 0x200000 // O_PATH, which needs no permission to list the directory
	}
	fd, err := openat(at, name, flags)
	if err != nil {
		return err
	}
	d := dir{fd: fd, path: name}
	w.dirs = append(w.dirs, d)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	d.shared, d.sticky = st.Mode&otherWrite != 0, st.Mode&unix.S_ISVTX != 0
	if len(w.dirs) > 1 {
		parent := w.dirs[len(w.dirs)-2]
		d.path, d.below = filepath.Join(parent.path, name), parent.below
		if err := w.judge(parent, d.path, &st, d.sticky); err != nil {
			return err
		}
	}
	if d.shared {
		d.below = d.path
	}
	w.dirs[len(w.dirs)-1] = d
	return nil
}

// link returns where a symbolic link leads.
func (w *walk) link(at dir, name string, st *unix.Stat_t) (string, error) {
	path := filepath.Join(at.path, name)
	if at.shared && !at.sticky {
		return "", unsafe("%s is a link in a directory in which everybody may replace it", path)
	}
	if at.below != "" && !w.trusts(st.Uid) {
		return "", unsafe("the link %s belongs to user %d, and everybody may write to %s", path, st.Uid, at.below)
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(at.fd, name, target)
	if err != nil {
		return "", err
	}
	return string(target[:n]), nil
}

// file opens the file that a path leads to.
func (w *walk) file(at dir, name string) (int, error) {
	// It may have become a pipe by now, which must not block.
	fd, err := openat(at.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if err != nil {
		return -1, err
	}
	path := filepath.Join(at.path, name)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = errors.New("it is not a regular file")
	case st.Mode&otherWrite != 0:
		err = unsafe("everybody may write to it")
	case at.shared && st.Nlink > 1:
		err = unsafe("it has %d names, and everybody may write to %s", st.Nlink, at.path)
	default:
		err = w.judge(at, path, &st, false)
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// judge returns an error if path, found in parent, may be another user's.
func (w *walk) judge(parent dir, path string, st *unix.Stat_t, sticky bool) error {
	switch {
	case parent.below == "":
		return nil
	case !w.trusts(st.Uid):
		return unsafe("%s belongs to user %d, and everybody may write to %s", path, st.Uid, parent.below)
	case st.Mode&otherWrite != 0 && !sticky:
		return unsafe("everybody may write to %s", path)
	case st.Mode&groupWrite != 0 && !sticky && st.Gid != 0 && st.Gid != w.gid:
		return unsafe("group %d may write to %s, and everybody to %s", st.Gid, path, parent.below)
	}
	return nil
}

func (w *walk) trusts(uid uint32) bool { return uid == 0 || uid == w.uid }

func unsafe(format string, args ...any) error {
	return fmt.Errorf("refused: %w: %s", ErrUnsafe, fmt.Sprintf(format, args...))
}

func openat(at int, name string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(at, name, flags, 0)
		return err
	})
	return fd, err
}

// retry repeats a system call that a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
