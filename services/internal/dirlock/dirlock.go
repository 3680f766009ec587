// Package dirlock keeps a second process out of a directory in which two would
// write into the same files.
package dirlock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Lock is a directory that is locked. The kernel releases it when the process
// ends, however it ends.
type Lock struct{ file *os.File }

// Take locks dir, which must exist. If another process has it, the error wraps
// inUse and names dir and that process.
func Take(dir string, inUse error) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of %s: %w", dir, err)
	}
	l := &Lock{f}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%s is %w, process %s", dir, inUse, l.holder()), l.Release())
	}
	if err == nil {
		err = l.sign()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), l.Release())
	}
	return l, nil
}

// sign leaves the process id for the error message of a second process.
func (l *Lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func (l *Lock) holder() string {
	content, err := io.ReadAll(io.LimitReader(l.file, 32))
	if err != nil || len(content) == 0 {
		return "unknown"
	}
	return strings.TrimSpace(string(content))
}

// Release frees the directory. The file stays: removing it would let a third
// process lock a new file while a second still holds the old one.
func (l *Lock) Release() error { return l.file.Close() }
