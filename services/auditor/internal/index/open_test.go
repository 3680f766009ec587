package index_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/price"
)

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string)
	}{
		{"no index", func(t *testing.T, path string) { write(t, path, 0, []byte("hello, this is no database at all")) }},
		{"a damaged header", func(t *testing.T, path string) { write(t, path, 8, make([]byte, 100)) }},
		{"another version", func(t *testing.T, path string) { write(t, path, 60, []byte{0, 0, 0, 99}) }},  // user_version
		{"another program's", func(t *testing.T, path string) { write(t, path, 68, []byte{1, 2, 3, 4}) }}, // application_id
		{"cut off", func(t *testing.T, path string) {
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x, path := open(t)
			var l tape
			l.add(t, end("a", noon))
			fill(t, x, l)
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			if files, err := filepath.Glob(path + "*"); err != nil || len(files) != 1 {
				t.Fatalf("closing leaves %q, %v", files, err)
			}
			tt.spoil(t, path)
			for _, readOnly := range []bool{true, false} {
				x, err := index.Open(path, index.Options{ReadOnly: readOnly})
				if !errors.Is(err, index.ErrRebuild) {
					t.Fatalf("read only %t: %v", readOnly, err)
				}
				if x != nil {
					t.Error("there is an index")
				}
			}
			for range 2 { // what was put aside before is replaced
				if err := index.Discard(path); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(path + ".old"); err != nil {
				t.Errorf("the old file is gone: %v", err)
			}
			x = reopen(t, path, index.Options{})
			if seq, head := x.Position(); seq != 0 || head != "" {
				t.Errorf("a new index is at %d, %q", seq, head)
			}
			fill(t, x, l)
		})
	}
}

func write(t *testing.T, path string, at int64, bytes []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A crash leaves SQLite's log; without the file that it belongs to it counts for
// nothing.
func TestOpenAfterACrash(t *testing.T) {
	x, path := open(t)
	var l tape
	l.add(t, end("a", noon))
	fill(t, x, l)
	for _, tt := range []struct {
		suffixes []string
		want     uint64
	}{
		{[]string{"", "-wal"}, 1},
		{[]string{"-wal"}, 0},
	} {
		crashed := filepath.Join(t.TempDir(), "audit.sqlite")
		for _, suffix := range tt.suffixes {
			content, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(crashed+suffix, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		y := reopen(t, crashed, index.Options{})
		if seq, _ := y.Position(); seq != tt.want {
			t.Errorf("with %q it is at %d", tt.suffixes, seq)
		}
		fill(t, y, l)
	}
}

func TestDamageIsFoundInUse(t *testing.T) {
	x, path := open(t)
	scatter(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(4096 * 20); at < info.Size(); at += 4096 {
		write(t, path, at, make([]byte, 200))
	}
	x = reopen(t, path, index.Options{})
	for _, err = range x.List(t.Context(), audit.Filter{}, audit.Order{}) {
	}
	if !errors.Is(err, index.ErrRebuild) {
		t.Errorf("a list ends with %v", err)
	}
	if _, err := x.Report(t.Context(), audit.ByDay, audit.Filter{IDPrefix: "r"}, price.Shipped(), nil); !errors.Is(err, index.ErrRebuild) {
		t.Errorf("a report ends with %v", err)
	}
	var l tape
	for i := range 3000 { // more than the index has
		l.add(t, end(string(rune('a'+i%26))+time.Duration(i).String(), noon))
	}
	if err := x.Add(t.Context(), l); !errors.Is(err, index.ErrRebuild) {
		t.Errorf("adding ends with %v", err)
	}
}

func TestOpenReadOnly(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "audit.sqlite")
	if _, err := index.Open(missing, index.Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing index: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading has created it: %v", err)
	}
	if err := index.Discard(missing); err != nil {
		t.Errorf("discarding nothing: %v", err)
	}

	dir := filepath.Join(t.TempDir(), "a b?c#d%41")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit.sqlite")
	w := reopen(t, path, index.Options{})
	var l tape
	l.add(t, end("a", noon))
	fill(t, w, l)
	r := reopen(t, path, index.Options{ReadOnly: true})
	if err := r.Add(t.Context(), l); err == nil {
		t.Error("a reader has written")
	}
	if seq, head := r.Position(); seq != 1 || head != "head 1" {
		t.Errorf("the reader is at %d, %q", seq, head)
	}
	l.add(t, end("b", noon))
	fill(t, w, l)
	if got := list(t, r, audit.Filter{}, audit.Order{}); len(got) != 2 {
		t.Errorf("the reader sees %q", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	alone := reopen(t, path, index.Options{ReadOnly: true})
	if got := list(t, alone, audit.Filter{}, audit.Order{}); len(got) != 2 {
		t.Errorf("without a writer, a reader sees %q", got)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

// Readers see whole batches, whatever the writer is at.
func TestReadersAreConsistentWhileWriting(t *testing.T) {
	w, path := open(t)
	r := reopen(t, path, index.Options{ReadOnly: true})
	const batches, size = 50, 20
	written := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var l tape
	for i := range batches * size {
		l.add(t, end(time.Duration(i).String(), noon))
	}
	go func() {
		for i := range batches {
			if err := w.Add(ctx, l[i*size:(i+1)*size]); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for done := false; !done; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
		got := report(t, r, audit.ByDay, audit.Filter{})
		if got.Total.Requests%size != 0 || got.Total.Input != 1000*got.Total.Requests {
			t.Fatalf("half a batch: %+v", got.Total)
		}
		if done && got.Total.Requests != batches*size {
			t.Errorf("%d requests in the end", got.Total.Requests)
		}
	}
}
