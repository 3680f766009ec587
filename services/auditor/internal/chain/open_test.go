package chain

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// TestTornTail cuts the end of a log that was not closed at every byte, as a crash
// can, and opens it.
func TestTornTail(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 3)...)
	if _, err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, records(4, 5)...)
	crashed := copyLog(t, o.Dir)
	all := lines(t, crashed, fileName(1, plain))
	whole := bytes.Join(all, nil)
	signed := len(bytes.Join(all[:4], nil)) // header and three records

	for size := range whole {
		if size < signed-2 && size%20 != 0 {
			continue // where all are refused alike
		}
		if size > signed+2 && size < len(whole)-2 && size%3 != 0 {
			continue
		}
		dir := copyLog(t, crashed)
		write(t, whole[:size], dir, fileName(1, plain))
		o := options(dir)
		l, err := Open(o)
		if size < signed {
			var corruption *Corruption
			if !errors.As(err, &corruption) {
				t.Fatalf("at byte %d, records that were signed are gone: %v", size, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("at byte %d: %v", size, err)
		}
		n := uint64(bytes.Count(whole[:size], []byte("\n"))) - 1
		torn := int64(size - bytes.LastIndexByte(whole[:size], '\n') - 1)
		if h := l.Last(); h.Seq != n || h.StreamSeq != n || l.Stats().TornBytes != torn {
			t.Fatalf("at byte %d: %+v with %d torn bytes, want %d and %d", size, h, l.Stats().TornBytes, n, torn)
		}
		mustAppend(t, l, records(n+1, 6)...)
		mustClose(t, l)
		wantLog(t, dir, records(1, 6))
	}
}

// TestTornMiddle leaves what a crash can leave when the pages of a write have not
// reached the disk in order.
func TestTornMiddle(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 3)...)
	if _, err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, records(4, 8)...)
	crashed := copyLog(t, o.Dir)
	all := lines(t, crashed, fileName(1, plain))
	zeros := func(n int) []byte { return make([]byte, n) }
	flipped := func(line []byte) []byte {
		line = slices.Clone(line)
		line[len(line)-5] ^= 1
		return line
	}
	for _, test := range []struct {
		name  string
		spoil func(lines [][]byte)
		left  uint64
	}{
		{"hole", func(ls [][]byte) { ls[6] = zeros(len(ls[6])) }, 5},
		{"hole within lines", func(ls [][]byte) { clear(ls[5][20:]); clear(ls[6][:20]) }, 4},
		{"only the end", func(ls [][]byte) { ls[4], ls[5], ls[6] = zeros(len(ls[4])), zeros(len(ls[5])), zeros(len(ls[6])) }, 3},
		{"another payload", func(ls [][]byte) { ls[6] = flipped(ls[6]) }, 5},
		{"another payload behind what was signed", func(ls [][]byte) { ls[4] = flipped(ls[4]) }, 3},
		{"line missing", func(ls [][]byte) { ls[6] = nil }, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copyLog(t, crashed)
			spoiled := lines(t, crashed, fileName(1, plain))
			test.spoil(spoiled)
			write(t, bytes.Join(spoiled, nil), dir, fileName(1, plain))
			l := mustOpen(t, options(dir))
			if h := l.Last(); h.Seq != test.left || l.Stats().TornBytes == 0 {
				t.Errorf("%+v", h)
			}
			mustAppend(t, l, records(test.left+1, 9)...)
			mustClose(t, l)
			wantLog(t, dir, records(1, 9))
		})
	}
	t.Run("in what was signed", func(t *testing.T) {
		dir := copyLog(t, crashed)
		spoiled := slices.Clone(all)
		spoiled[2] = flipped(spoiled[2])
		write(t, bytes.Join(spoiled, nil), dir, fileName(1, plain))
		var corruption *Corruption
		if _, err := Open(options(dir)); !errors.As(err, &corruption) || corruption.Line != 3 {
			t.Errorf("error %v", err)
		}
	})
}

