package forward

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"
)

// each writes every letter of text with format.
func each(text, format string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

func TestRedactEscapes(t *testing.T) {
	const key = "sk-proj-Qx7LmZ2vN8aRt4YcKd9WbF3uHs6JgPe1"
	s := secretsOf(key)
	wide := func(text string, order ...int) string {
		var b strings.Builder
		for _, c := range utf16.Encode([]rune(text)) {
			for _, shift := range order {
				b.WriteByte(byte(uint32(c) >> shift))
			}
		}
		return b.String()
	}
	tests := []struct{ name, text, before, after string }{
		{"JSON", "\"" + each(key, `\u%04x`) + "\"", `"`, `"`},
		{"JSON, other digits", each(key, `\u%04X`), "", ""},
		{"JSON, one letter", key[:10] + fmt.Sprintf(`\u%04x`, key[10]) + key[11:], "", ""},
		{"JSON, the first letter", fmt.Sprintf(`a\u%04x`, key[0]) + key[1:] + "b", "a", "b"},
		{"JSON, the last letter", key[:len(key)-1] + fmt.Sprintf(`\u%04x}`, key[len(key)-1]), "", "}"},
		{"JSON within JSON", `{\"x\":\"` + each(key, `\\u%04x`) + `\"}`, `{\"x\":\"`, `\"}`},
		{"JSON within JSON within JSON", each(key, `\\\\u%04x`), "", ""},
		{"JavaScript", each(key, `\x%02x`), "", ""},
		{"a URL", "k=" + each(key, "%%%02X") + "&x", "k=", "&x"},
		{"HTML", "<p>" + each(key, "&#%d;") + "</p>", "<p>", "</p>"},
		{"HTML, hexadecimal", each(key, "&#x%x;"), "", ""},
		{"HTML, with zeros", each(key, "&#x%06X;"), "", ""},
		{"UTF-16", wide(key, 0, 8), "", ""},
		{"UTF-16, the other order", wide(key, 8, 0), "\x00", ""},
		{"UTF-32", wide(key, 0, 8, 16, 24), "", ""},
		{"mixed", `\u0073%6b&#45;` + key[3:], "", ""},
		{"two", each(key, `\u%04x`) + each(key, "%%%02x"), "", marked},
		{"behind half of one", key[:20] + each(key, `\u%04x`), key[:20], ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := trimmed(tt.before + marked + tt.after)
			if got := trimmed(scrub(s, tt.text)); got != want {
				t.Errorf("in one piece: %q, want %q", got, want)
			}
			for i := range len(tt.text) {
				if got := trimmed(scrub(s, tt.text, i)); got != want {
					t.Fatalf("with a border at %d: %q, want %q", i, got, want)
				}
			}
			var every []int
			for i := range len(tt.text) {
				every = append(every, i)
			}
			if got := trimmed(scrub(s, tt.text, every...)); got != want {
				t.Errorf("byte by byte: %q, want %q", got, want)
			}
		})
	}
}

// trimmed is s without the zeros around it, which are no part of a letter.
func trimmed(s string) string { return strings.Trim(s, "\x00") }

const marked = "[redacted]"

// What holds no secret passes as it is, however it is cut.
func FuzzScrubberChangesNothingElse(f *testing.F) {
	f.Add(`{"a":"\u0073k-proj \" %73 100% &#115; &amp; \\u00"}`, uint8(3))
	f.Add("\x00\\\\\\u12\\x4", uint8(1))
	s := secretsOf("sk-proj-Qx7LmZ2vN8aRt4YcKd9WbF3uHs6JgPe1")
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		var borders []int
		for i := int(size%17) + 1; i < len(text); i += int(size%17) + 1 {
			borders = append(borders, i)
		}
		if got := scrub(s, text, borders...); got != text && !strings.Contains(got, marked) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// A body full of secrets takes one pass for each value, however many there are.
func TestEscapesTakeLinearTime(t *testing.T) {
	s := secretsOf("sk-proj-Qx7LmZ2vN8aRt4YcKd9WbF3uHs6JgPe1")
	one := `\u0073k-proj-Qx7LmZ2vN8aRt4YcKd9WbF3uHs6JgPe1 `
	allocated := func(n int) float64 {
		text := []byte(strings.Repeat(one, n))
		return testing.AllocsPerRun(1, func() { s.redact(text) })
	}
	if few, many := allocated(100), allocated(10_000); many > 3*few+10 {
		t.Errorf("%v allocations for 100, %v for 10,000", few, many)
	}
}

func TestRedactHeaderNames(t *testing.T) {
	const key = "sk-proj-Qx7LmZ2vN8aRt4YcKd9WbF3uHs6JgPe1"
	s := secretsOf(key)
	h := http.Header{
		http.CanonicalHeaderKey("X-" + key): {"1"},
		"X-Halves":                          {key[:20], key[20:]},
		"X-Escaped":                         {url.QueryEscape(key), each(key, "%%%02x")},
		"X-Other":                           {"a", "b"},
	}
	s.redactHeader(h)
	if len(h) != 2 || fmt.Sprint(h["X-Other"]) != "[a b]" || fmt.Sprint(h["X-Escaped"]) != "[[redacted] [redacted]]" {
		t.Errorf("%v", h)
	}
}
