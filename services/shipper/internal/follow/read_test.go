package follow

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestLongLines(t *testing.T) {
	const limit = 1000
	for _, block := range []int{64, 300, 4096} {
		for _, length := range []int{limit - 1, limit, limit + 1, limit + 2, 5 * limit} {
			for _, end := range []string{"\n", "\r\n"} {
				name := fmt.Sprintf("%d bytes and %q in blocks of %d", length, end, block)
				t.Run(name, func(t *testing.T) {
					r := newRig(t, Config{MaxLine: limit, MaxBatchBytes: 3000})
					r.f.block = block
					text := strings.Repeat("x", length)
					want := text
					if length > limit {
						want = fmt.Sprintf("too long: %d of %d bytes", limit, length+len(end))
					}
					r.write("eve.json", "before\n"+text[:length/2])
					r.expect("before")
					r.write("eve.json", text[length/2:])
					r.expect()
					r.write("eve.json", end+text+end+"after\n")
					r.expect(want, want, "after")
					r.expectResumes()
				})
			}
		}
	}
}

func TestLongUnterminatedLine(t *testing.T) {
	for _, length := range []int{900, 1000, 1001, 1002, 1003, 9000} {
		r := newRig(t, Config{MaxLine: 1000})
		r.f.block = 512
		text := strings.Repeat("x", length)
		r.write("eve.json", "a1\n"+text)
		r.expect("a1")
		r.rename("eve.json", "eve.json.1")
		r.write("eve.json", lines("b1"))
		r.expect()
		r.pass()
		r.expect("unterminated: "+text[:min(length, 1000)], "b1")
		r.expectResumes()
	}
}

func TestLongLineInCompressedFile(t *testing.T) {
	r := newRig(t, Config{MaxLine: 1000})
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	r.stop()
	long := strings.Repeat("x", 10_000)
	r.write("eve.json", lines(long, "a2", long, "a3")+long)
	r.gzip("eve.json")
	r.age("eve.json.gz", 1e9*3600)
	r.write("eve.json", lines("b1"))
	r.start(r.marks[0])
	r.f.block = 300
	r.expect("too long: 1000 of 10001 bytes", "a2", "too long: 1000 of 10001 bytes", "a3",
		"unterminated: "+long[:1000], "b1")
	r.expectResumes()
}

func TestBatchLimits(t *testing.T) {
	r := newRig(t, Config{MaxBatchBytes: 2000})
	line := strings.Repeat("x", 900)
	long := strings.Repeat("y", 5000)
	r.write("eve.json", lines(line, line, line, long, line))
	var sizes [][]int
	for {
		r.f.step(10)
		if len(r.f.batch.Lines) == 0 {
			break
		}
		var size []int
		for _, l := range r.f.batch.Lines {
			size = append(size, len(l.Text))
		}
		sizes = append(sizes, size)
	}
	want := [][]int{{900, 900}, {900}, {5000}, {900}}
	if !slices.EqualFunc(sizes, want, slices.Equal) {
		t.Errorf("batches of %v, want %v", sizes, want)
	}
}

// The first line counts for the generation only up to a bound, so that it is
// known early.
func TestLongFirstLine(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", strings.Repeat("x", 10))
	r.expect()
	r.write("eve.json", strings.Repeat("x", 2*headSize))
	r.expect()
	if s := r.f.Stats(); s.GenerationsBegun != 1 || s.LagBytes != 10+2*headSize {
		t.Errorf("stats: %+v", s)
	}
	r.write("eve.json", "\n")
	r.expect(strings.Repeat("x", 10+2*headSize))
	r.expectResumes()
}

