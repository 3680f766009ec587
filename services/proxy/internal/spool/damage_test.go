package spool

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDamage damages a spool of the records 1 to 5, whose lines are all equally
// long, and opens it.
func TestDamage(t *testing.T) {
	line := len(appendLine(nil, time.Now(), sample("1")))
	flip := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[i] ^= 0x10; return b }
	}
	for _, test := range []struct {
		name    string
		damage  func([]byte) []byte
		want    string // ids of the records that are left
		damaged int64
		torn    int64
		places  int // that are logged
	}{
		{name: "nothing", damage: func(b []byte) []byte { return b }, want: "1 2 3 4 5"},
		{name: "torn last line", damage: func(b []byte) []byte { return b[:len(b)-5] }, want: "1 2 3 4", torn: 1, places: 1},
		{name: "only its newline is missing", damage: func(b []byte) []byte { return b[:len(b)-1] }, want: "1 2 3 4", torn: 1, places: 1},
		{name: "one byte of a last line", damage: func(b []byte) []byte { return append(b, '0') }, want: "1 2 3 4 5", torn: 1, places: 1},
		{name: "zeros at the end", damage: func(b []byte) []byte { return append(b, make([]byte, 5000)...) }, want: "1 2 3 4 5", torn: 1, places: 1},
		{name: "nothing left", damage: func(b []byte) []byte { return b[:0] }},
		{name: "a bit of the payload", damage: flip(2*line + line - 3), want: "1 2 4 5", damaged: 1, places: 1},
		{name: "a bit of the checksum", damage: flip(2*line + 3), want: "1 2 4 5", damaged: 1, places: 1},
		{name: "a bit of the first line", damage: flip(0), want: "2 3 4 5", damaged: 1, places: 1},
		{name: "a bit of the last line", damage: flip(5*line - 2), want: "1 2 3 4", damaged: 1, places: 1},
		{name: "a newline", damage: flip(2*line - 1), want: "1 4 5", damaged: 1, places: 1},
		{name: "a newline too many", damage: func(b []byte) []byte { b[2*line+20] = '\n'; return b }, want: "1 2 4 5", damaged: 2, places: 1},
		{name: "two lines apart", damage: func(b []byte) []byte { return flip(line)(flip(4 * line)(b)) }, want: "1 3 4", damaged: 2, places: 2},
		{name: "empty lines", damage: func(b []byte) []byte { return slices.Insert(b, line, '\n', '\n') }, want: "1 2 3 4 5", damaged: 2, places: 1},
		{
			name:   "an endless line",
			damage: func(b []byte) []byte { return slices.Insert(b, line, append(make([]byte, 3*maxLine), '\n')...) },
			want:   "1 2 3 4 5", damaged: 1, places: 1,
		},
		{
			name:   "an endless torn line",
			damage: func(b []byte) []byte { return append(b, make([]byte, 3*maxLine)...) },
			want:   "1 2 3 4 5", torn: 1, places: 1,
		},
		{
			name: "all of it",
			damage: func(b []byte) []byte {
				for i := range b {
					if b[i] != '\n' {
						b[i] = '?'
					}
				}
				return b
			},
			damaged: 5, places: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			first := opened(t, defaults(dir))
			put(t, first, numbered(1, 6)...)
			path := files(t, dir)[0]
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, test.damage(content), 0o600); err != nil {
				t.Fatal(err)
			}
			log := new(logged)
			o := defaults(dir)
			o.Log = log.logger()
			s := opened(t, o)
			check := func(what, want string) {
				t.Helper()
				r, _ := readFrom(t, s, "")
				if got := strings.Join(ids(waiting(t, r)), " "); got != want {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
				if st := s.Stats(); st.Damaged != test.damaged || st.Torn != test.torn || st.Waiting != int64(len(strings.Fields(want))) {
					t.Errorf("%s: %+v, want %d damaged, %d torn", what, st, test.damaged, test.torn)
				}
			}
			check("opened", test.want)
			check("read again", test.want)
			if n := strings.Count(log.String(), "offset="); n != test.places {
				t.Errorf("logged %d places:\n%s", n, log)
			}
			put(t, s, "6")
			check("appended to", strings.TrimLeft(test.want+" 6", " "))
			// What was cut off at the end is gone; what was damaged stays.
			if again := opened(t, defaults(dir)).Stats(); again.Damaged != test.damaged || again.Torn != 0 {
				t.Errorf("opened again: %+v", again)
			}
		})
	}
}

