package forward

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

const secretText = `sk-ant-api03-Zm9v/YmFy+QUJD"REVGR0hJSktMTU5PUFFS-AA`

func secretsOf(texts ...string) *secrets {
	var values []config.Secret
	for _, text := range texts {
		values = append(values, config.NewSecret(text))
	}
	return newSecrets(values)
}

// scrub passes text in pieces that end at each of the borders.
func scrub(s *secrets, text string, borders ...int) string {
	sc := scrubber{secrets: s}
	var out []byte
	from := 0
	for _, to := range borders {
		piece := []byte(text[from:to])
		out = append(out, sc.next(piece, false)...)
		clear(piece) // what was returned is not needed any more
		from = to
	}
	return string(append(out, sc.next([]byte(text[from:]), true)...))
}

func TestRedactForms(t *testing.T) {
	s := secretsOf(secretText)
	quoted, _ := json.Marshal(secretText)
	tests := map[string]string{
		"as it is":           secretText,
		"in JSON":            string(quoted),
		"in a query":         url.QueryEscape(secretText),
		"in a path":          url.PathEscape(secretText),
		"base64":             base64.StdEncoding.EncodeToString([]byte(secretText)),
		"base64 for URLs":    base64.URLEncoding.EncodeToString([]byte(secretText)),
		"base64 behind one":  base64.StdEncoding.EncodeToString([]byte(":" + secretText)),
		"base64 behind two":  base64.RawURLEncoding.EncodeToString([]byte("u:" + secretText)),
		"base64 in a header": base64.StdEncoding.EncodeToString([]byte("user:" + secretText + ":more")),
	}
	for name, form := range tests {
		t.Run(name, func(t *testing.T) {
			got := string(s.redact([]byte("before " + form + " after")))
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, "[redacted]") || len(got) > 40 {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestRedactAcrossBorders(t *testing.T) {
	s := secretsOf("abcabcabcabcabd", "abcabcabcabcabdefg", "tokentokentoken")
	tests := []struct{ name, text, want string }{
		{"none", "abcabc and token", "abcabc and token"},
		{"one", "<abcabcabcabcabd>", "<[redacted]>"},
		{"longest", "<abcabcabcabcabdefg>", "<[redacted]>"},
		{"almost longest", "<abcabcabcabcabdefh>", "<[redacted]efh>"},
		{"false start", "<abcabcabcabcabcabd>", "<abc[redacted]>"},
		{"side by side", "tokentokentokentokentokentoken", "[redacted][redacted]"},
		{"overlapping", "tokentokentokentoken", "[redacted]token"},
		{"cut short", "tokentokentoke", "tokentokentoke"},
		{"last", "x abcabcabcabcabd", "x [redacted]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := scrub(s, test.text); got != test.want {
				t.Errorf("in one piece: %q, want %q", got, test.want)
			}
			var every []int
			for i := range len(test.text) {
				every = append(every, i)
				for j := i; j < len(test.text); j++ {
					if got := scrub(s, test.text, i, j); got != test.want {
						t.Errorf("with borders at %d and %d: %q, want %q", i, j, got, test.want)
					}
				}
			}
			if got := scrub(s, test.text, every...); got != test.want {
				t.Errorf("byte by byte: %q, want %q", got, test.want)
			}
		})
	}
}

func TestRedactHoldsNothingBackWithoutNeed(t *testing.T) {
	sc := scrubber{secrets: secretsOf(secretText)}
	for _, piece := range []string{"data: {\"text\":\"hi\"}\n\n", "no key here: sk-an!", "{}"} {
		if got := string(sc.next([]byte(piece), false)); got != piece {
			t.Errorf("of %q only %q went on", piece, got)
		}
	}
	if got := string(sc.next([]byte("begin sk-ant"), false)); got != "begin " {
		t.Errorf("went on: %q", got)
	}
	if got := string(sc.next([]byte("hropic!"), false)); got != "sk-anthropic!" {
		t.Errorf("went on: %q", got)
	}
}

func TestShortValuesAreNoSecrets(t *testing.T) {
	if s := secretsOf("ollama", ""); len(s.needles) != 0 {
		t.Errorf("looks for %q", s.needles)
	}
}

func TestScrubbingTextWithoutSecretsDoesNotAllocate(t *testing.T) {
	s := secretsOf(secretText)
	text := bytes.Repeat([]byte("data: {\"text\":\"nothing to see here\"}\n\n"), 100)
	if n := testing.AllocsPerRun(100, func() {
		sc := scrubber{secrets: s}
		sc.next(text, false)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzScrubber compares pieces with the whole, and the whole with a search that
// is too simple to be wrong.
func FuzzScrubber(f *testing.F) {
	f.Add("aaaaaaaaaaaab", "x aaaaaaaaaaaaaab", uint16(5), uint16(9))
	f.Add("abcabcabcabcabd", "abcabcabcabcabcabd", uint16(3), uint16(16))
	f.Add(secretText, "key="+url.QueryEscape(secretText), uint16(20), uint16(40))
	f.Fuzz(func(t *testing.T, secret, text string, i, j uint16) {
		if len(secret) > 100 || len(text) > 1000 {
			return
		}
		s := secretsOf(secret)
		var want []byte
		for rest := []byte(text); len(rest) > 0; {
			longest := 0
			for _, needle := range s.needles {
				if bytes.HasPrefix(rest, needle) {
					longest = max(longest, len(needle))
				}
			}
			if longest > 0 {
				want = append(want, "[redacted]"...)
			} else {
				want, longest = append(want, rest[0]), 1
			}
			rest = rest[longest:]
		}
		if got := scrub(s, text); got != string(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		first := int(i) % (len(text) + 1)
		second := first + int(j)%(len(text)+1-first)
		if got := scrub(s, text, first, second); got != string(want) {
			t.Fatalf("with borders at %d and %d: %q, want %q", first, second, got, want)
		}
	})
}

func BenchmarkScrubber(b *testing.B) {
	s := secretsOf("sk-ant-api03-" + strings.Repeat("aB3_", 23) + "AA")
	for name, size := range map[string]int{"event": 120, "body 16KiB": 16 << 10} {
		b.Run(name, func(b *testing.B) {
			text := bytes.Repeat([]byte(`{"type":"text_delta","text":"and so it goes on, "} `), size/50+1)[:size]
			text[size-1] = '\n'
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				sc := scrubber{secrets: s}
				sc.next(text, false)
			}
		})
	}
}
