package attack

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// echo is one way in which a provider shows the key that it was sent.
type echo struct {
	body   string
	kind   string // its Content-Type; that of events, if it is empty
	status int
	header map[string]string
}

// said is events of a chat completion that say texts one after the other.
func said(texts ...string) string {
	var b strings.Builder
	for _, text := range texts {
		quoted, _ := json.Marshal(text)
		fmt.Fprintf(&b, `data: {"id":"c","choices":[{"index":0,"delta":{"content":%s}}]}`+"\n\n", quoted)
	}
	return b.String() + "data: [DONE]\n\n"
}

// spread writes each byte of the key into the place that format has for it.
func spread(format string) string {
	var b strings.Builder
	for n := range len(key) {
		fmt.Fprintf(&b, format, key[n])
	}
	return b.String()
}

func between(separator string) string { return strings.Join(strings.Split(key, ""), separator) }

func turned(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return 'a' + (c-'a'+13)%26
		case 'A' <= c && c <= 'Z':
			return 'A' + (c-'A'+13)%26
		}
		return c
	}, text)
}

func backwards(text string) string {
	b := []byte(text)
	slices.Reverse(b)
	return string(b)
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func inUTF16(text string) string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

func echoes() map[string]echo {
	const plain = "application/json"
	body := func(text string) string {
		return `{"id":"c","choices":[{"index":0,"message":{"content":` + string(must(json.Marshal(text))) + `},"finish_reason":"stop"}]}`
	}
	quiet := body("x")
	header := func(name, value string) echo {
		return echo{body: quiet, kind: plain, header: map[string]string{name: value}}
	}
	half := len(key) / 2
	var turns strings.Builder // of two choices
	for n := range len(key) {
		fmt.Fprintf(&turns, `data: {"choices":[{"index":%d,"delta":{"content":"%c"}}]}`+"\n\n", n%2, key[n])
	}
	all := map[string]echo{
		"a body":                        {body: body(key), kind: plain},
		"an error":                      {body: `{"error":{"message":"Incorrect API key provided: ` + key + `"}}`, kind: plain, status: 401},
		"an error, escaped":             {body: `{"error":{"message":"` + spread(`\u%04x`) + `"}}`, kind: plain, status: 401},
		"an error with spaces":          {body: `{"error":{"message":"` + between(" ") + `"}}`, kind: plain, status: 401},
		"a gateway's page":              {body: "<pre>" + key + "</pre>", kind: "text/html", status: 502},
		"no type":                       {body: key, kind: "application/octet-stream"},
		"a body in UTF-16":              {body: inUTF16(body(key)), kind: "application/json; charset=utf-16"},
		"a gzip body":                   {body: zipped(body(key)), kind: plain, header: map[string]string{"Content-Encoding": "gzip"}},
		"a gzip body that says nothing": {body: zipped(body(key)), kind: "application/octet-stream"},
		"a body, escaped":               {body: `{"id":"c","choices":[{"index":0,"message":{"content":"` + spread(`\u%04x`) + `"}}]}`, kind: plain},
		"a header":                      header("X-Key", key),
		"a header's name":               header("X-"+key, "1"),
		"a challenge":                   {body: quiet, kind: plain, status: 401, header: map[string]string{"Www-Authenticate": `Bearer realm="` + key + `"`}},
		"a redirect":                    {kind: plain, status: 302, header: map[string]string{"Location": "https://192.0.2.7/?k=" + key}},
		"a cookie":                      header("Set-Cookie", "k="+key),
		"basic credentials":             header("X-Auth", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+key))),
		"a tool's name":                 {body: `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"` + key + `","arguments":"{}"}}]}}]}` + "\n\ndata: [DONE]\n\n"},
		"a tool's arguments, in bytes": {body: `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"n","arguments":"{\"a\":\""}}]}}]}` + "\n\n" +
			spread(`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%c"}}]}}]}`+"\n\n") + "data: [DONE]\n\n"},
		"reasoning, in bytes":         {body: spread(`data: {"choices":[{"delta":{"reasoning_content":"%c"}}]}` + "\n\n")},
		"an unknown member":           {body: `data: {"choices":[{"delta":{"audio":{"transcript":"` + key + `"}}}]}` + "\n\n"},
		"an unknown member, in bytes": {body: spread(`data: {"choices":[{"delta":{"audio":{"transcript":"%c"}}}]}` + "\n\n")},
		"unknown, with spaces":        {body: `data: {"choices":[{"delta":{"audio":{"transcript":"` + between(" ") + `"}}}]}` + "\n\n"},
		"a comment":                   {body: ": " + key + "\n\n" + said("x")},
		"comments, in bytes":          {body: spread(": %c\n\n") + said("x")},
		"an event's id":               {body: "id: " + key + "\n" + said("x")},
		"an event's name":             {body: "event: " + key + "\n" + said("x")},
		"halves":                      {body: said(key[:half], key[half:])},
		"bytes":                       {body: said(strings.Split(key, "")...)},
		"two choices":                 {body: turns.String()},
		"line by line":                {body: said(strings.Split(between("\n"), "\n")...)},
	}
	for name, text := range map[string]string{
		"hex": hex.EncodeToString([]byte(key)), "hex with colons": spread("%02x:"), "base64": base64.StdEncoding.EncodeToString([]byte(key)),
		"base64 after two bytes": base64.URLEncoding.EncodeToString([]byte("xy" + key)), "percent": spread("%%%02x"), "entities": spread("&#%d;"),
		"upper case": strings.ToUpper(key), "reversed": backwards(key), "ROT13": turned(key), "ROT13, reversed": backwards(turned(key)),
		"spaces": between(" "), "dashes": between("-"), "line ends": between("\r\n"), "zero width": between("\u200b"), "a list": between(`", "`),
		"Markdown": between("**"), "reversed with dots": backwards(between(".")),
	} {
		all["text: "+name] = echo{body: said("It is " + text + ".")}
		all["text, in halves: "+name] = echo{body: said("It is "+text[:len(text)/2], text[len(text)/2:])}
		all["body: "+name] = echo{body: body("It is " + text + "."), kind: plain}
	}
	return all
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	contents = regexp.MustCompile(`"(?:content|transcript|reasoning_content|arguments)": ?"((?:[^"\\]|\\.)*)"`)
	comments = regexp.MustCompile(`(?m)^: (.)$`)
	words64  = regexp.MustCompile(`[A-Za-z0-9+/_-]{24,}`)
	wordsHex = regexp.MustCompile(`(?:[0-9a-fA-F]{2}){20,}`)
	noLetter = regexp.MustCompile(`[^A-Za-z0-9]+`)
)

