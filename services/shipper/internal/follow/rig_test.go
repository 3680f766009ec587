package follow

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rig drives a follower step by step over real files, on a clock of its own.
type rig struct {
	t   *testing.T
	dir string
	cfg Config
	now time.Time
	f   *Follower
	// got is all that was returned so far, marks the checkpoint after each.
	got   []string
	marks []string
	max   int
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), now: time.Now(), max: 3}
	if cfg.Path == "" {
		cfg.Path = "eve.json"
	}
	if !filepath.IsAbs(cfg.Path) {
		cfg.Path = filepath.Join(r.dir, cfg.Path)
	}
	cfg.PollOnly = true
	cfg.Now = func() time.Time { return r.now }
	r.cfg = cfg
	r.start("")
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) start(checkpoint string) {
	r.t.Helper()
	cp, err := ParseCheckpoint(checkpoint)
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := r.cfg
	cfg.From = cp
	r.f, err = Open(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() {
	if err := r.f.Close(); err != nil {
		r.t.Errorf("closing: %v", err)
	}
}

// restart does what kill -9 and a new start do after the last line was stored.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start(r.marks[len(r.marks)-1])
}

// read returns all that can be had now and one poll interval later.
func (r *rig) read() []string {
	r.t.Helper()
	lines, marks := r.drain(r.f)
	r.got = append(r.got, lines...)
	r.marks = append(r.marks, marks...)
	return lines
}

func (r *rig) drain(f *Follower) (lines, marks []string) {
	r.t.Helper()
	for idle := 0; idle < 2; {
		again := f.step(r.max)
		if len(f.batch.Lines) > r.max {
			r.t.Fatalf("a batch of %d lines, asked for %d", len(f.batch.Lines), r.max)
		}
		for i := range f.batch.Lines {
			lines = append(lines, show(&f.batch.Lines[i]))
			marks = append(marks, string(f.batch.AppendCheckpoint(nil, i)))
		}
		if len(f.batch.Lines) == 0 && !again {
			idle++
			r.now = r.now.Add(f.cfg.PollInterval)
		}
		if len(lines) > 1_000_000 {
			r.t.Fatal("it never ends")
		}
	}
	return lines, marks
}

func show(l *Line) string {
	switch l.Kind {
	case Complete:
		return string(l.Text)
	case TooLong:
		return fmt.Sprintf("too long: %d of %d bytes", len(l.Text), l.End-l.Start)
	case Unterminated:
		return "unterminated: " + string(l.Text)
	default:
		return fmt.Sprintf("gap: %d-%d", l.Start, l.End)
	}
}

// expect reads and compares with want.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	if got := r.read(); !slices.Equal(got, want) {
		r.t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// expectResumes opens a follower at the checkpoint after each line returned so
// far, and expects what was returned after it.
func (r *rig) expectResumes() {
	r.t.Helper()
	r.expectResumesBy(slices.Equal)
}

// expectSameResumes is expectResumes where two generations were written at once,
// so that their order depends on when they are read.
func (r *rig) expectSameResumes() {
	r.t.Helper()
	r.expectResumesBy(func(got, want []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)))
	})
}

func (r *rig) expectResumesBy(equal func(got, want []string) bool) {
	r.t.Helper()
	for i, mark := range r.marks {
		cfg := r.cfg
		cp, err := ParseCheckpoint(mark)
		if err != nil {
			r.t.Fatal(err)
		}
		if s := cp.String(); s != mark {
			r.t.Fatalf("checkpoint %q reads back as %q", mark, s)
		}
		cfg.From = cp
		f, err := Open(cfg)
		if err != nil {
			r.t.Fatal(err)
		}
		got, _ := r.drain(f)
		if err := f.Close(); err != nil {
			r.t.Fatal(err)
		}
		if want := r.got[i+1:]; !equal(got, want) {
			r.t.Fatalf("restarted after %q with %s\ngot  %q\nwant %q", r.got[i], mark, got, want)
		}
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// write appends to a file, creating it if need be.
func (r *rig) write(name, text string) {
	r.t.Helper()
	f := r.open(name, os.O_CREATE|os.O_APPEND)
	defer f.Close()
	r.put(f, text)
}

func (r *rig) open(name string, flags int) *os.File {
	r.t.Helper()
	f, err := os.OpenFile(r.path(name), os.O_WRONLY|flags, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return f
}

func (r *rig) put(f *os.File, text string) {
	r.t.Helper()
	if _, err := f.WriteString(text); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) rename(from, to string) {
	r.t.Helper()
	if err := os.Rename(r.path(from), r.path(to)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) copy(from, to string) {
	r.t.Helper()
	b, err := os.ReadFile(r.path(from))
	if err == nil {
		err = os.WriteFile(r.path(to), b, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) truncate(name string) {
	r.t.Helper()
	if err := os.Truncate(r.path(name), 0); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remove(name string) {
	r.t.Helper()
	if err := os.Remove(r.path(name)); err != nil {
		r.t.Fatal(err)
	}
}

// gzip compresses name to name.gz, with its modification time, and removes it.
func (r *rig) gzip(name string) {
	r.t.Helper()
	info, err := os.Stat(r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := os.ReadFile(r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	r.writeGzip(name+".gz", string(b))
	if err := os.Chtimes(r.path(name+".gz"), info.ModTime(), info.ModTime()); err != nil {
		r.t.Fatal(err)
	}
	r.remove(name)
}

func (r *rig) writeGzip(name, text string) {
	r.t.Helper()
	f := r.open(name, os.O_CREATE|os.O_TRUNC)
	z := gzip.NewWriter(f)
	if _, err := z.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// age makes a file look as if it had been written long ago.
func (r *rig) age(name string, by time.Duration) {
	r.t.Helper()
	at := time.Now().Add(-by)
	if err := os.Chtimes(r.path(name), at, at); err != nil {
		r.t.Fatal(err)
	}
}

// pass lets the grace period of rotated files go by.
func (r *rig) pass() { r.now = r.now.Add(2 * r.f.cfg.Grace) }

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }
