// Package fulldisk gives a test a small file system to fill up.
package fulldisk

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Disk is a file system of its own.
type Disk struct {
	Dir     string // where it is mounted
	ballast string
}

// Mount mounts a file system of size MiB, of which taken MiB are taken, until the
// test ends. It skips the test if this process may not mount one.
func Mount(t *testing.T, size, taken int) *Disk {
	t.Helper()
	d := &Disk{Dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.Dir, "tmpfs", 0, "size="+strconv.Itoa(size)+"m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.Dir, syscall.MNT_DETACH) })
	d.ballast = filepath.Join(d.Dir, "ballast")
	if err := os.WriteFile(d.ballast, make([]byte, taken<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// MakeRoom frees what was taken.
func (d *Disk) MakeRoom(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.ballast); err != nil {
		t.Error(err)
	}
}