// readings are what somebody who looks for the key could make of what a client got.
func readings(raw string) (all []string) {
	var assembled strings.Builder
	for _, found := range contents.FindAllStringSubmatch(raw, -1) {
		var text string
		_ = json.Unmarshal([]byte(`"`+found[1]+`"`), &text)
		assembled.WriteString(text)
	}
	var comment strings.Builder
	for _, found := range comments.FindAllStringSubmatch(raw, -1) {
		comment.WriteString(found[1])
	}
	unzipped := ""
	if r, err := gzip.NewReader(strings.NewReader(raw)); err == nil {
		text, _ := io.ReadAll(r)
		unzipped = string(text)
	}
	all = []string{raw, assembled.String(), comment.String(), unzipped, strings.ReplaceAll(raw, "\x00", "")}
	for _, text := range slices.Clone(all) {
		if s, err := url.PathUnescape(text); err == nil {
			all = append(all, s)
		}
		all = append(all, html.UnescapeString(text))
		for _, word := range words64.FindAllString(text, -1) {
			word = strings.NewReplacer("-", "+", "_", "/").Replace(word)
			for skip := range 4 {
				rest := word[skip:]
				if len(rest)%4 == 1 {
					rest = rest[:len(rest)-1]
				}
				decoded, _ := base64.RawStdEncoding.DecodeString(rest)
				all = append(all, string(decoded))
			}
		}
		for _, word := range append(wordsHex.FindAllString(text, -1), noLetter.ReplaceAllString(text, "")) {
			decoded, _ := hex.DecodeString(word[:len(word)/2*2])
			all = append(all, string(decoded))
		}
		all = append(all, regexp.MustCompile(`\\u00([0-9a-f]{2})`).ReplaceAllStringFunc(text, func(s string) string {
			b, _ := hex.DecodeString(s[4:])
			return string(b)
		}))
	}
	return all
}

// shows reports whether the key, or all letters of it, can be read in what a client got.
func shows(raw string) bool {
	letters := func(s string) string { return strings.ToLower(noLetter.ReplaceAllString(s, "")) }
	want := letters(key)
	for _, text := range readings(raw) {
		plain := letters(text)
		for _, form := range []string{want, backwards(want), turned(want), backwards(turned(want)), hex.EncodeToString([]byte(key))} {
			if strings.Contains(plain, form) {
				return true
			}
		}
	}
	return false
}

// TestKeyInAnswers: a provider that shows the key it was sent, or a model that got hold of
// it, does not get it to the client, or into a file or log of the stack.
func TestKeyInAnswers(t *testing.T) {
	all := echoes()
	environ := provider(t, func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Model string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		e := all[asked.Model]
		w.Header().Set("Content-Type", "text/event-stream")
		if e.kind != "" {
			w.Header().Set("Content-Type", e.kind)
		}
		for name, value := range e.header {
			w.Header()[name] = []string{value}
		}
		w.WriteHeader(max(e.status, 200))
		_, _ = io.WriteString(w, e.body)
	})
	s := newStack(t, append(environ, "PROXY_DETECTIONS=runaway-loop=off")...).up()
	for name, e := range all {
		if whole := e.body + fmt.Sprint(e.header); !shows(whole) {
			t.Errorf("%s: the test cannot read the key in what the provider says", name)
		}
		response, err := s.ask(t.Context(), question(name, true))
		if err != nil {
			continue // nothing has come
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if raw := fmt.Sprint(response.Status, response.Header, "\n", string(text)); shows(raw) {
			t.Errorf("%s: the client gets %.500s", name, raw)
		}
	}
	for _, args := range [][]string{{"replay", "--since", "1h", "--json"}, {"audit", "list", "--json"}, {"audit", "export", "otel"}} {
		if out, _ := s.secbus(args...); strings.Contains(out, key) {
			t.Errorf("secbus %v shows the key", args)
		}
	}
	if err := s.process.Stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.log.String(), key) {
		t.Error("the log has the key")
	}
	err := filepath.WalkDir(s.path("data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(key)) {
			t.Errorf("%s has the key", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
