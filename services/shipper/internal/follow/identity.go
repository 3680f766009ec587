//go:build unix

package follow

import (
	"os"
	"syscall"
)

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
