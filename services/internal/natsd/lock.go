package natsd

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

// ErrInUse reports that another server uses the directory.
var ErrInUse = errors.New("in use by another server")

// dirLock keeps a second server out of a directory: two would write into the
// same files. The kernel releases it when the process ends, however it ends.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of %s: %w", dir, err)
	}
	l := &dirLock{f}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%s is %w, process %s", dir, ErrInUse, l.holder()), l.release())
	}
	if err == nil {
		err = l.sign()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), l.release())
	}
	return l, nil
}

// sign leaves the process id for the error message of whoever comes second.
func (l *dirLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func (l *dirLock) holder() string {
	content, err := io.ReadAll(io.LimitReader(l.file, 32))
	if err != nil || len(content) == 0 {
		return "unknown"
	}
	return strings.TrimSpace(string(content))
}

// release frees the directory. The file stays: removing it would let a third
// process lock a new file while a second still holds the old one.
func (l *dirLock) release() error { return l.file.Close() }
