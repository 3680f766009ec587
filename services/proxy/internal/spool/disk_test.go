package spool

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
)

func TestFull(t *testing.T) {
	o := defaults(t.TempDir())
	o.MaxBytes = 8 << 10
	s := opened(t, o)
	n := 0
	var err error
	for ; err == nil; n++ {
		err = s.Append(sample(fmt.Sprint(n)))
	}
	if st := s.Stats(); !errors.Is(err, ErrFull) || st.Bytes > o.MaxBytes || st.Waiting != int64(n-1) {
		t.Fatalf("%v with %+v", err, st)
	}
	if s = opened(t, o); !errors.Is(s.Append(sample("0")), ErrFull) {
		t.Error("there was room after a restart")
	}
	r, _ := readFrom(t, s, "")
	all := waiting(t, r)
	if want := numbered(0, n-1); !slices.Equal(ids(all), want) {
		t.Fatalf("%v, want %v", ids(all), want)
	}
	s.Done(all[len(all)/2].End)
	put(t, s, "again")
}

// brokenFile is a disk that fails: each write takes only the first bytes of what
// it is given, and says err.
type brokenFile struct {
	file
	write *error
	sync  *error
}

func (f brokenFile) WriteAt(b []byte, at int64) (int, error) {
	if *f.write == nil {
		return f.file.WriteAt(b, at)
	}
	n, err := f.file.WriteAt(b[:len(b)/2], at)
	return n, errors.Join(*f.write, err)
}

func (f brokenFile) Sync() error { return errors.Join(*f.sync, f.file.Sync()) }

// fallible lets the test break the spool's disk.
func fallible(s *queue) (create, write, sync *error) {
	create, write, sync = new(error), new(error), new(error)
	s.create = func(path string) (file, error) {
		if *create != nil {
			return nil, *create
		}
		f, err := createFile(path)
		return brokenFile{f, write, sync}, err
	}
	return create, write, sync
}

func TestDiskFails(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		full bool
	}{
		{"disk full", &os.PathError{Op: "write", Err: syscall.ENOSPC}, true},
		{"quota", &os.PathError{Op: "write", Err: syscall.EDQUOT}, true},
		{"I/O error", &os.PathError{Op: "write", Err: syscall.EIO}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := defaults(t.TempDir())
			s := opened(t, o)
			create, write, _ := fallible(s)
			attempt := func(id string) {
				t.Helper()
				err := s.Append(sample(id))
				if !errors.Is(err, test.err) || errors.Is(err, ErrFull) != test.full {
					t.Errorf("error %v", err)
				}
			}
			*create = test.err
			attempt("lost")
			*create = nil
			put(t, s, "1")
			*write = test.err
			attempt("lost-and-longer-than-what-comes-next")
			attempt("lost")
			*write = nil
			put(t, s, "2", "3")
			*write = test.err
			for range 10 {
				attempt("torn-at-the-end")
			}

			check := func(s *queue) {
				t.Helper()
				r, _ := readFrom(t, s, "")
				got := ids(waiting(t, r))
				if st := s.Stats(); !slices.Equal(got, numbered(1, 4)) || st.Waiting != 3 || st.Damaged != 0 {
					t.Errorf("%v, %+v", got, st)
				}
			}
			check(s)
			if n := len(files(t, o.Dir)); n > 3 {
				t.Errorf("%d segments", n)
			}
			check(opened(t, o))
		})
	}
}

func TestSyncFails(t *testing.T) {
	s := opened(t, defaults(t.TempDir()))
	_, _, sync := fallible(s)
	put(t, s, "1")
	*sync = syscall.EIO
	if err := s.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v", err)
	}
	if err := s.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("what was not synced is forgotten: %v", err)
	}
	*sync = nil
	if err := errors.Join(s.Sync(), s.Sync(), s.Close()); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.SyncFailures != 2 {
		t.Errorf("%+v", st)
	}
}
