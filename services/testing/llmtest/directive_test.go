package llmtest

import (
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/openclaw-security/bus/services/testing/bustest"
)

func TestErrorDirective(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, _ func(*testing.T, []byte) said) {
		for _, status := range []int{400, 401, 403, 404, 413, 429, 500, 503, 504, 529} {
			response, body, err := newRig(t).ask(a, stream, "#error "+strconv.Itoa(status))
			if err != nil || response.StatusCode != status {
				t.Fatalf("got %v, %v", response, err)
			}
			var e struct {
				Error struct{ Message, Type, Status string }
			}
			decode(t, body, &e)
			if e.Error.Message == "" || e.Error.Type == "" && e.Error.Status == "" {
				t.Errorf("%d: %s", status, body)
			}
			retry := status == 429 || status == 503 || status == 529
			if (response.Header.Get("Retry-After") != "") != retry {
				t.Errorf("%d: Retry-After %q", status, response.Header.Get("Retry-After"))
			}
		}
	})
}

func TestErrorAfter(t *testing.T) {
	for _, a := range apis() {
		t.Run(a.name, func(t *testing.T) {
			for _, n := range []string{"0", "5"} {
				_, body := newRig(t).mustAsk(a, true, "#text 20\n#error-after "+n)
				if a.name == "messages" && n == "0" {
					if !strings.HasPrefix(string(body), "event: error\n") {
						t.Errorf("got %s", body)
					}
					continue
				}
				if got := a.stream(t, body); got.failure == "" {
					t.Errorf("no error after %s events in %s", n, body)
				}
			}
			response, _, err := newRig(t).ask(a, false, "#error-after 5")
			if err != nil || response.StatusCode != http.StatusInternalServerError {
				t.Errorf("got %v, %v", response, err)
			}
		})
	}
}

func TestBreakAfter(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, _ func(*testing.T, []byte) said) {
		response, _, err := newRig(t).ask(a, stream, "#break-after 0")
		if err == nil {
			t.Errorf("before the status: got %v", response)
		}
		_, whole := newRig(t).mustAsk(a, stream, "#text 9")
		response, part, err := newRig(t).ask(a, stream, "#text 9\n#break-after 3")
		if err == nil || response == nil || len(part) == 0 || len(part) >= len(whole) {
			t.Errorf("midway: got %v, %v: %s", response, err, part)
		}
		if marker := map[string]string{"messages": "data: ", "chat": "data: ", "responses": "data: ", "gemini": "data: "}[a.name]; stream && marker != "" {
			if n := strings.Count(string(part), marker); n != 3 {
				t.Errorf("%d events in %s", n, part)
			}
		}
	})
}

// TestStall: what comes before the stall comes, and a client that goes is
// noticed.
func TestStall(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, _ func(*testing.T, []byte) said) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		path := a.path
		if stream {
			path = cmp.Or(a.streamPath, a.path)
		}
		request := r.request(http.MethodPost, path, a.header, a.request("#text 9\n#stall 2", stream)).WithContext(ctx)
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, err := io.ReadFull(response.Body, make([]byte, 20)); err != nil {
			t.Fatal(err)
		}
		if r.server.Active() != 1 {
			t.Errorf("%d active", r.server.Active())
		}
		cancel()
		if _, err := io.ReadAll(response.Body); err == nil {
			t.Error("the answer went on")
		}
		bustest.Eventually(t, "the server has noticed", func() bool { return r.server.Active() == 0 })
	})
}

func TestEncodings(t *testing.T) {
	readers := map[string]func(io.Reader) (io.Reader, error){
		"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"br":      func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
		"deflate": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) {
			z, err := zstd.NewReader(r)
			if err != nil {
				return nil, err
			}
			return z.IOReadCloser(), nil
		},
	}
	forEach(t, func(t *testing.T, a api, stream bool, read func(*testing.T, []byte) said) {
		for name, reader := range readers {
			header, body := newRig(t).mustAsk(a, stream, "#size 5000\n#"+name)
			if header.Get("Content-Encoding") != name {
				t.Fatalf("%s: encoding %q", name, header.Get("Content-Encoding"))
			}
			decoded, err := reader(strings.NewReader(string(body)))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(decoded)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := read(t, plain).text; len(got) != 5000 {
				t.Errorf("%s: %d bytes of text", name, len(got))
			}
		}
	})
}

