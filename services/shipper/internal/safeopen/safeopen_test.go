package safeopen

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// other is a user that is neither root nor, as the tests are run, their own.
const other = 65534

// rig is a directory that stands for a machine's root: it has a shared folder,
// shared, and a plain one, own.
type rig struct {
	t    *testing.T
	root string
}

func newRig(t *testing.T) rig {
	r := rig{t, t.TempDir()}
	r.dir("shared", 0o1777)
	r.dir("own", 0o755)
	return r
}

func (r rig) path(name string) string { return filepath.Join(r.root, name) }

func (r rig) must(err error) {
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
}

func (r rig) dir(name string, mode uint32) {
	r.t.Helper()
	r.must(os.MkdirAll(r.path(name), 0o755))
	r.must(unix.Chmod(r.path(name), mode))
}

func (r rig) file(name string, mode uint32) {
	r.t.Helper()
	r.must(os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	r.must(os.WriteFile(r.path(name), []byte("a line\n"), 0o600))
	r.must(unix.Chmod(r.path(name), mode))
}

func (r rig) link(target, name string) {
	r.t.Helper()
	r.must(os.Symlink(target, r.path(name)))
}

// open opens a file as the user of the tests, or, if strangers are to be met and
// the tests may not give files away, as somebody to whom all files are foreign.
func (r rig) open(name string, strangers ...string) error {
	r.t.Helper()
	uid := uint32(os.Geteuid())
	for _, s := range strangers {
		if uid == 0 {
			r.must(os.Lchown(r.path(s), other, other))
		}
	}
	if uid != 0 && len(strangers) > 0 {
		uid = other
	}
	w := walk{root: r.root, uid: uid, gid: uint32(os.Getegid())}
	f, err := w.open("/" + name)
	if err != nil {
		return err
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "a line\n" {
		r.t.Errorf("read %q, %v", got, err)
	}
	return nil
}

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(rig)
		path string
		// theirs are paths that belong to another user.
		theirs []string
		want   string // part of the error; "" if it is opened
	}{
		{"own file in a shared folder", func(r rig) { r.file("shared/f", 0o644) }, "shared/f", nil, ""},
		{"own directory in a shared folder", func(r rig) { r.file("shared/d/e/f", 0o600) }, "shared/d/e/f", nil, ""},
		{"own link in a shared folder", func(r rig) { r.file("own/f", 0o644); r.link("../own/f", "shared/f") }, "shared/f", nil, ""},
		{"absolute link", func(r rig) { r.file("own/f", 0o644); r.link("/own", "shared/d") }, "shared/d/f", nil, ""},
		{"up and down again", func(r rig) { r.file("shared/d/f", 0o644); r.dir("own/x", 0o755) }, "own/x/../../shared/d/f", nil, ""},
		{"sticky directory in a shared folder", func(r rig) { r.file("shared/d/f", 0o644); r.dir("shared/d", 0o1777) }, "shared/d/f", nil, ""},
		{"shared folder without the sticky bit", func(r rig) { r.dir("shared", 0o777); r.file("shared/f", 0o644) }, "shared/f", nil, ""},
		{"several names outside", func(r rig) { r.file("own/f", 0o644); r.must(os.Link(r.path("own/f"), r.path("own/g"))) }, "own/f", nil, ""},
		{"several names below", func(r rig) { r.file("shared/d/f", 0o644); r.must(os.Link(r.path("shared/d/f"), r.path("shared/d/g"))) }, "shared/d/f", nil, ""},

		{"missing", func(rig) {}, "shared/f", nil, "no such file"},
		{"directory", func(r rig) { r.dir("own/f", 0o755) }, "own/f", nil, "not a regular file"},
		{"pipe", func(r rig) { r.must(unix.Mkfifo(r.path("own/f"), 0o600)) }, "own/f", nil, "not a regular file"},
		{"links in a circle", func(r rig) { r.link("b", "own/a"); r.link("a", "own/b") }, "own/a", nil, "too many"},
		{"their file in a shared folder", func(r rig) { r.file("shared/f", 0o644) }, "shared/f", []string{"shared/f"}, "shared/f belongs to user"},
		{"their directory", func(r rig) { r.file("shared/d/f", 0o644) }, "shared/d/f", []string{"shared/d"}, "shared/d belongs to user"},
		{"their file in an own directory of a shared folder", func(r rig) { r.file("shared/d/e/f", 0o644) }, "shared/d/e/f", []string{"shared/d/e/f"}, "belongs to user"},
		{"their link to an own file", func(r rig) { r.file("own/f", 0o600); r.link("../own/f", "shared/f") }, "shared/f", []string{"shared/f"}, "link"},
		{"their link to an own directory", func(r rig) { r.file("own/f", 0o600); r.link("../own", "shared/d") }, "shared/d/f", []string{"shared/d"}, "link"},
		{"own link into a shared folder", func(r rig) { r.file("shared/f", 0o644); r.link("../shared/f", "own/f") }, "own/f", []string{"shared/f"}, "belongs to user"},
		{"link in a shared folder without the sticky bit", func(r rig) { r.dir("shared", 0o777); r.file("own/f", 0o644); r.link("../own/f", "shared/f") }, "shared/f", nil, "replace it"},
		{"writable by everybody in a shared folder", func(r rig) { r.file("shared/f", 0o646) }, "shared/f", nil, "everybody may write to it"},
		{"writable by everybody elsewhere", func(r rig) { r.file("own/f", 0o666) }, "own/f", nil, "everybody may write to it"},
		{"directory writable by everybody", func(r rig) { r.file("shared/d/f", 0o644); r.dir("shared/d", 0o777) }, "shared/d/f", nil, "shared/d"},
		{"second name in a shared folder", func(r rig) { r.file("own/f", 0o600); r.must(os.Link(r.path("own/f"), r.path("shared/f"))) }, "shared/f", nil, "2 names"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			tt.make(r)
			err := r.open(tt.path, tt.theirs...)
			switch {
			case tt.want == "":
				if err != nil {
					t.Error(err)
				}
				return
			case err == nil || !strings.Contains(err.Error(), tt.want) && len(tt.theirs) == 0:
				t.Fatalf("error %v, want one with %q", err, tt.want)
			case os.Geteuid() == 0 && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			var pathError *fs.PathError
			if !errors.As(err, &pathError) || pathError.Path != "/"+tt.path {
				t.Errorf("error %#v does not name the path", err)
			}
			if len(tt.theirs) > 0 && !errors.Is(err, ErrUnsafe) {
				t.Errorf("%v is not ErrUnsafe", err)
			}
		})
	}
}

