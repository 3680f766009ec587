//go:build linux || darwin

package doctor

import (
	"os"
	"syscall"
)

// statfs asks for the space of the file system that dir is on.
func statfs(dir string) (space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return space{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := uint64(s.Bsize)
	return space{free: uint64(s.Bavail) * block, total: uint64(s.Blocks) * block}, nil
}
