package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// FuzzParse holds Parse against encoding/json, which ignores case as the most
// lenient servers do: what Parse accepts must mean the same to it, and every
// string that it finds must have been found.
func FuzzParse(f *testing.F) {
	for name, api := range samples {
		f.Add(uint8(api), sampleBody(f, name))
	}
	for _, seed := range []string{
		`{"model":"a","\u006dodel":"b"}`,
		`{"Model":"a","stream":true}`,
		`{"a":{"b c":"\ud83e\udd9e","type":"a word"},"d":[-1.5e3,null,true]}`,
		`{"messages":[{"role":"tool","content":[{"type":"text","text":"x\\y\u0000"}]}]}`,
		`{"tools":[{"name":"a","function":{"name":"b"}}],"stream_options":{"include_usage":true}}`,
		"{\"a\":\"\xff\"}",
		`{"x":"0123456789\"0123456789"}]`,
	} {
		f.Add(uint8(llmapi.ChatCompletions), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, number uint8, body []byte) {
		api := llmapi.API(number % (uint8(llmapi.Files) + 1))
		before := bytes.Clone(body)
		req, err := Parse(api, body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			checkRefusal(t, body, err)
			return
		}
		checkTop(t, req, body)
		checkSegments(t, req)
		checkStrings(t, req, body)
		for _, tool := range req.Tools {
			if !json.Valid(tool.Definition) {
				t.Errorf("the definition of %q is %s", tool.Name, tool.Definition)
			}
		}
	})
}

// checkRefusal sees to it that JSON is not called something else.
func checkRefusal(t *testing.T, body []byte, err error) {
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Fatalf("refused with %T", err)
	}
	if refusal.Offset < 0 || refusal.Offset > len(body) || refusal.Reason == "" || !utf8.ValidString(refusal.Reason) {
		t.Errorf("refused with %+v", refusal)
	}
	if strings.HasSuffix(refusal.Reason, reasonSyntax) && json.Valid(body) {
		t.Errorf("%q for JSON", err)
	}
}

// checkTop compares what the proxy decides by.
func checkTop(t *testing.T, req *Request, body []byte) {
	var top struct {
		Model   json.RawMessage
		Stream  any
		Options map[string]any `json:"stream_options"`
	}
	if err := json.Unmarshal(body, &top); err != nil {
		t.Fatalf("accepted what encoding/json refuses: %v", err)
	}
	var model string
	if !req.API.IsGemini() && top.Model != nil {
		if err := json.Unmarshal(top.Model, &model); err != nil {
			t.Fatal(err)
		}
	}
	if req.Model != model && (req.API != llmapi.Batches || model != "") {
		t.Errorf("model %q, want %q", req.Model, model)
	}
	if want := top.Stream == true; req.Stream != want {
		t.Errorf("stream %t, want %t", req.Stream, want)
	}
	if want := top.Options["include_usage"] == true; req.IncludeUsage != want {
		t.Errorf("include usage %t, want %t", req.IncludeUsage, want)
	}
}

func checkSegments(t *testing.T, req *Request) {
	for _, s := range req.Segments {
		if len(s.Text) == 0 || !utf8.Valid(s.Text) || s.Role > RoleTool || s.Kind > KindData {
			t.Errorf("segment %+v", s)
		}
		if path := s.Path(); path == "" || len(path) > maxDepth*(maxWord+1) || strings.ContainsAny(path, " \n\x00\"") {
			t.Errorf("path %q of %q", path, s.Text)
		}
	}
}

// checkStrings compares the segments with the strings that encoding/json finds.
func checkStrings(t *testing.T, req *Request, body []byte) {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("accepted what encoding/json refuses: %v", err)
	}
	required, optional := map[string]int{}, map[string]int{}
	count(v, "", required, optional)
	if top, ok := v.(map[string]any); ok && req.Model != "" && top["model"] == req.Model { // of a batch it can be a request's
		required[req.Model]--
	}
	for _, s := range req.Segments {
		text := string(s.Text)
		if s.Attached && required[text] <= 0 {
			continue // it stands there in base64
		}
		if required[text] > 0 {
			required[text]--
		} else if optional[text]--; optional[text] < 0 {
			t.Errorf("found %q more often than it is there", text)
		}
	}
	for text, n := range required {
		if n != 0 {
			t.Errorf("did not find %q (%d times)", text, n)
		}
	}
}

// count counts the strings in v, the value of a member called name.
func count(v any, name string, required, optional map[string]int) {
	switch v := v.(type) {
	case string:
		switch {
		case v == "":
		case (name == "type" || name == "role") && isPlain(v, 64):
			optional[v]++
		default:
			required[v]++
		}
	case []any:
		for _, inner := range v {
			count(inner, "", required, optional)
		}
	case map[string]any:
		for name, inner := range v {
			if !isPlain(name, 128) {
				required[name]++
			}
			count(inner, name, required, optional)
		}
	}
}

// isPlain says in another way what a plain word is.
func isPlain(s string, limit int) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:+$@|="
	return len(s) <= limit && strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(plain, r) }) < 0
}

// FuzzString holds the scanner against encoding/json for one string, at each of
// the eight places within a word that it may begin at.
func FuzzString(f *testing.F) {
	for _, seed := range []string{`plain`, `a\nb`, `\ud83e\udd9e`, `\ud83e`, `0123456789abcdef\"0123456789`, "\x80", "a\x1fb", `\`, `\u00e`, `é\\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, inside []byte) {
		for shift := range 8 {
			value := append(append([]byte{'"'}, inside...), '"')
			body := append(append([]byte(`{"a":`+strings.Repeat(" ", shift)), value...), '}')
			req, err := Parse(llmapi.Messages, body)
			var want string
			if json.Unmarshal(value, &want) != nil {
				if err == nil && json.Unmarshal(body, &struct{}{}) != nil {
					t.Fatalf("accepted %s", body)
				}
				continue
			}
			if err != nil {
				// encoding/json puts U+FFFD where Parse refuses.
				if !strings.ContainsRune(want, utf8.RuneError) {
					t.Fatalf("refused %s: %v", body, err)
				}
				continue
			}
			got := ""
			if len(req.Segments) > 0 {
				got = string(req.Segments[0].Text)
			}
			if got != want {
				t.Fatalf("read %q from %s, want %q", got, body, want)
			}
		}
	})
}