// A file of a group is safe for the members that it was made for.
func TestGroups(t *testing.T) {
	r := newRig(t)
	r.file("shared/f", 0o660)
	gid := uint32(os.Getegid())
	if os.Geteuid() == 0 {
		gid = 4711
		r.must(os.Chown(r.path("shared/f"), 0, int(gid)))
	}
	for g, ok := range map[uint32]bool{gid: true, gid + 1: false} {
		w := walk{root: r.root, uid: uint32(os.Geteuid()), gid: g}
		f, err := w.open("/shared/f")
		if (err == nil) != ok {
			t.Errorf("group %d opens a file of group %d: %v", g, gid, err)
		}
		if err == nil {
			f.Close()
		}
	}
}

// A directory that may be passed but not listed is no obstacle.
func TestSearchOnly(t *testing.T) {
	r := newRig(t)
	r.file("own/d/f", 0o644)
	r.dir("own/d", 0o311)
	t.Cleanup(func() { r.dir("own/d", 0o755) })
	if err := r.open("own/d/f"); err != nil {
		t.Error(err)
	}
}

// Descriptors are given back, for everything that was opened.
func TestDescriptors(t *testing.T) {
	r := newRig(t)
	r.file("shared/d/f", 0o644)
	r.file("shared/bad", 0o666)
	lowest := func() int {
		f, err := os.Open(os.DevNull)
		r.must(err)
		defer f.Close()
		return int(f.Fd())
	}
	before := lowest()
	for range 100 {
		r.must(r.open("shared/d/f"))
		for _, refused := range []string{"shared/bad", "shared/d", "shared/missing", "shared/d/f/x"} {
			if r.open(refused) == nil {
				t.Fatalf("%s was opened", refused)
			}
		}
	}
	if after := lowest(); after > before+8 {
		t.Errorf("%d descriptors are open, at first %d", after, before)
	}
}
