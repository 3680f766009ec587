package chain

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// seedLog makes a log of two segments, closed, and adds its files as seeds.
func seedLog(f *testing.F, name string) (dir string, whole []byte) {
	f.Helper()
	o := options(f.TempDir())
	l := segmented(f, o, 5)
	mustClose(f, l)
	whole = read(f, o.Dir, name)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Add([]byte("\n"))
	f.Add(append(bytes.Clone(whole), whole...))
	for i := range 8 {
		spoiled := bytes.Clone(whole)
		spoiled[i*len(whole)/8] ^= 4
		f.Add(spoiled)
	}
	return o.Dir, whole
}

// FuzzSegment puts any bytes in the place of the last segment, all of which is
// signed: whatever is accepted begins with what was there.
func FuzzSegment(f *testing.F) {
	dir, whole := seedLog(f, fileName(2, plain))
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, content, dir, fileName(2, plain))
		r := verify1(t, dir)
		if r.OK() && !bytes.HasPrefix(content, whole) {
			t.Errorf("accepted: %+v", r)
		}
		var last uint64
		for r, err := range Scan(dir, 1) {
			var corruption *Corruption
			switch {
			case err == nil && r.Seq <= last:
				t.Errorf("record %d behind record %d", r.Seq, last)
			case err == nil:
				last = r.Seq
			case !errors.As(err, &corruption):
				t.Errorf("error %v", err)
			}
		}
	})
}

// FuzzOpen opens any bytes behind what was signed: what Open makes of it can be
// appended to and verified.
func FuzzOpen(f *testing.F) {
	dir, whole := seedLog(f, fileName(2, plain))
	ledger := read(f, dir, ledgerName)
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, append(bytes.Clone(whole), content...), dir, fileName(2, plain))
		write(t, ledger, dir, ledgerName)
		if err := os.Remove(filepath.Join(dir, fileName(3, plain))); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		l, err := Open(options(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // closed below
		if h := l.Last(); h.Seq < 5 {
			t.Fatalf("%+v", h)
		}
		mustAppend(t, l, records(100, 101)...)
		mustClose(t, l)
		if r := verify1(t, dir); !r.OK() || r.Last < 7 {
			t.Errorf("%+v", r)
		}
	})
}

// FuzzCompressed takes any bytes for zstd: as they are, and compressed.
func FuzzCompressed(f *testing.F) {
	dir, whole := seedLog(f, fileName(1, plain))
	remove(f, dir, fileName(1, plain))
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoder.EncodeAll(whole, nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		for i, packed := range [][]byte{content, encoder.EncodeAll(content, nil)} {
			write(t, packed, dir, fileName(1, compressed))
			r := verify1(t, dir)
			if same := i == 1 && bytes.Equal(content, whole); same != r.OK() && i == 1 {
				t.Errorf("the same: %v, found: %v", same, r.Corruptions)
			}
			if r.OK() {
				wantLog(t, dir, records(1, 5))
			}
		}
	})
}

// FuzzStub takes any bytes for a stub.
func FuzzStub(f *testing.F) {
	o := options(f.TempDir())
	l := segmented(f, o, 5)
	l.keepBytes = 1
	if err := l.Tidy(f.Context()); err != nil {
		f.Fatal(err)
	}
	mustClose(f, l)
	whole := read(f, o.Dir, fileName(1, stub))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append(bytes.Clone(whole), '\n'))
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, content, o.Dir, fileName(1, stub))
		if r := verify1(t, o.Dir); r.OK() != bytes.Equal(content, whole) {
			t.Errorf("the same: %v, found: %v", bytes.Equal(content, whole), r.Corruptions)
		}
	})
}

// FuzzLedger takes any bytes for the checkpoints.
func FuzzLedger(f *testing.F) {
	dir, whole := seedLog(f, ledgerName)
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, content, dir, ledgerName)
		r := verify1(t, dir)
		if r.OK() && r.Unsigned == 0 && !bytes.Contains(content, lastLine(whole)) {
			t.Errorf("accepted: %+v", r)
		}
		l, err := Open(options(dir))
		if r.OK() && err != nil {
			t.Errorf("not opened: %v", err)
		}
		if err != nil {
			return
		}
		mustClose(t, l)
		if r.OK() {
			wantLog(t, dir, records(1, 5))
		}
	})
}

func lastLine(text []byte) []byte {
	return text[bytes.LastIndexByte(text[:len(text)-1], '\n')+1:]
}

// FuzzRecord reads any line: what is a record is written again as it was, unless
// its payload could stand in its line in another way.
func FuzzRecord(f *testing.F) {
	r := record(7)
	r.Seq = 3
	f.Add(appendRecord(nil, Hash{1}, &r))
	r.Payload = []byte("{\n}")
	f.Add(appendRecord(nil, Hash{}, &r))
	f.Add([]byte(`{"prev":"`))
	f.Fuzz(func(t *testing.T, line []byte) {
		prev, r, err := parseRecord(line)
		if err != nil {
			return
		}
		if r.check() != nil && len(r.Payload) <= MaxPayload {
			t.Errorf("not a valid record: %v", r.check())
		}
		again := appendRecord(nil, prev, &r)
		prev2, r2, err := parseRecord(again)
		if err != nil || prev2 != prev || !sameRecord(r, r2) {
			t.Errorf("%q was read otherwise the second time: %v", line, err)
		}
		if oneLineJSON(r.Payload) && !bytes.Contains(line, []byte(partBase64)) && !bytes.Equal(again, line) {
			t.Errorf("%q is written as %q", line, again)
		}
	})
}
