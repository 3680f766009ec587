package follow

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// bzipTwoLines is what bzip2 makes of "a2\na3\n".
const bzipTwoLines = "QlpoOTFBWSZTWRBCnWMAAAJJAAAQGAAgACAAMM00GMgMZxdyRThQkBBCnWM="

func packed(t *testing.T, ext, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch ext {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".bz2":
		data, err := base64.StdEncoding.DecodeString(bzipTwoLines)
		if err != nil || text != "a2\na3\n" {
			t.Fatalf("%q: %v", text, err)
		}
		return data
	}
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A rotated file is read however it is compressed, with any extension.
func TestFormats(t *testing.T) {
	for _, ext := range []string{".gz", ".zst", ".xz", ".bz2"} {
		for _, name := range []string{"eve.json.1" + ext, "eve.json" + ext + ".1", "eve.json.1"} {
			t.Run(ext+" as "+name, func(t *testing.T) {
				r := newRig(t, Config{})
				r.write("eve.json", lines("a2"))
				r.expect("a2")
				r.stop()
				r.remove("eve.json")
				r.write(name, string(packed(t, ext, lines("a2", "a3"))))
				r.write("eve.json", lines("b1"))
				r.start(r.marks[0])
				r.expect("a3", "b1")
				r.expectResumes()
			})
		}
	}
}

// Compressed files are read in pieces, forward and from the middle, and one that
// is cut off says so.
func TestFormatsCutOff(t *testing.T) {
	line := strings.Repeat("0123456789", 20)
	text := strings.Repeat(line+"\n", 20_000)
	for _, ext := range []string{".gz", ".zst", ".xz"} {
		t.Run(ext, func(t *testing.T) {
			path := t.TempDir() + "/x" + ext
			data := packed(t, ext, text)
			for _, cut := range []int{0, 1, len(data) / 2} {
				if err := os.WriteFile(path, data[:len(data)-cut], 0o600); err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				e := &entry{path: path, key: keyOf(info), size: info.Size()}
				e.moved = true
				src, err := e.open()
				if err != nil {
					t.Fatal(err)
				}
				got, buf := 0, make([]byte, 70_000)
				for {
					n, err := src.readAt(buf, int64(got))
					if err != nil {
						t.Fatal(err)
					}
					if string(buf[:n]) != text[got:got+n] {
						t.Fatalf("other bytes at %d", got)
					}
					if got += n; n < len(buf) {
						break
					}
				}
				if short := src.short != ""; short != (cut > 0) || !short && got != len(text) {
					t.Errorf("%d bytes cut off: %d of %d bytes read, short: %q", cut, got, len(text), src.short)
				}
				if n, err := src.readAt(buf[:10], 5); err != nil || cut < 2 && string(buf[:n]) != text[5:15] {
					t.Errorf("%d bytes cut off: %q at 5, %v", cut, buf[:n], err)
				}
				if err := src.close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// What asks for gigabytes of memory is not read.
func TestDictionaryIsBounded(t *testing.T) {
	data := packed(t, ".xz", "a1\n")
	const dictionary = 16 // of the first block: behind the stream's header, size, flags, filter and its size
	if data[dictionary-2] != 0x21 {
		t.Fatalf("the filter is not where it was: % x", data[:20])
	}
	data[dictionary] = 40
	if _, err := newDecoder(xzipped, bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("xz: %v", err)
	}
	// A frame of zstandard with a window of 128 GiB (RFC 8878, 3.1.1.1.2).
	d, err := newDecoder(zstandard, strings.NewReader("\x28\xb5\x2f\xfd\x00\xd8\x01\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(d); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("zstd: %v", err)
	}
}

func TestLineTime(t *testing.T) {
	want := time.Date(2026, 1, 31, 3, 15, 51, 642_000_000, time.UTC)
	for _, line := range []string{
		`{"timestamp":"2026-01-31T03:15:51.642000+0000","event_type":"alert"}`,
		`{"timestamp":"2026-01-31T05:15:51.642+02:00","flow":{"start":"2025-01-01T00:00:00Z"}}`,
		`{"timestamp":1769829351642000000,"processId":1}`,
		`{"ts":1769829351.642,"uid":"x"}`,
		`{"@timestamp": "2026-01-31T03:15:51.642Z"}`,
		`{"time":1769829351642}`,
		`2026-01-31 03:15:51,642 INFO x`,
	} {
		if got := lineTime([]byte(line)); !got.Equal(want) {
			t.Errorf("%s: %v", line, got)
		}
	}
	for _, line := range []string{"", "a1", `{"n":1769829351642}`, `{"timestamp":"yesterday"}`, `{"timestamp":"2026-13-31T03:15:51Z"}`} {
		if got := lineTime([]byte(line)); !got.IsZero() {
			t.Errorf("%s: %v", line, got)
		}
	}
}
