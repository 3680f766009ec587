package answer

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		``:                         ``,
		`plain`:                    `plain`,
		`a\"b\\c\/d`:               `a"b\c/d`,
		`\b\f\n\r\t`:               "\b\f\n\r\t",
		`\u0041\u00e9\u20AC`:       `Aé€`,
		`\ud83d\ude42!`:            `🙂!`,
		`\ud83dx\ude42`:            "\ufffdx\ufffd",
		`\ud83d\u0041`:             "\ufffdA",
		`\u12`:                     "\ufffd12",
		`\uzzzz`:                   "\ufffdzzzz",
		`the end \`:                `the end \`,
		`outside a string "\u0041`: `outside a string "A`,
	} {
		if got := string(unescape([]byte(in))); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add(`a\u0041\ud83d\ude42\/`)
	f.Add(`\ud83d\ud83d\ude42`)
	f.Fuzz(func(t *testing.T, in string) {
		got := unescape([]byte(in))
		var want string
		// What encoding/json replaces, it replaces.
		if json.Unmarshal([]byte(`"`+in+`"`), &want) == nil && !bytes.Contains([]byte(want), []byte("\ufffd")) && string(got) != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	})
}

// However a text is cut, a value in it is found, by the piece that completes it;
// while the end of the text could become one, the text waits.
func FuzzWatch(f *testing.F) {
	f.Add("the sk-ant-api03-secret is", uint8(5), uint8(1))
	f.Add("aaaaaaaaaaaaaaaaaaab", uint8(3), uint8(3))
	f.Add("sk-ant-api03-sk-ant-api03-secret", uint8(16), uint8(0))
	values := [][]byte{[]byte("sk-ant-api03-secret"), []byte("aaaaaaaaaaaab"), []byte("short"), nil}
	f.Fuzz(func(t *testing.T, text string, first, size uint8) {
		w := newWatch(Options{Forbidden: values})
		for start, end := 0, min(int(first), len(text)); ; start, end = end, min(end+int(size)+1, len(text)) {
			w.add(key{}, []byte(text[start:end]))
			if want := w.contains([]byte(text[:end])); (w.found != nil) != (want != nil) {
				t.Fatalf("%q up to %d: found %v, want %v", text, end, w.found, want)
			}
			if want := w.begins([]byte(text[:end])); w.waiting() != want {
				t.Fatalf("%q up to %d: waiting %v, want %v", text, end, w.waiting(), want)
			}
			if end == len(text) {
				break
			}
		}
		w.end(key{})
		if w.waiting() {
			t.Error("waiting after the end")
		}
	})
}
