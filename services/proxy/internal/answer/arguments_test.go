package answer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Arguments that are JSON at any point are never taken for such that may go on, however
// they are cut; nor are those after it.
func TestArgumentsAreReadAlong(t *testing.T) {
	tests := []struct {
		text string
		want string // for each byte: - nothing yet, o open, w word, f free, ! whole
	}{
		{`{"a":1}`, "oooooo!"},
		{` {} `, "-o!!"},
		{`[{"a":"}\"]"}]`, "ooooooooooooo!"},
		{`{} x`, "o!!!"},
		{`"a\"b\\"`, "ooooooo!"},
		{`-1.5e+10`, "wwwwwwww"},
		{`true`, "wwww"},
		{` true `, "-wwwww"},
		{`ls -la`, "wwwfff"},
		{`Hi`, "ff"},
		{`*** Begin`, "fffffffff"},
		{`{'a':'}'}`, "offffffff"},
		{`{"a"/**/}`, "oooofffff"},
		{`[]]`, "o!!"},
		{`}{`, "ff"},
		{strings.Repeat("1", maxScalar+1), strings.Repeat("w", maxScalar) + "f"},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 3, len(tt.text)} {
			var a arguments
			for start := 0; start < len(tt.text); start += size {
				end := min(start+size, len(tt.text))
				a.add([]byte(tt.text[start:end]))
				if got := "-owf!"[a.reading]; got != tt.want[end-1] {
					t.Errorf("%q up to %d, by %d: %c, want %c", tt.text, end, size, got, tt.want[end-1])
				}
			}
		}
	}
}

// FuzzArguments compares with a parser that begins anew each time.
func FuzzArguments(f *testing.F) {
	f.Add(`{"a":[1,"\""]} {}`, uint64(1))
	f.Add(`-1.5e+1 `, uint64(2))
	f.Add("\"\xff\"", uint64(3))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		var a arguments
		for end := 0; end < len(text); {
			start := end
			end += 1 + random.IntN(len(text)-end)
			a.add([]byte(text[start:end]))
			whole := jsontext.Value(text[:end]).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
			if whole && a.reading != readWhole && a.reading != readWord && end <= maxScalar {
				t.Fatalf("%q is JSON, taken for %d", text[:end], a.reading)
			}
			if string(a.text) != text[:end] {
				t.Fatalf("%q is kept as %q", text[:end], a.text)
			}
		}
	})
}

func TestCanonicalKeepsTheMeaning(t *testing.T) {
	for _, same := range [][]string{
		{`{"a":1,"b":[true,null]}`, " { \"a\" : 1,\n\"b\":[ true , null ] } "},
		{`{"a":"é/"}`, `{"\u0061":"\u00e9\/"}`},
		{`{"a":1,"a":2}`, `{"a": 1, "a": 2}`},
	} {
		if a, b := string(canonical([]byte(same[0]))), string(canonical([]byte(same[1]))); a != b {
			t.Errorf("%s and %s are %s and %s", same[0], same[1], a, b)
		}
	}
	for _, other := range [][]string{
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`},
		{`1`, `1.0`},
		{`12345678901234567890`, `12345678901234567891`},
		{`{"a":1}`, `{"a":1} x`},
		{`ls  -la`, `ls -la`},
		{`"a b"`, `"a  b"`},
	} {
		if a, b := string(canonical([]byte(other[0]))), string(canonical([]byte(other[1]))); a == b {
			t.Errorf("%s and %s are both %s", other[0], other[1], a)
		}
	}
}
