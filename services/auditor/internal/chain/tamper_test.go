package chain

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// wantCorruption checks that a corruption was found at a place: a file and, unless it is 0,
// a line. The line before will do, because a hash and what it is of cannot be told
// apart when they differ.
func wantCorruption(t *testing.T, r Result, file string, line int) {
	t.Helper()
	if r.OK() {
		t.Fatal("not detected")
	}
	for _, f := range r.Corruptions {
		if f.File == file && (line == 0 || f.Line == line || f.Line == line-1) {
			return
		}
	}
	t.Errorf("not located at %s line %d: %v", file, line, r.Corruptions)
}

// TestTamperLines alters lines of the middle segment of three.
func TestTamperLines(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 9)
	mustClose(t, l)
	wantLog(t, o.Dir, records(1, 9))
	middle := fileName(2, plain) // header, records 4 to 6, footer
	replace := func(line int, old, text string) func([][]byte) [][]byte {
		return func(ls [][]byte) [][]byte {
			if !bytes.Contains(ls[line-1], []byte(old)) {
				panic(fmt.Sprintf("line %d has no %s", line, old))
			}
			ls[line-1] = bytes.Replace(ls[line-1], []byte(old), []byte(text), 1)
			return ls
		}
	}
	for _, test := range []struct {
		name   string
		line   int
		tamper func([][]byte) [][]byte
	}{
		{"number", 3, replace(3, `"seq":5`, `"seq":6`)},
		{"id", 3, replace(3, `"id":"0`, `"id":"1`)},
		{"stream sequence", 3, replace(3, `"stream_seq":5`, `"stream_seq":4`)},
		{"time", 3, replace(3, `"stored":"2026`, `"stored":"2025`)},
		{"payload", 3, replace(3, `"n":5`, `"n":6`)},
		{"space in the line", 3, replace(3, `,"payload"`, `, "payload"`)},
		{"another field", 3, replace(3, `"payload":{`, `"payload":{"x":1,`)},
		{"previous hash", 3, func(ls [][]byte) [][]byte { ls[2][9] ^= 1; return ls }},
		{"drop", 3, func(ls [][]byte) [][]byte { return slices.Delete(ls, 2, 3) }},
		{"drop the first", 2, func(ls [][]byte) [][]byte { return slices.Delete(ls, 1, 2) }},
		{"drop the last", 5, func(ls [][]byte) [][]byte { return slices.Delete(ls, 3, 4) }},
		{"swap", 3, func(ls [][]byte) [][]byte { ls[2], ls[3] = ls[3], ls[2]; return ls }},
		{"duplicate", 4, func(ls [][]byte) [][]byte { return slices.Insert(ls, 3, ls[2]) }},
		{"insert", 4, func(ls [][]byte) [][]byte {
			r := record(99)
			r.Seq = 6
			return slices.Insert(ls, 3, appendRecord(nil, hashLine(ls[2]), &r))
		}},
		{"insert behind the footer", 6, func(ls [][]byte) [][]byte {
			r := record(99)
			r.Seq = 7
			return append(ls, appendRecord(nil, hashLine(ls[4]), &r))
		}},
		{"empty line", 4, func(ls [][]byte) [][]byte { return slices.Insert(ls, 3, []byte("\n")) }},
		{"header's time", 1, replace(1, `"created":"2026`, `"created":"2025`)},
		{"header's log", 1, replace(1, `"log":"`, `"log":"x`)},
		{"header's key", 1, replace(1, `"public_key":"`, `"public_key":"AAAA`)},
		{"header's range", 1, replace(1, `"stream_first":1`, `"stream_first":2`)},
		{"header's version", 1, replace(1, `"version":1`, `"version":2`)},
		{"header drop", 1, func(ls [][]byte) [][]byte { return ls[1:] }},
		{"header twice", 2, func(ls [][]byte) [][]byte { return slices.Insert(ls, 1, ls[0]) }},
		{"footer's time", 5, replace(5, `"closed":"2026`, `"closed":"2025`)},
		{"footer's last", 5, replace(5, `"last_seq":6`, `"last_seq":5`)},
		{"footer's signature", 5, replace(5, `"signature":"`, `"signature":"A`)},
		{"footer drop", 4, func(ls [][]byte) [][]byte { return ls[:4] }},
		{"footer in base64 written otherwise", 5, replace(5, `=="}}`, `=="} }`)},
		{"NUL behind the end", 6, func(ls [][]byte) [][]byte { return append(ls, []byte{0, '\n'}) }},
		{"half a line behind the end", 6, func(ls [][]byte) [][]byte { return append(ls, []byte("{")) }},
		{"nothing left", 0, func(ls [][]byte) [][]byte { return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copyLog(t, o.Dir)
			write(t, bytes.Join(test.tamper(lines(t, dir, middle)), nil), dir, middle)
			wantCorruption(t, verify1(t, dir), middle, test.line)
			if got, errs := scanAll(dir, 1); errs == nil {
				t.Error("Scan has seen nothing")
			} else {
				for _, r := range got {
					if want := record(r.Seq); r.Seq > 9 || r.ID != want.ID || !bytes.Equal(r.Payload, want.Payload) || r.StreamSeq != want.StreamSeq || !r.Stored.Equal(want.Stored) {
						t.Errorf("Scan yields what was not appended: %+v", r)
					}
				}
			}
		})
	}
}