// TestCompressedEventsArriveAtOnce reads the first event of a stream that
// stalls behind it.
func TestCompressedEventsArriveAtOnce(t *testing.T) {
	r := newRig(t)
	a := apis()[0]
	response, err := r.client.Do(r.request(http.MethodPost, a.path, a.header, a.request("#gzip\n#stall 1", true)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	z, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len("event: message_start"))
	if _, err := io.ReadFull(z, first); err != nil || string(first) != "event: message_start" {
		t.Errorf("got %q, %v", first, err)
	}
}

func TestRedirect(t *testing.T) {
	for prompt, want := range map[string]string{"#redirect": defaultRedirect, "#redirect http://a.example/": "http://a.example/"} {
		forEach(t, func(t *testing.T, a api, stream bool, _ func(*testing.T, []byte) said) {
			response, _, err := newRig(t).ask(a, stream, prompt)
			if err != nil || response.StatusCode != http.StatusTemporaryRedirect || response.Header.Get("Location") != want {
				t.Errorf("got %v, %v", response, err)
			}
		})
	}
}

func TestEchoKey(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, read func(*testing.T, []byte) said) {
		response, body, err := newRig(t).ask(a, stream, "#echo-key")
		if err != nil || response.Header.Get("X-Echoed-Key") != Key || !strings.Contains(string(body), Key) {
			t.Fatalf("got %v, %v: %s", response, err, body)
		}
		if !stream {
			return
		}
		got := read(t, body)
		if !strings.Contains(got.text, Key) || !strings.Contains(got.failure, Key) {
			t.Errorf("got %+v", got)
		}
		if n := strings.Count(string(body), Key); n != 1 {
			t.Errorf("%d keys in one piece: %s", n, body)
		}
	})
}

func TestPaceIsKept(t *testing.T) {
	forEach(t, func(t *testing.T, a api, stream bool, read func(*testing.T, []byte) said) {
		synctest.Test(t, func(t *testing.T) {
			path, want := a.path, 20*time.Millisecond
			if stream {
				path, want = cmp.Or(a.streamPath, a.path), want+4*10*time.Millisecond
			}
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(a.request("#text 4x10ms\n#slow 20ms", stream)))
			for name, value := range a.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			began := time.Now()
			New(Config{}).ServeHTTP(w, r)
			if took := time.Since(began); took != want {
				t.Errorf("took %s, want %s", took, want)
			}
			if got := len(strings.Fields(read(t, w.Body.Bytes()).text)); got != 4 {
				t.Errorf("%d words", got)
			}
		})
	})
}

func TestParsePlan(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no directive", "Hello, # no directive\n## a heading\n # \n#", ""},
		{"unknown", "#texts 5", "#texts: not a directive of this server"},
		{"no number", "#text x", `#text: "" is not a number from 1 to 100000`},
		{"no pause", "#text 5xy", `#text: time: invalid duration "y"`},
		{"too many", "#text 100001", `#text: "100001" is not a number from 1 to 100000`},
		{"too large", "#size 33m", `#size: "33" is not a number from 1 to 32`},
		{"arguments that are no object", `#tool a [1]`, `#tool: needs a name and a JSON object, not "a [1]"`},
		{"arguments that are no JSON", `#tool a {1}`, `#tool: needs a name and a JSON object, not "a {1}"`},
		{"no such status", "#error 200", `#error: "200" is not a number from 400 to 599`},
		{"no duration", "#slow down", `#slow: time: invalid duration "down"`},
		{"negative", "#break-after -1", `#break-after: "-1" is not a number from 0 to 100000`},
		{"a second line", "x\r\n#br\r\n#nope\r\n", "#nope: not a directive of this server"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parsePlan(test.text)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "1025": 1025, "200k": 200 << 10, "2m": 2 << 20} {
		p, err := parsePlan("#size " + text)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(strings.Join(p.pieces, "")); got != want {
			t.Errorf("%s: %d bytes, want %d", text, got, want)
		}
	}
}
