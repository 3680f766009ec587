package llmtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzScan compares the scanner with encoding/json.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{}`, `[]`, `{"a":1}`, `{"a" : [1, {"b":"\"]}"}] , "c":null}`, `[1,2,[3]]`, `"\u00e9\n"`, `"\u00g9"`, `"\x"`,
		`{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `{"a"}`, `{a:1}`, `{"a":1}}`, `-0.5e+3`, `01`, `nul`, `truefalse`, `true false`,
		"\"\x01\"", "\"\xff\"", `[`, `{"a":`, `"`, `"\`, `"\u12`, `1 `, `:`, `[1 2]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ok := valid(data)
		if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) < maxDepth && ok != json.Valid(data) {
			t.Fatalf("%q: valid %t", data, ok)
		}
		if !ok {
			return
		}
		var list []json.RawMessage
		if json.Unmarshal(data, &list) == nil && list != nil {
			element, n := last(data)
			if n != len(list) || n > 0 && !bytes.Equal(element, list[n-1]) {
				t.Errorf("%q: the last of %d is %q", data, n, element)
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) == nil && object != nil {
			got := map[string]json.RawMessage{}
			for name, value := range members(data) {
				got[text([]byte(`"`+name+`"`))] = value
			}
			if len(got) != len(object) {
				t.Errorf("%q: %d members of %d", data, len(got), len(object))
			}
			for name, value := range object {
				if !bytes.Equal(got[name], value) {
					t.Errorf("%q: %s is %q", data, name, got[name])
				}
			}
		}
	})
}

func TestDepthIsBounded(t *testing.T) {
	for depth, want := range map[int]bool{maxDepth: true, maxDepth + 2: false, 10_000_000: false} {
		if got := valid([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))); got != want {
			t.Errorf("depth %d: %t", depth, got)
		}
	}
}

// FuzzServer sends any body to any API: the answer is JSON or a stream, and
// nothing but a directive breaks it off.
func FuzzServer(f *testing.F) {
	for _, a := range apis() {
		f.Add(a.request("#say x\n#tool a {}", true), byte(0))
		f.Add(a.request("x", false), byte(1))
	}
	f.Add(`{"model":"text-embedding-3","input":["a"]}`, byte(2))
	f.Add(`{"model":"gpt-","input":""}`, byte(3))
	f.Add(`{"contents":[{}]}`, byte(4))
	paths := []string{"/v1/messages", "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1beta/models/gemini-x:generateContent", "/v1beta/models/gemini-x:streamGenerateContent", "/v1/messages/count_tokens"}
	server := New(Config{Unrecorded: true})
	f.Fuzz(func(t *testing.T, body string, n byte) {
		for _, slow := range []string{"#slow", "#stall", "#break", "#text", "#redirect"} {
			if strings.Contains(body, slow) || strings.Contains(body, `\u`) {
				t.Skip("asks for a slow answer")
			}
		}
		r := httptest.NewRequest(http.MethodPost, paths[int(n)%len(paths)], strings.NewReader(body))
		r.Header = http.Header{"X-Api-Key": {Key}, "Anthropic-Version": {"1"}, "Authorization": {"Bearer " + Key}, "X-Goog-Api-Key": {Key}}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Header().Get("Content-Encoding") != "" || strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
			return
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d: %q", w.Code, w.Body)
		}
	})
}

func BenchmarkServer(b *testing.B) {
	history := strings.Repeat(`{"role":"assistant","content":"`+strings.Repeat("word \\n", 150)+`"},`, 200)
	for _, bench := range []struct{ name, history string }{{"1KB", ""}, {"200KB", history}} {
		b.Run(bench.name, func(b *testing.B) {
			body := `{"model":"claude-x","max_tokens":9,"stream":true,"messages":[` + bench.history + `{"role":"user","content":"` + strings.Repeat("x", 900) + `"}]}`
			server := New(Config{Unrecorded: true})
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(body))
				r.Header = http.Header{"X-Api-Key": {Key}, "Anthropic-Version": {"1"}}
				w := &discard{header: http.Header{}}
				server.ServeHTTP(w, r)
				if w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
		})
	}
}

// discard is a ResponseWriter that keeps the status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Flush()                      {}