// TestTamperBits flips every bit of a log, one after the other.
func TestTamperBits(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentBytes = 500
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 2)...)
	mustAppend(t, l, record(3))
	mustClose(t, l)
	for n := range uint64(2) {
		name := fileName(n+1, plain)
		whole := read(t, o.Dir, name)
		for i := range whole {
			line := bytes.Count(whole[:i], []byte("\n")) + 1
			spoiled := slices.Clone(whole)
			spoiled[i] ^= 1 << (i % 8)
			write(t, spoiled, o.Dir, name)
			r := verify1(t, o.Dir)
			// A line break that is gone, or has come, moves the lines behind it.
			if r.OK() || !slices.ContainsFunc(r.Corruptions, func(f *Corruption) bool { return f.File == name && f.Line >= line-1 && f.Line <= line+1 }) {
				t.Fatalf("bit %d of byte %d of %s, in line %d: %v", i%8, i, name, line, r.Corruptions)
			}
		}
		write(t, whole, o.Dir, name)
	}
	wantLog(t, o.Dir, records(1, 3))
}

// TestTruncate ends each file of a closed log at every byte.
func TestTruncate(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentBytes = 500
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 2)...)
	mustAppend(t, l, record(3))
	mustClose(t, l)
	for n := range uint64(2) {
		name := fileName(n+1, plain)
		whole := read(t, o.Dir, name)
		for size := range whole {
			write(t, whole[:size], o.Dir, name)
			r := verify1(t, o.Dir)
			if r.OK() || !slices.ContainsFunc(r.Corruptions, func(f *Corruption) bool { return f.File == name }) {
				t.Fatalf("%s at byte %d: %v", name, size, r.Corruptions)
			}
			if size%32 > 0 {
				continue
			}
			if _, err := Open(options(o.Dir)); err == nil {
				t.Fatalf("%s at byte %d was opened", name, size)
			}
		}
		write(t, whole, o.Dir, name)
	}
	wantLog(t, o.Dir, records(1, 3))
}

func TestTamperCompressed(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 6)
	mustTidy(t, l)
	mustClose(t, l)
	name := fileName(1, compressed)
	whole := read(t, o.Dir, name)
	undetected := 0
	for i := range whole {
		spoiled := slices.Clone(whole)
		spoiled[i] ^= 1 << (i % 8)
		write(t, spoiled, o.Dir, name)
		if r := verify1(t, o.Dir); r.OK() {
			// Bits that zstd ignores: the lines are the same.
			undetected++
			wantLog(t, o.Dir, records(1, 6))
		} else {
			wantCorruption(t, r, name, 0)
		}
	}
	if undetected > 16 {
		t.Errorf("%d bits make no difference", undetected)
	}
	for size := 0; size < len(whole); size += 3 {
		write(t, whole[:size], o.Dir, name)
		wantCorruption(t, verify1(t, o.Dir), name, 0)
	}
	write(t, append(slices.Clone(whole), "more"...), o.Dir, name)
	wantCorruption(t, verify1(t, o.Dir), name, 0)
}