// TestTornLedger ends the file of checkpoints at every byte.
func TestTornLedger(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 3)...)
	crashed := copyLog(t, o.Dir)
	mustClose(t, l)
	whole := read(t, o.Dir, ledgerName)
	first := bytes.IndexByte(whole, '\n') + 1
	for size := range whole {
		if size%7 != 0 && size > 3 && (size < first-3 || size > first+3) && size < len(whole)-3 {
			continue
		}
		dir := copyLog(t, crashed)
		write(t, whole[:size], dir, ledgerName)
		l, err := Open(options(dir))
		if size < first {
			if err == nil {
				t.Fatalf("at byte %d: opened without a checkpoint", size)
			}
			continue
		}
		if err != nil {
			t.Fatalf("at byte %d: %v", size, err)
		}
		mustClose(t, l)
		if r := wantLog(t, dir, records(1, 3)); r.Unsigned != 0 || r.Checkpoints != 2 {
			t.Fatalf("at byte %d: %+v", size, r)
		}
	}
}

// TestCrashWhileRotating stops at each of the steps that change the directory.
func TestCrashWhileRotating(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentBytes = 500
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 2)...)
	before := copyLog(t, o.Dir)
	mustAppend(t, l, records(3, 4)...)
	after := copyLog(t, o.Dir)
	footer := read(t, after, fileName(1, plain))
	next := bytes.Join(lines(t, after, fileName(2, plain))[:1], nil)
	ledger := read(t, after, ledgerName)

	for _, test := range []struct {
		name  string
		build func(dir string)
	}{
		{"signed", func(dir string) {
			write(t, append(read(t, dir, ledgerName), ledger...), dir, ledgerName)
		}},
		{"footer", func(dir string) {
			write(t, append(read(t, dir, ledgerName), ledger...), dir, ledgerName)
			write(t, footer, dir, fileName(1, plain))
		}},
		{"condensed", func(dir string) {
			write(t, ledger, dir, ledgerName)
			write(t, footer, dir, fileName(1, plain))
		}},
		{"half a header", func(dir string) {
			write(t, ledger, dir, ledgerName)
			write(t, footer, dir, fileName(1, plain))
			write(t, next[:len(next)/2], dir, fileName(2, plain)+tmpSuffix)
		}},
		{"header", func(dir string) {
			write(t, ledger, dir, ledgerName)
			write(t, footer, dir, fileName(1, plain))
			write(t, next, dir, fileName(2, plain))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copyLog(t, before)
			test.build(dir)
			o := options(dir)
			for range 2 {
				l := mustOpen(t, o)
				if h := l.Last(); h.Seq != 2 || h.StreamSeq != 2 {
					t.Fatalf("%+v", h)
				}
				mustClose(t, l)
			}
			wantLog(t, dir, records(1, 2))
			l := mustOpen(t, o)
			mustAppend(t, l, records(3, 4)...)
			mustClose(t, l)
			wantLog(t, dir, records(1, 4))
		})
	}
}

// TestNewLogCrash stops after each file that a new log makes.
func TestNewLogCrash(t *testing.T) {
	made := options(t.TempDir())
	mustClose(t, mustOpen(t, made))
	for n, names := range [][]string{
		{keyName + tmpSuffix},
		{keyName},
		{keyName, publicKeyName, fileName(1, plain) + tmpSuffix},
		{keyName, publicKeyName, fileName(1, plain)},
		{keyName, publicKeyName, fileName(1, plain), ledgerName},
	} {
		o := options(t.TempDir())
		for _, name := range names {
			if bare, tmp := bytes.CutSuffix([]byte(name), []byte(tmpSuffix)); tmp {
				content := read(t, made.Dir, string(bare))
				write(t, content[:len(content)/2], o.Dir, name)
				continue
			}
			write(t, read(t, made.Dir, name), o.Dir, name)
		}
		l, err := Open(o)
		if err != nil {
			t.Errorf("after %d: %v", n, err)
			continue
		}
		mustAppend(t, l, record(1))
		mustClose(t, l)
		wantLog(t, o.Dir, records(1, 1))
	}
}
