package chain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAppendAndScan(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, options(dir))
	all := records(1, 10)
	odd := []Record{
		{ID: "line-break", StreamSeq: 11, Payload: []byte("{\n}")},
		{ID: "no-json", StreamSeq: 12, Payload: []byte("{\"a\":\xff}")},
		{ID: "binary", StreamSeq: 13, Payload: []byte{0, 1, 2, '"', 0xff}},
		{ID: "empty", StreamSeq: 14, Payload: []byte{}},
		{ID: "space", StreamSeq: 15, Payload: []byte(" { \"a\" : 1 } ")},
		{ID: "doubled-name", StreamSeq: 16, Payload: []byte(`{"a":1,"a":2}`)},
		{ID: "smuggled", StreamSeq: 17, Payload: []byte(`1,"seq":99`)},
		{ID: "long", StreamSeq: 18, Payload: []byte(`"` + strings.Repeat("x", 3*readAhead) + `"`)},
	}
	all = append(all, odd...)
	mustAppend(t, l, all[:4]...)
	mustAppend(t, l)
	mustAppend(t, l, all[4:]...)
	for i, r := range all {
		if r.Seq != uint64(i)+1 {
			t.Errorf("record %d was told the number %d", i+1, r.Seq)
		}
	}
	wantLog(t, dir, all)

	for from := range uint64(len(all) + 3) {
		got, errs := scanAll(dir, from)
		if want := all[min(max(int(from), 1)-1, len(all)):]; !slices.EqualFunc(got, want, sameRecord) || errs != nil {
			t.Errorf("from %d: %d records, %v", from, len(got), errs)
		}
	}
	for range Scan(dir, 1) {
		break // must not be called again
	}
	mustClose(t, l)
	r := wantLog(t, dir, all)
	if r.Signed != uint64(len(all)) || r.Unsigned != 0 {
		t.Errorf("closed with %d signed and %d unsigned", r.Signed, r.Unsigned)
	}
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "log")
	o := options(dir)
	var all []Record
	var id string
	for i := range uint64(5) {
		l := mustOpen(t, o)
		h := l.Last()
		if h.Seq != i*3 || h.StreamSeq != i*3 || (i > 0 && (h.ID != all[len(all)-1].ID || h.Log != id)) {
			t.Fatalf("reopened at %+v", h)
		}
		id = h.Log
		more := records(i*3+1, i*3+3)
		mustAppend(t, l, more...)
		all = append(all, more...)
		want := l.Last()
		mustClose(t, l)
		l = mustOpen(t, o)
		if got := l.Last(); got != want {
			t.Fatalf("the head was %+v and is %+v", want, got)
		}
		mustClose(t, l)
		if err := errors.Join(l.Append(more)); !errors.Is(err, ErrClosed) {
			t.Fatalf("appending when closed: %v", err)
		}
	}
	wantLog(t, dir, all)
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := mustOpen(t, options(dir))
	mustAppend(t, l, record(1))
	mustClose(t, l)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, walkErr error) error {
		if walkErr != nil {
			return walkErr
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if want := fs.FileMode(0o600); !e.IsDir() && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode())
		}
		if e.IsDir() && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %o", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInvalid(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, options(dir))
	mustAppend(t, l, record(1))
	for _, test := range []struct {
		name  string
		spoil func(*Record)
	}{
		{"no id", func(r *Record) { r.ID = "" }},
		{"quote in id", func(r *Record) { r.ID = `a"` }},
		{"line break in id", func(r *Record) { r.ID = "a\n" }},
		{"not ASCII", func(r *Record) { r.ID = "é" }},
		{"long id", func(r *Record) { r.ID = strings.Repeat("a", MaxID+1) }},
		{"year 10000", func(r *Record) { r.Stored = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"before year 0", func(r *Record) { r.Stored = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"large", func(r *Record) { r.Payload = make([]byte, MaxPayload+1) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			batch := records(2, 3)
			test.spoil(&batch[1])
			if err := l.Append(batch); !errors.Is(err, ErrInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
	if err := l.Append(make([]Record, MaxBatch+1)); err == nil {
		t.Error("a batch of any length was taken")
	}
	heavy := records(2, 2+MaxBatchBytes/MaxPayload)
	for i := range heavy {
		heavy[i].Payload = make([]byte, MaxPayload)
	}
	if err := l.Append(heavy); err == nil {
		t.Error("a batch of any size was taken")
	}
	wantLog(t, dir, records(1, 1))
	largest := Record{ID: strings.Repeat("z", MaxID), StreamSeq: 1<<64 - 1, Payload: make([]byte, MaxPayload)}
	mustAppend(t, l, largest)
	wantLog(t, dir, append(records(1, 1), largest))
}

func TestLock(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	if _, err := Open(o); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second auditor: %v", err)
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, o))
}

func TestKey(t *testing.T) {
	t.Run("elsewhere", func(t *testing.T) {
		o := options(t.TempDir())
		o.KeyFile = filepath.Join(t.TempDir(), "secret")
		l := mustOpen(t, o)
		mustAppend(t, l, record(1))
		mustClose(t, l)
		wantLog(t, o.Dir, records(1, 1))
		if _, err := os.Stat(filepath.Join(o.Dir, keyName)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a key in the log's directory: %v", err)
		}
	})
	t.Run("lost", func(t *testing.T) {
		o := options(t.TempDir())
		mustClose(t, mustOpen(t, o))
		remove(t, o.Dir, keyName)
		if _, err := Open(o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opened without the key: %v", err)
		}
	})
	t.Run("another", func(t *testing.T) {
		o, other := options(t.TempDir()), options(t.TempDir())
		mustClose(t, mustOpen(t, o))
		mustClose(t, mustOpen(t, other))
		write(t, read(t, other.Dir, keyName), o.Dir, keyName)
		if _, err := Open(o); err == nil {
			t.Error("opened with another key")
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		o := options(t.TempDir())
		write(t, []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"), o.Dir, keyName)
		_, err := Open(o)
		if !errors.Is(err, errNotKey) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v", err)
		}
	})
}

func TestRotate(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentBytes = 1000
	l := mustOpen(t, o)
	var all []Record
	for i := range uint64(40) {
		mustAppend(t, l, record(i+1))
		all = append(all, record(i+1))
	}
	n := l.Stats().Segments
	if n < 5 {
		t.Fatalf("%d segments", n)
	}
	if r := wantLog(t, o.Dir, all); r.Segments != n {
		t.Errorf("%d segments verified, of %d", r.Segments, n)
	}
	// Footers say what the checkpoints did.
	if got := len(lines(t, o.Dir, ledgerName)); got > 2 {
		t.Errorf("%d checkpoints are kept", got)
	}
	mustClose(t, l)
	l = mustOpen(t, o)
	mustAppend(t, l, record(41))
	mustClose(t, l)
	all = append(all, record(41))
	wantLog(t, o.Dir, all)
	for from := range uint64(43) {
		got, errs := scanAll(o.Dir, from)
		if want := all[min(max(int(from), 1)-1, len(all)):]; !slices.EqualFunc(got, numbered(all)[len(all)-len(want):], sameRecord) || errs != nil {
			t.Errorf("from %d: %d records, %v", from, len(got), errs)
		}
	}
}

func TestRotateByRecords(t *testing.T) {
	o := options(t.TempDir())
	l, err := open(o, openFile, limits{MaxBatch + 10, recentIDs})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(30) {
		mustAppend(t, l, record(i+1))
	}
	if n := l.Stats().Segments; n != 3 {
		t.Errorf("%d segments", n)
	}
	mustClose(t, l)
	wantLog(t, o.Dir, records(1, 30))
}

func TestDaily(t *testing.T) {
	o := options(t.TempDir())
	o.Daily = true
	c := newClock()
	o.Now = c.Now
	l := mustOpen(t, o)
	c.advance(48 * time.Hour) // without a record, nothing to close
	mustAppend(t, l, record(1))
	if n := l.Stats().Segments; n != 1 {
		t.Errorf("%d segments for a log without records", n)
	}
	mustAppend(t, l, record(2))
	c.advance(24 * time.Hour)
	mustAppend(t, l, record(3))
	mustAppend(t, l, record(4))
	if n := l.Stats().Segments; n != 3 {
		t.Errorf("%d segments", n)
	}
	wantLog(t, o.Dir, records(1, 4))
}
