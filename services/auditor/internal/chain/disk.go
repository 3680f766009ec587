package chain

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// ErrNoSpace reports that the disk, or the quota, is full. The log is as it was
// before the call, and goes on when there is room again.
var ErrNoSpace = errors.New("no space left for the audit log")

// ErrLocked reports that another process has the log open.
var ErrLocked = errors.New("in use by another auditor")

// noSpace marks the errors of a full disk.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// file is one that the log appends to.
type file interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

func openFile(path string, flag int) (file, error) { return os.OpenFile(path, flag, 0o600) }

// tail is the end of a file that grows by whole pieces, each of which is on the
// disk when it counts.
type tail struct {
	file
	size    int64 // all before it counts
	unclean bool  // there may be something behind size
}

// add writes a piece and waits until it is on the disk. After an error the file
// is as before; if that fails too, clean has to succeed before the next piece.
func (t *tail) add(piece []byte) error {
	if err := t.clean(); err != nil {
		return err
	}
	_, err := t.WriteAt(piece, t.size)
	if err == nil {
		err = t.Sync()
	}
	if err != nil {
		t.unclean = true
		return errors.Join(err, t.clean())
	}
	t.size += int64(len(piece))
	return nil
}

// clean cuts off what a failed write has left. It has to be on the disk too, or
// what has failed could be there after a crash.
func (t *tail) clean() error {
	if !t.unclean {
		return nil
	}
	if err := t.Truncate(t.size); err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	if err := t.Sync(); err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	t.unclean = false
	return nil
}

// tmpSuffix is that of a file which is not in place yet. The name is fixed, so that
// the next Open removes what a crash has left of it, and after the rename the
// directory is synced too: a segment must not be gone whose footer was acknowledged.
// github.com/google/renameio/v2 (2.0.2) does neither: its names are random, and it
// does not sync the directory.
const tmpSuffix = ".tmp"

// writeFile puts a small file in place, whole or not at all, and on the disk.
func writeFile(path string, content []byte) error {
	f, err := os.OpenFile(path+tmpSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return putInPlace(f, path, err)
}

// create puts a file with this content in place and leaves it open to grow. If
// the tail has a file, it is in place, even with an error.
func (l *Log) create(name string, content []byte) (tail, error) {
	path := filepath.Join(l.dir, name)
	f, err := l.open(path+tmpSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return tail{}, err
	}
	t := tail{file: f}
	err = t.add(content)
	if err == nil {
		err = os.Rename(path+tmpSuffix, path)
	}
	if err != nil {
		return tail{}, errors.Join(err, f.Close(), removeIfThere(path+tmpSuffix))
	}
	return t, syncDir(l.dir)
}

// putInPlace renames f, written under a temporary name, and syncs the directory,
// unless err says that writing it has failed.
func putInPlace(f file, path string, err error) error {
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(path+tmpSuffix, path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(path+tmpSuffix))
	}
	return syncDir(filepath.Dir(path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