// TestDamageWhileOpen damages a segment behind the back of the process.
func TestDamageWhileOpen(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(path string) error
		want   []string
	}{
		"a bit": {
			damage: func(path string) error {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				b[bytes.IndexByte(b, '{')] = '['
				return os.WriteFile(path, b, 0o600)
			},
			want: numbered(2, 7),
		},
		"emptied": {
			damage: func(path string) error { return os.Truncate(path, 0) },
			want:   []string{"6"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := opened(t, defaults(dir))
			put(t, s, numbered(1, 6)...)
			if err := test.damage(files(t, dir)[0]); err != nil {
				t.Fatal(err)
			}
			r, _ := readFrom(t, s, "")
			got := ids(waiting(t, r))
			put(t, s, "6")
			last := waiting(t, r)
			got = append(got, ids(last)...)
			s.Done(last[len(last)-1].End)
			if st := s.Stats(); !slices.Equal(got, test.want) || st.Damaged != 1 || st.Waiting != 0 {
				t.Errorf("%v, want %v; %+v", got, test.want, s.Stats())
			}
		})
	}
}

// TestOtherFilesAreLeftAlone puts files into the directory that are not the
// spool's.
func TestOtherFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	word := strings.Repeat("0", 16)
	for _, name := range []string{
		"lock", "alert-00000001-" + word + extension, "audit-1-" + word + extension,
		"audit-00000001-" + word, "audit-.spool", "audit-x-" + word + extension,
	} {
		if err := os.WriteFile(dir+"/"+name, []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := opened(t, defaults(dir))
	put(t, s, "1")
	r, _ := readFrom(t, s, "")
	all := waiting(t, r)
	s.Done(all[0].End)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); len(left) != 6 || len(all) != 1 || st.Damaged+st.Torn != 0 {
		t.Errorf("%d files left, %d records, %+v", len(left), len(all), st)
	}
}

// FuzzSegment reads a segment of any bytes: nothing must stop it, and good lines
// between the bytes must be found.
func FuzzSegment(f *testing.F) {
	good := appendLine(nil, time.UnixMilli(1764000000000), sample("good"))
	f.Add([]byte{}, []byte{})
	f.Add([]byte("\n"), good)
	f.Add(good, good[:len(good)/2])
	f.Add(good[:len(good)-1], append([]byte("x"), good...))
	f.Add(bytes.Repeat([]byte{0}, 100), []byte("00000000 1 a b c\n"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		dir := t.TempDir()
		first := opened(t, defaults(dir))
		put(t, first, "x")
		path := files(t, dir)[0]
		content := slices.Concat(before, []byte("\n"), good, after)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := opened(t, defaults(dir))
		r, _ := readFrom(t, s, "")
		found := false
		end := int64(0)
		for _, e := range waiting(t, r) {
			found = found || e.ID == "good"
			if e.End.mark.offset <= end || e.End.mark.offset > int64(len(content)) {
				t.Errorf("record %q ends at %d, after %d of %d", e.ID, e.End.mark.offset, end, len(content))
			}
			end = e.End.mark.offset
			if e.check() != nil {
				t.Errorf("a record that could not be appended: %+v", e.record)
			}
			s.Done(e.End)
		}
		if st := s.Stats(); !found || st.Waiting != 0 {
			t.Errorf("found %v, %+v", found, st)
		}
	})
}

// FuzzPosition goes on from any string: all records come, or those behind one of
// them.
func FuzzPosition(f *testing.F) {
	s := opened(f, defaults(f.TempDir()))
	put(f, s, numbered(0, 20)...)
	r, _ := readFrom(f, s, "")
	all := waiting(f, r)
	f.Add("", int64(0))
	f.Add(all[3].End.String(), int64(0))
	f.Add(all[3].End.segment.name()+":", int64(1<<62))
	f.Add(all[3].End.segment.name()+":", all[7].End.mark.offset+1)
	f.Fuzz(func(t *testing.T, text string, n int64) {
		for _, text := range []string{text, text + strconv.FormatInt(n, 10)} {
			s.Done(position{all[0].End.segment, mark{}})
			r, _ := readFrom(t, s, text)
			got := ids(waiting(t, r))
			if !slices.Equal(got, numbered(20-len(got), 20)) || s.Stats().Waiting != int64(len(got)) {
				t.Errorf("from %q: %v, %+v", text, got, s.Stats())
			}
		}
	})
}