func TestTamperFiles(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 9)
	mustClose(t, l)
	alien := options(t.TempDir())
	l = segmented(t, alien, 9)
	mustClose(t, l)
	third := lines(t, o.Dir, fileName(3, plain))
	for _, test := range []struct {
		name   string
		file   string
		tamper func(t *testing.T, dir string)
	}{
		{"another log's segment", fileName(2, plain), func(t *testing.T, dir string) {
			write(t, read(t, alien.Dir, fileName(2, plain)), dir, fileName(2, plain))
		}},
		{"another log's last segment", fileName(3, plain), func(t *testing.T, dir string) {
			write(t, read(t, alien.Dir, fileName(3, plain)), dir, fileName(3, plain))
		}},
		{"another log's checkpoints", ledgerName, func(t *testing.T, dir string) {
			write(t, read(t, alien.Dir, ledgerName), dir, ledgerName)
		}},
		{"reordered", fileName(1, plain), func(t *testing.T, dir string) {
			one, two := read(t, dir, fileName(1, plain)), read(t, dir, fileName(2, plain))
			write(t, one, dir, fileName(2, plain))
			write(t, two, dir, fileName(1, plain))
		}},
		{"copied", fileName(3, plain), func(t *testing.T, dir string) {
			write(t, read(t, dir, fileName(2, plain)), dir, fileName(3, plain))
		}},
		{"first deleted", fileName(1, plain), func(t *testing.T, dir string) { remove(t, dir, fileName(1, plain)) }},
		{"middle deleted", fileName(2, plain), func(t *testing.T, dir string) { remove(t, dir, fileName(2, plain)) }},
		{"last deleted", fileName(2, plain), func(t *testing.T, dir string) { remove(t, dir, fileName(3, plain)) }},
		{"all deleted", fileName(1, plain), func(t *testing.T, dir string) {
			for n := range uint64(3) {
				remove(t, dir, fileName(n+1, plain))
			}
		}},
		{"checkpoints deleted", ledgerName, func(t *testing.T, dir string) { remove(t, dir, ledgerName) }},
		{"checkpoint altered", ledgerName, func(t *testing.T, dir string) {
			write(t, bytes.Replace(read(t, dir, ledgerName), []byte(`"seq":9`), []byte(`"seq":8`), 1), dir, ledgerName)
		}},
		{"end cut off with its checkpoints", ledgerName, func(t *testing.T, dir string) {
			write(t, bytes.Join(third[:2], nil), dir, fileName(3, plain))
			write(t, nil, dir, ledgerName)
		}},
		{"plain beside compressed", fileName(2, plain), func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, fileName(2, plain)), filepath.Join(dir, "was")); err != nil {
				t.Fatal(err)
			}
			write(t, read(t, alien.Dir, fileName(2, plain)), dir, fileName(2, plain))
		}},
		{"stub without a signature", fileName(2, stub), func(t *testing.T, dir string) {
			ls := lines(t, dir, fileName(2, plain))
			write(t, append(slices.Clone(ls[0]), ls[len(ls)-1]...), dir, fileName(2, stub))
			remove(t, dir, fileName(2, plain))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copyLog(t, o.Dir)
			test.tamper(t, dir)
			wantCorruption(t, verify1(t, dir), test.file, 0)
		})
	}
}

func TestTamperStub(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 9)
	l.keepBytes = 1
	mustTidy(t, l)
	mustClose(t, l)
	name := fileName(2, stub)
	if r := verify1(t, o.Dir); !r.OK() || len(r.Removed) != 2 {
		t.Fatalf("%+v", r)
	}
	whole := read(t, o.Dir, name)
	for i := range whole {
		spoiled := slices.Clone(whole)
		spoiled[i] ^= 1 << (i % 8)
		write(t, spoiled, o.Dir, name)
		if r := verify1(t, o.Dir); r.OK() || !slices.ContainsFunc(r.Corruptions, func(f *Corruption) bool { return f.File == name }) {
			t.Fatalf("bit %d of byte %d: %v", i%8, i, r.Corruptions)
		}
		if i%5 > 0 && i < len(whole)-5 {
			continue
		}
		write(t, whole[:i], o.Dir, name)
		if r := verify1(t, o.Dir); r.OK() || r.Corruptions[0].File != name {
			t.Fatalf("until byte %d: %v", i, r.Corruptions)
		}
	}
	write(t, read(t, o.Dir, fileName(1, stub)), o.Dir, name)
	wantCorruption(t, verify1(t, o.Dir), name, 0)
}
