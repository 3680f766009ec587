package detect

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// encodings are ways to write a value, with what stands around it.
var encodings = []struct {
	name   string
	encode func(before, value, after string) string
}{
	{"plain", func(b, v, a string) string { return b + v + a }},
	{"upper case", func(b, v, a string) string { return b + strings.ToUpper(v) + a }},
	{"reversed", func(b, v, a string) string { return b + reverse(v) + a }},
	{"base64", func(b, v, a string) string { return base64.StdEncoding.EncodeToString([]byte(b + v + a)) }},
	{"base64 for URLs", func(b, v, a string) string { return base64.RawURLEncoding.EncodeToString([]byte(b + v + a)) }},
	{"base64 in lines", func(b, v, a string) string {
		return lines(base64.StdEncoding.EncodeToString([]byte(b+v+a)), 76, "\n")
	}},
	{"base64 in short lines", func(b, v, a string) string {
		return lines(base64.StdEncoding.EncodeToString([]byte(b+v+a)), 60, "\r\n    ")
	}},
	{"base64 in a URL", func(b, v, a string) string {
		return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(b + v + a)))
	}},
	{"base32", func(b, v, a string) string { return base32.StdEncoding.EncodeToString([]byte(b + v + a)) }},
	{"hex", func(b, v, a string) string { return b + hex.EncodeToString([]byte(v)) + a }},
	{"upper hex", func(b, v, a string) string { return b + strings.ToUpper(hex.EncodeToString([]byte(v))) + a }},
	{"hex in lines", func(b, v, a string) string { return b + lines(hex.EncodeToString([]byte(v)), 60, "\n") + a }},
	{"hex with spaces", func(b, v, a string) string { return b + each(v, "%02x ") + a }},
	{"hex with colons", func(b, v, a string) string { return b + strings.TrimSuffix(each(v, "%02X:"), ":") + a }},
	{"C escapes", func(b, v, a string) string { return b + each(v, `\x%02x`) + a }},
	{"JSON escapes", func(b, v, a string) string { return b + each(v, `\u%04x`) + a }},
	{"percent", func(b, v, a string) string { return b + each(v, "%%%02x") + a }},
	{"percent twice", func(b, v, a string) string { return b + each(v, "%%25%02X") + a }},
	{"HTML", func(b, v, a string) string { return b + each(v, "&#%d;") + a }},
	{"HTML in hex", func(b, v, a string) string { return b + each(v, "&#x%x;") + a }},
	{"spaces", func(b, v, a string) string { return b + " " + each(v, "%c ") + a }},
	{"line ends", func(b, v, a string) string { return b + " " + each(v, "%c\n") + a }},
	{"zero width", func(b, v, a string) string { return b + each(v, "%c\u200b") + a }},
	{"groups", func(b, v, a string) string { return b + lines(v, 4, " - ") + a }},
	{"ROT13", func(b, v, a string) string { return b + strings.Map(rot13, v) + a }},
	{"hex with commas", func(b, v, a string) string { return b + " " + each(v, "%02x, ") + a }},
	{"query", func(b, v, a string) string { return url.QueryEscape(b + v + a) }},
}

func each(v, format string) string {
	var b strings.Builder
	for i := range len(v) {
		fmt.Fprintf(&b, format, v[i])
	}
	return b.String()
}

func rot13(c rune) rune {
	switch {
	case 'a' <= c && c <= 'z':
		return 'a' + (c-'a'+13)%26
	case 'A' <= c && c <= 'Z':
		return 'A' + (c-'A'+13)%26
	}
	return c
}

func reverse(v string) string {
	b := []byte(v)
	slices.Reverse(b)
	return string(b)
}

func lines(s string, width int, end string) string {
	var parts []string
	for chunk := range slices.Chunk([]byte(s), width) {
		parts = append(parts, string(chunk))
	}
	return strings.Join(parts, end)
}

func TestKeyInEveryForm(t *testing.T) {
	d := build(t, Config{Keys: []config.Secret{config.NewSecret(testKey)}})
	for _, e := range encodings {
		for shift := range 6 {
			text := e.encode(strings.Repeat("b", shift), testKey, "!after")
			t.Run(fmt.Sprintf("%s/%d", e.name, shift), func(t *testing.T) {
				places := map[string][]Finding{
					InRequest:  d.Request(t.Context(), "c", said(inspect.RoleUser, text)),
					InToolCall: d.ToolCall("c", call("write", "content", text)),
					InResponse: d.Answer("c", true).Write([]byte(text)),
				}
				for where, found := range places {
					if !slices.ContainsFunc(found, func(f Finding) bool {
						return f.Rule == KeyLeak && f.Enforced && f.Where == where && f.Severity == proto.SeverityCritical
					}) {
						t.Errorf("%s: found %+v in %s", where, found, text)
					}
				}
			})
		}
	}
}

func TestKeyBetweenEscapes(t *testing.T) {
	d := alone(t, KeyLeak)
	for _, format := range []string{`%c\u200b`, "%c&#8203;", "%c%%20"} {
		text := each(testKey, format)
		if found := d.Request(t.Context(), "c", said(inspect.RoleTool, text)); len(found) != 1 {
			t.Errorf("found %+v in a request: %s", found, text)
		}
		if found := d.ToolCall("c", call("write", "content", text)); len(found) != 1 {
			t.Errorf("found %+v in a call: %s", found, text)
		}
	}
}

func TestKeyInTheNameOfAnArgument(t *testing.T) {
	d := alone(t, KeyLeak)
	found := d.ToolCall("c", llmapi.ToolCall{Name: "x", Arguments: []byte(`{"` + testKey + `":1}`)})
	if len(found) != 1 {
		t.Errorf("found %+v", found)
	}
}

