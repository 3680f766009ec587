package audit

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

// ErrInUse reports that another process has the directory open.
var ErrInUse = errors.New("in use by another process")

// lock keeps a second process out of the directory. The kernel releases it when
// the process ends, however it ends.
type lock struct{ file *os.File }

func lockDir(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &lock{f}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%s is %w, %s", dir, ErrInUse, l.holder()), l.release())
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
func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func (l *lock) holder() string {
	content, err := io.ReadAll(io.LimitReader(l.file, 32))
	if err != nil || len(content) == 0 {
		return "whose id is unknown"
	}
	return strings.TrimSpace(string(content))
}

// release lets others in. The file stays: removing it would let a third process
// lock a new file while a second still holds the old one.
func (l *lock) release() error { return l.file.Close() }
