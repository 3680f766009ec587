package escape_test

import (
	"testing"

	"github.com/openclaw-security/bus/services/internal/escape"
)

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		text string
		c    rune
		n    int
	}{
		{"%73x", 's', 3},
		{"%C3%A9", 0xC3, 3}, // a byte of a character
		{`\x73`, 's', 4},
		{`\u0073`, 's', 6},
		{`\U0073`, 's', 6},
		{`\ud83d\ude00.`, '😀', 12},
		{`\ud83dx`, 0xD83D, 6},
		{`\"`, '"', 2},
		{`\/`, '/', 2},
		{"&#115;", 's', 6},
		{"&#x73;", 's', 6},
		{"&#X10FFFF;", 0x10FFFF, 10},

		{"%", 0, 0},
		{"%7", 0, 0},
		{"%7g", 0, 0},
		{`\`, 0, 0},
		{`\n`, 0, 0},
		{`\\`, 0, 0},
		{`\u00`, 0, 0},
		{"&", 0, 0},
		{"&;", 0, 0},
		{"&#;", 0, 0},
		{"&#x;", 0, 0},
		{"&amp;", 0, 0},
		{"&#99999999;", 0, 0},
		{"sx73", 0, 0},
	} {
		if c, n := escape.Decode([]byte(test.text)); c != test.c || n != test.n {
			t.Errorf("%s: %q of %d bytes, want %q of %d", test.text, c, n, test.c, test.n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"%73", `\ud83d\ude00`, "&#x73;", `\`, "&#"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) == 0 {
			return
		}
		if c, n := escape.Decode(text); n < 0 || n > len(text) || n == 0 && c != 0 || c < 0 {
			t.Errorf("%q: %q of %d bytes", text, c, n)
		}
	})
}
