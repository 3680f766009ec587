package keyword

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestLongText has keywords at all places of a text that is scanned in parts.
func TestLongText(t *testing.T) {
	m := New([]Keyword{{"aaaa", 1}, {"ab", 2}, {"bcdefghijklmnopqrst", 3}}, nil)
	for _, size := range []int{4*39 - 1, 4 * 39, 4 * 40, 4*1024 + 157, 8*1024 + 5} {
		for _, word := range []string{"aaaab", "xaby", "abcdefghijklmnopqrstu"} {
			for at := 0; at < size-len(word); at += 1 + size/500 {
				text := bytes.Repeat([]byte{'.'}, size)
				copy(text[at:], word)
				var want, got []int
				plainly(m, text, func(id, end int) { want = append(want, end, id) })
				m.Scan(text, func(id, end int) { got = append(got, end, id) })
				if !slices.Equal(got, want) || len(want) == 0 {
					t.Fatalf("%q at %d of %d: %v, want %v", word, at, size, got, want)
				}
			}
		}
	}
	// As many as there can be.
	text := bytes.Repeat([]byte{'a'}, 10_000)
	ends := 3
	m.Scan(text, func(id, end int) {
		if ends++; id != 1 || end != ends {
			t.Fatalf("keyword %d ends at %d, want %d", id, end, ends)
		}
	})
	if ends != len(text) {
		t.Errorf("the last of them ends at %d of %d", ends, len(text))
	}
}

// plainly is Scan by one step after the other.
func plainly(m *Matcher, text []byte, hit func(id, end int)) {
	var state uint32
	for i, c := range text {
		state = m.next[state+uint32(m.class[c])] &^ hitBit
		for _, id := range m.found[state/m.width] {
			hit(id, i+1)
		}
	}
}

// BenchmarkScan is of a text without a keyword, and of one that is full of them.
func BenchmarkScan(b *testing.B) {
	m := New([]Keyword{{"password", 0}, {"token", 1}, {"://", 2}, {"bearer", 3}}, Fold)
	for _, bench := range []struct{ name, text string }{
		{"none", "The quick brown fox jumps over the lazy dog. "},
		{"many", "token "},
	} {
		for _, size := range []int{50, 2_000, 200_000} {
			text := []byte(strings.Repeat(bench.text, size/len(bench.text)+1)[:size])
			b.Run(fmt.Sprintf("%s/%d", bench.name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					m.Scan(text, func(int, int) {})
				}
			})
		}
	}
}

// FuzzMatcher compares with looking for each keyword by itself.
func FuzzMatcher(f *testing.F) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	f.Add("he she his hers", "ushers said His\tshe", true)
	f.Add("he,she,his,hers", "ushers and his hershe", false)
	f.Add("a aa aaa", "aaaaAAa", true)
	f.Add("aaa,aa,a,ab", "aaaabaaab", false)
	f.Add("abcd bc c", "abcabcd", true)
	f.Add("\xff\xfe é", "x\xff\xfe é", true)
	f.Add("\xff\x00,\x80", "\x80\xff\x00", false)
	f.Add(string(all), "x"+string(all)+string(all), false)
	f.Add("", "text", true)
	f.Add("A", "0A0", false)
	f.Add("end ende dend", "a long text in the end in which there is dende at each ende", true)
	f.Fuzz(func(t *testing.T, words, text string, folds bool) {
		equal, fold := func(c byte) byte { return c }, (func(byte) byte)(nil)
		if folds {
			equal, fold = Fold, Fold
		}
		folded := func(s string) string {
			b := []byte(s)
			for i, c := range b {
				b[i] = equal(c)
			}
			return string(b)
		}
		separator := func(r rune) bool { return r == ' ' || r == ',' }
		var keywords []Keyword
		for i, w := range strings.FieldsFunc(words, separator) {
			if i < 50 {
				keywords = append(keywords, Keyword{folded(w), i / 2})
			}
		}
		var want, got []string
		lower := folded(text)
		for end := 1; end <= len(text); end++ {
			for _, k := range keywords {
				if strings.HasSuffix(lower[:end], k.Text) {
					want = append(want, fmt.Sprint(end, " ", k.ID))
				}
			}
		}
		for i := range keywords { // as they were written, which must not matter
			keywords[i].Text = strings.FieldsFunc(words, separator)[i]
		}
		New(keywords, fold).Scan([]byte(text), func(id, end int) { got = append(got, fmt.Sprint(end, " ", id)) })
		slices.Sort(want)
		want = slices.Compact(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q in %q: got %v, want %v", words, text, got, want)
		}
		got = nil
		m := New(keywords, fold)
		if m.Any([]byte(text), func(id, end int) bool { got = append(got, fmt.Sprint(end, " ", id)); return false }) {
			t.Error("found what was refused")
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%q in %q: any of %v, want %v", words, text, got, want)
		}
		if m.Any([]byte(text), func(int, int) bool { return true }) != (len(want) > 0) {
			t.Errorf("%q in %q: the first is not found", words, text)
		}
	})
}