func TestWhatIsNotTheKey(t *testing.T) {
	tests := map[string]string{
		"the vendor's prefix": "sk-ant-api03-...",
		"the beginning":       testKey[:len(testKey)-1],
		"the end":             testKey[1:],
		"another key":         strings.Replace(testKey, "q", "r", 1),
		"base64 of another":   base64.StdEncoding.EncodeToString([]byte(testKey[:40] + "x" + testKey[41:])),
		"nothing":             "an ordinary sentence",
	}
	d := alone(t, KeyLeak)
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if found := d.Request(t.Context(), "c", said(inspect.RoleUser, text)); len(found) > 0 {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestFindingsTellNothingOfTheValue(t *testing.T) {
	d := build(t, Config{Keys: []config.Secret{config.NewSecret(testKey)}})
	for _, e := range encodings {
		for _, f := range d.Request(t.Context(), "c", said(inspect.RoleTool, e.encode("x", testKey, "y"))) {
			if s := fmt.Sprintf("%+v", f); strings.Contains(s, testKey[20:28]) {
				t.Errorf("%s: %s", e.name, s)
			}
		}
	}
}

func TestCanariesAreNumbered(t *testing.T) {
	d := build(t, Config{Canaries: []config.Secret{
		config.NewSecret("first canary é \"quoted\" / slashed"),
		config.NewSecret("second-canary-value"),
	}})
	tests := map[string]struct{ text, want string }{
		"second":     {"x second-canary-value y", "canary 2"},
		"escaped":    {`"first canary \u00e9 \"quoted\" \/ slashed"`, "canary 1"},
		"entities":   {html.EscapeString("second-canary-value"), "canary 2"},
		"as bytes":   {url.QueryEscape("second-canary-value"), "canary 2"},
		"plus signs": {strings.ReplaceAll(url.PathEscape(`first canary é "quoted" / slashed`), "+", " "), "canary 1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found := d.Request(t.Context(), name, said(inspect.RoleUser, test.text))
			if len(found) != 1 || found[0].Rule != Canary || found[0].Detail != test.want || !found[0].Enforced {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func TestValuesThatCannotBeWatched(t *testing.T) {
	tests := map[string]struct {
		config Config
		want   string
	}{
		"short canary": {Config{Canaries: []config.Secret{config.NewSecret(testKey), config.NewSecret("hunter2")}}, "canary 2 is shorter"},
		"long canary":  {Config{Canaries: []config.Secret{config.NewSecret(strings.Repeat("x", 2000))}}, "canary 1 is longer"},
		"long key":     {Config{Keys: []config.Secret{config.NewSecret(strings.Repeat("x", 2000))}}, "the provider key is longer"},
		"too many":     {Config{Canaries: make([]config.Secret, 65)}, "more than 64"},
		"a limit":      {Config{Loop: Loop{Requests: -1}}, "negative"},
		"unknown rule": {Config{Modes: Modes{"keyleak": Off}}, `no rule is called "keyleak"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("it shows the value: %v", err)
			}
		})
	}
}

func TestPlaceholderKeyIsNotWatched(t *testing.T) {
	d := build(t, Config{Keys: []config.Secret{config.NewSecret("ollama"), {}}})
	if found := d.Request(t.Context(), "c", said(inspect.RoleUser, "ollama run llama3")); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// FuzzValue writes one of several random values in one of the encodings into a
// random text, and gives it to an answer in random parts.
func FuzzValue(f *testing.F) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/="
	r := rand.New(rand.NewPCG(1, 2))
	var values []string
	var detectors []*Detector
	for _, length := range []int{MinValueBytes, 13, 20, 31, 32, 51, 108, 164} {
		value := make([]byte, length)
		for i := range value {
			value[i] = alphabet[r.IntN(len(alphabet))]
		}
		values = append(values, string(value))
		detectors = append(detectors, build(f, Config{Canaries: []config.Secret{config.NewSecret(string(value))}}))
	}
	for which := range values {
		for how := range encodings {
			f.Add([]byte("some text before and "), []byte(" some after"), uint8(which), uint8(how), uint64(which*how))
		}
	}
	f.Fuzz(func(t *testing.T, before, after []byte, which, how uint8, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		value, d, e := values[int(which)%len(values)], detectors[int(which)%len(values)], encodings[int(how)%len(encodings)]
		// Spaces, because what touches an encoded value may become part of it,
		// which no decoder could tell either.
		text := string(before) + " ; " + e.encode("12345"[r.IntN(6):], value, "12345"[r.IntN(6):]) + " ; " + string(after)
		if found := d.Request(t.Context(), "c", said(inspect.RoleUser, text)); !slices.Contains(rules(found), Canary) {
			t.Errorf("%s: %s not found in %q", e.name, value, text)
		}
		answer := d.Answer("c", true)
		var found []Finding
		for len(text) > 0 {
			n := min(1+r.IntN(40), len(text))
			found = append(found, answer.Write([]byte(text[:n]))...)
			text = text[n:]
		}
		if !slices.Contains(rules(found), Canary) {
			t.Errorf("%s: %s not found in an answer's parts", e.name, value)
		}
	})
}

func TestAnswerTellsOnce(t *testing.T) {
	d := alone(t, KeyLeak)
	answer := d.Answer("c", true)
	var found []Finding
	for c := range slices.Chunk(bytes.Repeat([]byte("x "+testKey+" y"), 5), 3) {
		found = append(found, answer.Write(c)...)
	}
	if len(found) != 1 || found[0].Detail != "the provider key" {
		t.Errorf("found %+v", found)
	}
	if len(answer.tail) > d.carry {
		t.Errorf("carries %d bytes over, more than %d", len(answer.tail), d.carry)
	}
}
