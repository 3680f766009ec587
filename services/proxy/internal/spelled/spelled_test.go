package spelled

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const value = "sk-proj-Qx7LmZ2vN8aRt4YcKd9WbF3uHs6JgPe1"

// spellings are ways to write a value that only its letters and digits show.
var spellings = map[string]func(v string) string{
	"plain":                   func(v string) string { return v },
	"upper case":              strings.ToUpper,
	"spaces":                  func(v string) string { return between(v, " ", 1) },
	"line ends":               func(v string) string { return between(v, "\r\n", 1) },
	"dots and dashes":         func(v string) string { return between(v, ".-", 1) },
	"groups of four":          func(v string) string { return between(v, " – ", 4) },
	"zero width":              func(v string) string { return between(v, "\u200b", 1) },
	"word joiners and tags":   func(v string) string { return between(v, "\u2060\U000e0020", 1) },
	"without its own":         func(v string) string { return strings.ReplaceAll(v, "-", "") },
	"underscores for its own": func(v string) string { return strings.ReplaceAll(v, "-", "_") },
	"Markdown":                func(v string) string { return "**" + between(v, "**`", 3) + "**" },
	"a list":                  func(v string) string { return `["` + between(v, `","`, 1) + `"]` },
	"backwards":               func(v string) string { return string(reversed([]byte(v))) },
	"backwards with spaces":   func(v string) string { return between(string(reversed([]byte(v))), " ", 1) },
	"ROT13":                   turn,
	"ROT13 with dashes":       func(v string) string { return between(turn(v), "-", 2) },
	"ROT13 backwards":         func(v string) string { return string(reversed([]byte(turn(v)))) },
	"hex with commas":         func(v string) string { return between(hex.EncodeToString([]byte(v)), ", ", 2) },
	"far apart":               func(v string) string { return between(v, strings.Repeat(" \n", 2000), 1) },
}

func between(v, separator string, every int) string {
	var b strings.Builder
	for i := range len(v) {
		if i > 0 && i%every == 0 {
			b.WriteString(separator)
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

func turn(v string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return 'a' + (c-'a'+13)%26
		case 'A' <= c && c <= 'Z':
			return 'A' + (c-'A'+13)%26
		}
		return c
	}, v)
}

func TestFinds(t *testing.T) {
	v := New([][]byte{nil, []byte("another-value-0123456789"), []byte(value)})
	for name, spell := range spellings {
		t.Run(name, func(t *testing.T) {
			text := []byte("It is: " + spell(value) + ". Use it well.")
			if got := v.In(text); got != 2 {
				t.Errorf("found %d in %.200q", got, text)
			}
			// In pieces of any length it is found at the same place, and every piece
			// before waits from the eighth letter on.
			for _, size := range []int{1, 2, 3, 7, 50} {
				var into Text
				found, waited := -1, false
				for at := 0; at < len(text) && found < 0; at += size {
					var pending bool
					found, pending = v.Add(&into, text[at:min(at+size, len(text))])
					if found < 0 && waited && !pending {
						t.Fatalf("in pieces of %d: goes on at %d although it is one", size, at)
					}
					waited = waited || pending
				}
				if found != 2 {
					t.Errorf("in pieces of %d: found %d", size, found)
				}
			}
		})
	}
}

func TestValuesThatAreLeftOut(t *testing.T) {
	for _, v := range []string{"", "ollama", "sk-1-2-3-4-5", "not-needed-at-all-here"} {
		if got := New([][]byte{[]byte(v)}).In([]byte("x " + between(v, " ", 1) + " y")); got >= 0 {
			t.Errorf("%q is found", v)
		}
	}
	var none *Values
	if got := none.In([]byte(value)); got >= 0 {
		t.Error("nil finds something")
	}
}

// TestOrdinaryTexts: long answers of many kinds hold none of a hundred values, and
// nothing of them waits for long.
func TestOrdinaryTexts(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	r := rand.New(rand.NewPCG(7, 7))
	var values [][]byte
	for n := range 100 {
		key := []byte([]string{"sk-proj-", "sk-ant-api03-", "AIza", "gsk_", ""}[n%5])
		for range 12 + n%80 {
			key = append(key, alphabet[r.IntN(len(alphabet))])
		}
		values = append(values, key)
	}
	v := New(values)
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	texts := map[string]string{
		"hex dump":  hex.Dump(random),
		"hex":       hex.EncodeToString(random),
		"numbers":   fmt.Sprint(random),
		"sequences": strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz 0 1 2 3 4 5 6 7 8 9 a b c d e f\n", 1000),
		"keys that others would have": "sk-ant-api03-... and sk-proj-XXXXXXXXXXXXXXXXXXXX, or s k - p r o j - and so on; AIzaSyD-example, gsk_0000. " +
			strings.Repeat("sk-ant-api03-", 100),
	}
	for _, pattern := range []string{"../../*.go", "../*/*.go", "../../../../docs/*.md", "../answer/testdata/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err == nil {
				texts[name] = string(text)
			}
		}
	}
	pieces, waits := 0, 0
	for name, text := range texts {
		var into Text
		for piece := range bytes.Lines([]byte(text)) {
			found, pending := v.Add(&into, piece)
			if found >= 0 {
				t.Errorf("%s: has value %d: %q", name, found, piece)
			}
			pieces++
			if pending {
				waits++
			}
		}
	}
	if pieces < 10_000 || waits > pieces/500 {
		t.Errorf("%d of %d pieces wait", waits, pieces)
	}
}

// BenchmarkAdd is the cost of a piece of a stream and of a long text.
func BenchmarkAdd(b *testing.B) {
	v := New([][]byte{[]byte(value), []byte("canary-5f3a-for-tests"), []byte("sk-ant-api03-" + strings.Repeat("aB3x", 24))})
	for _, size := range []int{12, 64 << 10} {
		piece := []byte(strings.Repeat("Hello there, ", size/13+1)[:size])
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var into Text
			for b.Loop() {
				if found, _ := v.Add(&into, piece); found >= 0 {
					b.Fatal("found")
				}
			}
		})
	}
}
