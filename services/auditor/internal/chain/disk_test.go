package chain

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// disk is one that fails: while err is set, a write takes only the first bytes of
// what it is given, and each operation that is told to fails.
type disk struct {
	err                         error
	open, write, sync, truncate bool
	only                        string // files whose names have this
}

type brokenFile struct {
	file
	disk *disk
	name string
}

func (d *disk) fails(op bool, name string) error {
	if d.err == nil || !op || !strings.Contains(name, d.only) {
		return nil
	}
	return &os.PathError{Op: "test", Path: name, Err: d.err}
}

func (d *disk) openFile(path string, flag int) (file, error) {
	if err := d.fails(d.open, path); err != nil {
		return nil, err
	}
	f, err := openFile(path, flag)
	return brokenFile{f, d, path}, err
}

func (f brokenFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.disk.fails(f.disk.write, f.name); err != nil {
		n, werr := f.file.WriteAt(b[:len(b)*2/3], at)
		return n, errors.Join(err, werr)
	}
	return f.file.WriteAt(b, at)
}

func (f brokenFile) Sync() error {
	return errors.Join(f.disk.fails(f.disk.sync, f.name), f.file.Sync())
}

func (f brokenFile) Truncate(size int64) error {
	if err := f.disk.fails(f.disk.truncate, f.name); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func TestDiskFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		disk    disk
		noSpace bool
	}{
		{"full", disk{err: syscall.ENOSPC, write: true, open: true}, true},
		{"full for new files", disk{err: syscall.ENOSPC, open: true}, true},
		{"full for segments", disk{err: syscall.ENOSPC, write: true, only: "0000"}, true},
		{"full for checkpoints", disk{err: syscall.ENOSPC, write: true, only: "checkpoints"}, true},
		{"quota", disk{err: syscall.EDQUOT, write: true}, true},
		{"full at sync", disk{err: syscall.ENOSPC, sync: true}, true},
		{"full and stuck", disk{err: syscall.ENOSPC, write: true, truncate: true}, true},
		{"broken", disk{err: syscall.EIO, write: true, sync: true, truncate: true, open: true}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t.TempDir())
			o.SegmentBytes = 2500 // so that every step of a rotation meets the failure
			d := test.disk
			cause := d.err
			d.err = nil
			l, err := open(o, d.openFile, limits{maxSegmentRecords, recentIDs})
			if err != nil {
				t.Fatal(err)
			}
			failed := 0
			want := uint64(0)
			for want < 60 {
				d.err = cause
				err := l.Append(records(want+1, want+2))
				if err == nil {
					want += 2
					_, err = l.Checkpoint()
				}
				if err != nil {
					failed++
					if errors.Is(err, ErrNoSpace) != test.noSpace || !errors.Is(err, cause) {
						t.Fatalf("error %v", err)
					}
				}
				if h := l.Last(); h.Seq != want || h.StreamSeq != want {
					t.Fatalf("after a failure the log ends at %+v, want %d", h, want)
				}
				d.err = nil
				mustAppend(t, l, record(want+1))
				want++
			}
			if failed == 0 {
				t.Fatal("nothing has failed")
			}
			wantLog(t, o.Dir, records(1, want))
			crashed := copyLog(t, o.Dir)
			mustClose(t, l)
			wantLog(t, o.Dir, records(1, want))
			mustClose(t, mustOpen(t, options(crashed)))
			wantLog(t, crashed, records(1, want))
		})
	}
}

// TestFailedBatchIsGone crashes right after a write that failed.
func TestFailedBatchIsGone(t *testing.T) {
	o := options(t.TempDir())
	d := disk{sync: true}
	l, err := open(o, d.openFile, limits{maxSegmentRecords, recentIDs})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, record(1))
	d.err = syscall.EIO
	if err := l.Append(records(2, 9)); err == nil {
		t.Fatal("no error")
	}
	crashed := copyLog(t, o.Dir)
	d.err = nil
	mustClose(t, l)
	for _, dir := range []string{o.Dir, crashed} {
		wantLog(t, dir, records(1, 1))
	}
}

func TestCloseWithoutSpace(t *testing.T) {
	o := options(t.TempDir())
	d := disk{write: true}
	l, err := open(o, d.openFile, limits{maxSegmentRecords, recentIDs})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, record(1))
	d.err = syscall.ENOSPC
	if err := l.Close(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("error %v", err)
	}
	if r := wantLog(t, o.Dir, records(1, 1)); r.Unsigned != 1 {
		t.Errorf("%d unsigned", r.Unsigned)
	}
	mustClose(t, mustOpen(t, o))
	if r := wantLog(t, o.Dir, records(1, 1)); r.Unsigned != 0 {
		t.Errorf("%d unsigned", r.Unsigned)
	}
}