func TestMemoryForLongLine(t *testing.T) {
	const size = 64 << 20
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "eve.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range size / len(chunk) {
		if _, err := f.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(f, "\nafter\n"); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := &rig{t: t}
	fol, err := Open(Config{Path: f.Name(), PollOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer fol.Close()
	for len(r.got) < 2 {
		fol.step(10)
		for i := range fol.batch.Lines {
			r.got = append(r.got, show(&fol.batch.Lines[i]))
		}
	}
	runtime.ReadMemStats(&after)
	want := []string{fmt.Sprintf("too long: %d of %d bytes", 1<<20, size+1), "after"}
	if !slices.Equal(r.got, want) {
		t.Errorf("got %q, want %q", r.got, want)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d bytes were allocated for a line of %d", used, size)
	}
}

// FuzzLines compares the follower, which reads in blocks, with bytes.Split.
func FuzzLines(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\n\x00\x00three\nrest"), uint16(7), uint8(2))
	f.Add([]byte("\x00\x00\n\r\n\r\r\na\x00b\n"), uint16(1), uint8(1))
	f.Add(bytes.Repeat([]byte("0123456789"), 200), uint16(100), uint8(9))
	f.Add(append(bytes.Repeat([]byte("0123456789"), 60), '\r', '\n'), uint16(255), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, block uint16, limit uint8) {
		const maxLine = minMaxLine
		path := filepath.Join(t.TempDir(), "eve.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		open := func(from string) *Follower {
			cp, err := ParseCheckpoint(from)
			if err != nil {
				t.Fatal(err)
			}
			fol, err := Open(Config{Path: path, PollOnly: true, MaxLine: maxLine, MaxBatchBytes: 4 * maxLine, From: cp})
			if err != nil {
				t.Fatal(err)
			}
			fol.block = 1 + int(block)
			return fol
		}
		fol := open("")
		defer fol.Close()
		want := splitLines(data, maxLine)
		var got []string
		for len(got) < len(want)+1 {
			fol.step(1 + int(limit))
			if len(fol.batch.Lines) == 0 {
				break
			}
			for i := range fol.batch.Lines {
				l := &fol.batch.Lines[i]
				got = append(got, show(l))
				raw := bytes.TrimRight(data[l.Start:l.End], "\r\n")
				if l.Kind == Complete && !bytes.Equal(raw, bytes.TrimRight(l.Text, "\r")) {
					t.Fatalf("line %q is said to be at %d-%d, where %q is", l.Text, l.Start, l.End, raw)
				}
			}
			if len(got) == len(want)/2 {
				last := len(fol.batch.Lines) - 1
				resumed := open(string(fol.batch.AppendCheckpoint(nil, last)))
				resumed.step(1)
				var next []string
				for i := range resumed.batch.Lines {
					next = append(next, show(&resumed.batch.Lines[i]))
				}
				if err := resumed.Close(); err != nil {
					t.Fatal(err)
				}
				if rest := want[len(got):]; !slices.Equal(next, rest[:min(1, len(rest))]) {
					t.Fatalf("resumed with %q, want %q", next, rest)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

// splitLines is what reading data must return, written the plain way.
func splitLines(data []byte, maxLine int) []string {
	var want []string
	parts := bytes.Split(data, []byte{'\n'})
	for _, part := range parts[:len(parts)-1] {
		whole := bytes.TrimLeft(part, "\x00")
		text := bytes.TrimSuffix(whole, []byte{'\r'})
		switch {
		case len(bytes.Trim(text, blank)) == 0:
		case len(text) > maxLine:
			want = append(want, fmt.Sprintf("too long: %d of %d bytes", maxLine, len(whole)+1))
		default:
			want = append(want, string(text))
		}
	}
	return want
}

func BenchmarkNext(b *testing.B) {
	const length = 900
	line := append(bytes.Repeat([]byte("x"), length-1), '\n')
	data := bytes.Repeat(line, 100_000)
	path := filepath.Join(b.TempDir(), "eve.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(Config{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		for n := 0; n < len(data)/length; {
			batch, err := f.Next(b.Context(), 1000)
			if err != nil {
				b.Fatal(err)
			}
			n += len(batch.Lines)
		}
		f.Close()
	}
}

func BenchmarkAppendCheckpoint(b *testing.B) {
	path := filepath.Join(b.TempDir(), "eve.json")
	if err := os.WriteFile(path, bytes.Repeat(append(bytes.Repeat([]byte("x"), 899), '\n'), 1000), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := Open(Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	batch, err := f.Next(b.Context(), 1000)
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		dst = batch.AppendCheckpoint(dst[:0], i%len(batch.Lines))
		i++
	}
}
