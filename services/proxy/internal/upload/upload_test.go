package upload_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/upload"
)

// part is a part of a form. Without a file name it is a field.
type part struct{ name, file, kind, content string }

func form(t testing.TB, parts ...part) (body, contentType string) {
	t.Helper()
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		disposition := map[string][]string{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q`, p.name)}}
		if p.file != "" {
			disposition["Content-Disposition"][0] += fmt.Sprintf(`; filename=%q`, p.file)
		}
		if p.kind != "" {
			disposition["Content-Type"] = []string{p.kind}
		}
		out, err := w.CreatePart(disposition)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, p.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// parts reads a form as a provider does.
func parts(t testing.TB, body []byte, contentType string) (all []part) {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, part{p.FormName(), p.FileName(), p.Header.Get("Content-Type"), string(content)})
	}
}

// judged is what a Judge has seen: "Q" before each request's texts, "D" before data.
type judged struct {
	texts []string
	stop  string // a text with this in it stops the upload
}

var errStopped = errors.New("stopped")

func (j *judged) judge(r *inspect.Request) error {
	if !r.Part {
		return errors.New("it counts as a request of the client's")
	}
	for _, s := range r.Segments {
		if s.Kind == inspect.KindData && s.Attached {
			j.texts = append(j.texts, fmt.Sprint("D ", len(s.Text)))
			continue
		}
		j.texts = append(j.texts, string(s.Text))
		if j.stop != "" && bytes.Contains(s.Text, []byte(j.stop)) {
			return errStopped
		}
	}
	return nil
}

func (j *judged) saw(text string) bool {
	for _, seen := range j.texts {
		if strings.Contains(seen, text) {
			return true
		}
	}
	return false
}

func newReader(t testing.TB, body, contentType string, j *judged) *upload.Reader {
	t.Helper()
	r, err := upload.NewReader(iotest.HalfReader(strings.NewReader(body)), upload.Options{
		API: llmapi.Files, ContentType: contentType, Length: int64(len(body)), Judge: j.judge, MaxBytes: 64 << 20, MaxLine: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	lineA = `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m1","messages":[{"role":"user","content":"\u0066irst"}]}}` + "\n"
	lineB = `{"custom_id":"b","method":"POST","url":"/v1/responses","body":{"model":"m2","input":"second"}}`
)

// wide is a text in UTF-16, with a mark.
func wide(text string) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune("\ufeff" + text)) {
		b.WriteByte(byte(c))
		b.WriteByte(byte(c >> 8))
	}
	return b.String()
}

func TestFiles(t *testing.T) {
	binary := "\x00\x01\x02" + strings.Repeat("\xff\xd8", 400)
	long := strings.Repeat("a long text. ", 80_000)
	tests := []struct {
		name     string
		parts    []part
		files    []proto.Upload // without size and hash
		sees     []string
		stopped  string // where it stops
		contains string // of the error
	}{
		{
			"a batch",
			[]part{{"purpose", "", "", "batch"}, {"file", "in.jsonl", "application/octet-stream", lineA + "\n" + lineB}},
			[]proto.Upload{{Name: "in.jsonl", Type: "application/octet-stream", Read: "requests", Requests: 2}},
			[]string{"first", "second", "file in.jsonl"},
			"", "",
		},
		{
			"a batch whose purpose comes last, with another name",
			[]part{{"file", "x", "", "\ufeff" + lineA + lineB + "\n"}, {"purpose", "", "", "batch"}},
			[]proto.Upload{{Name: "x", Read: "requests", Requests: 2}},
			[]string{"first", "second"},
			"", "",
		},
		{
			"Gemini's batch",
			[]part{{"file", "b.jsonl", "jsonl", `{"key":"k","request":{"contents":[{"parts":[{"text":"third"}]}]}}`}},
			[]proto.Upload{{Name: "b.jsonl", Type: "jsonl", Read: "requests", Requests: 1}},
			[]string{"third"},
			"", "",
		},
		{
			"examples",
			[]part{{"purpose", "", "", "fine-tune"}, {"file", "t.jsonl", "", `{"messages":[{"role":"system","content":"fourth"}]}`}},
			[]proto.Upload{{Name: "t.jsonl", Read: "requests", Requests: 1}},
			[]string{"fourth"},
			"", "",
		},
		{
			"text",
			[]part{{"file", "notes.md", "text/markdown", "# Notes\n{not json}\nfifth\n"}},
			[]proto.Upload{{Name: "notes.md", Type: "text/markdown", Read: "text"}},
			[]string{"fifth"},
			"", "",
		},
		{
			"text that becomes requests",
			[]part{{"file", "a.txt", "", "words\n" + lineA}},
			[]proto.Upload{{Name: "a.txt", Read: "text", Requests: 1}},
			[]string{"words", "first"},
			"", "",
		},
		{
			"long text",
			[]part{{"file", "a.txt", "", long + "the end"}},
			[]proto.Upload{{Name: "a.txt", Read: "text"}},
			[]string{"a long text", "the end"},
			"", "",
		},
		{
			"JSON over several lines",
			[]part{{"file", "a.json", "application/json", "{\n  \"a\": \"sixth\"\n}\n"}},
			[]proto.Upload{{Name: "a.json", Type: "application/json", Read: "text"}},
			[]string{"sixth"},
			"", "",
		},
		{
			"sound",
			[]part{{"model", "", "", "whisper-1"}, {"prompt", "", "", "seventh"}, {"file", "a.mp3", "audio/mpeg", binary}},
			[]proto.Upload{{Name: "a.mp3", Type: "audio/mpeg", Read: "opaque"}},
			[]string{"seventh", "D 803"},
			"", "",
		},
		{
			"nothing",
			[]part{{"file", "empty", "", ""}},
			[]proto.Upload{{Name: "empty", Read: "text"}},
			nil, "", "",
		},
		{
			"text in UTF-16",
			[]part{{"file", "w.txt", "", wide(strings.Repeat("eighth 🙂 ", 60_000) + "ninth")}},
			[]proto.Upload{{Name: "w.txt", Read: "text"}},
			[]string{"eighth 🙂", "ninth"},
			"", "",
		},
		{
			"text in UTF-16 without a mark",
			[]part{{"file", "w.txt", "", wide("tenth")[2:]}},
			[]proto.Upload{{Name: "w.txt", Read: "text"}},
			[]string{"tenth"},
			"", "",
		},
		{"requests behind a byte of no text", []part{{"file", "b.jsonl", "", "\x08" + lineA}}, nil, nil, "", "not text"},
		{"requests in UTF-16", []part{{"file", "w.jsonl", "", wide(lineB)}}, nil, nil, "", "UTF-8"},
		{"a request that is stopped", []part{{"file", "in.jsonl", "", lineA + lineB}}, nil, nil, "second", ""},
		{"a text that is stopped", []part{{"file", "a", "", long + "needle" + long}}, nil, nil, "needle", ""},
		{"a name that is stopped", []part{{"file", "needle.txt", "", "x"}}, nil, nil, "needle", ""},
		{"a field that is stopped", []part{{"note", "", "", "needle"}, {"file", "a", "", "x"}}, nil, nil, "needle", ""},
		{"a line of two meanings", []part{{"file", "in.jsonl", "", lineA + `{"body":{"input":"x","input":"y"}}`}}, nil, nil, "", "request 2"},
		{"the same by its purpose", []part{{"purpose", "", "", "batch"}, {"file", "in", "", `{"body":{"input":"x","input":"y"}}`}}, nil, nil, "", "request 1"},
		{"the same by a purpose that comes last", []part{{"file", "in", "", `{"body":{"input":"x","input":"y"}}`}, {"purpose", "", "", "batch"}}, nil, nil, "", "no requests"},
		{"two purposes", []part{{"purpose", "", "", "vision"}, {"purpose", "", "", "batch"}}, nil, nil, "", "twice"},
		{"a line too long", []part{{"file", "in.jsonl", "", `{"a":"` + strings.Repeat("x", 2<<20) + `"}`}}, nil, nil, "", "more than 1048576 bytes"},
		{"a part without a name", []part{{"", "", "", "x"}}, nil, nil, "", "no name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, kind := form(t, tt.parts...)
			j := &judged{stop: tt.stopped}
			r := newReader(t, body, kind, j)
			got, err := io.ReadAll(r)
			r.Close()
			if tt.stopped != "" || tt.contains != "" {
				if tt.stopped != "" && !errors.Is(err, errStopped) || tt.contains != "" && (!errors.Is(err, upload.ErrMalformed) || !strings.Contains(err.Error(), tt.contains)) {
					t.Errorf("error %v", err)
				}
				_, parameters, _ := mime.ParseMediaType(r.ContentType())
				if bytes.Contains(got, []byte("--"+parameters["boundary"]+"--")) || tt.stopped != "" && bytes.Contains(got, []byte(tt.stopped)) {
					t.Errorf("what went on is whole, or holds what was stopped: %.2000s", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if sent := parts(t, got, r.ContentType()); fmt.Sprint(sent) != fmt.Sprint(tt.parts) {
				t.Errorf("sent %.500v", sent)
			}
			for _, text := range tt.sees {
				if !j.saw(text) {
					t.Errorf("%q was not judged: %.500q", text, j.texts)
				}
			}
			files := r.Files()
			if len(files) != len(tt.files) {
				t.Fatalf("files %+v", files)
			}
			for i, want := range tt.files {
				content := tt.parts[len(tt.parts)-1].content
				if tt.parts[len(tt.parts)-1].file == "" {
					content = tt.parts[0].content
				}
				sum := sha256.Sum256([]byte(content))
				want.Bytes, want.SHA256 = int64(len(content)), hex.EncodeToString(sum[:])
				if files[i] != want {
					t.Errorf("file %+v\nwant %+v", files[i], want)
				}
			}
		})
	}
}

// A sender who knows how some server finds the parts of a form cannot have it find others
// than those that were judged.
func TestFormsAreWrittenAnew(t *testing.T) {
	body, kind := form(t, part{"file", `a".txt`, "", "x"})
	r := newReader(t, body, kind, new(judged))
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.ContentType() == kind || !bytes.Contains(got, []byte(`filename="a%22.txt"`)) {
		t.Errorf("%s: %s", r.ContentType(), got)
	}
	for name, body := range map[string]string{
		"an encoded part":  "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--\r\n",
		"no end":           "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx",
		"two dispositions": "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nx\r\n--b--\r\n",
	} {
		r := newReader(t, body, "multipart/form-data; boundary=b", new(judged))
		if got, err := io.ReadAll(r); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, kind := range []string{"multipart/form-data", "multipart/mixed; boundary=b", "multipart/form-data; boundary"} {
		if _, err := upload.NewReader(strings.NewReader(""), upload.Options{ContentType: kind}); !errors.Is(err, upload.ErrMalformed) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Gemini takes a file as a body of its own, or behind what is said of it.
func TestFileAsBody(t *testing.T) {
	j := new(judged)
	r := newReader(t, lineA, "application/jsonl", j)
	got, err := io.ReadAll(r)
	if err != nil || string(got) != lineA || r.Length() != int64(len(lineA)) || r.ContentType() != "application/jsonl" {
		t.Errorf("%s, %v, %d", got, err, r.Length())
	}
	if files := r.Files(); len(files) != 1 || files[0].Read != "requests" || !j.saw("first") {
		t.Errorf("files %+v", files)
	}
	cut, err := upload.NewReader(strings.NewReader(lineA[:40]), upload.Options{ContentType: "application/jsonl", Piece: true, Judge: new(judged).judge, MaxBytes: 100, MaxLine: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(cut); err != nil || string(got) != lineA[:40] || cut.Files()[0].Read != "text" {
		t.Errorf("%s, %v", got, err)
	}
	const related = "--b\r\nContent-Type: application/json\r\n\r\n{\"file\":{\"display_name\":\"mine\"}}\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
	j = new(judged)
	r = newReader(t, related, "multipart/related; boundary=b", j)
	got, err = io.ReadAll(r)
	if err != nil || !strings.HasPrefix(r.ContentType(), "multipart/related; boundary=") || !j.saw("mine") || !j.saw("hello") {
		t.Errorf("%s, %v, %q", got, err, j.texts)
	}
	if files := r.Files(); len(files) != 1 || files[0].Type != "text/plain" || files[0].Bytes != 5 {
		t.Errorf("files %+v", files)
	}
}

// A large file takes little memory.
func TestMemory(t *testing.T) {
	line := `{"input":"` + strings.Repeat("x", 1024-13) + `"}` + "\n"
	held, most := 0, 0
	r, err := upload.NewReader(io.LimitReader(repeated(line), 32<<20), upload.Options{
		ContentType: "application/jsonl", Length: -1, Judge: new(judged).judge, MaxBytes: 64 << 20, MaxLine: 1 << 20,
		Grow: func(n int) error {
			held += n
			most = max(most, held)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n != 32<<20 {
		t.Fatal(n, err)
	}
	if most == 0 || most > 2<<20 {
		t.Errorf("%d bytes were held", most)
	}
	small, err := upload.NewReader(strings.NewReader(lineA), upload.Options{Judge: new(judged).judge, MaxBytes: 10, MaxLine: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(small); !errors.Is(err, upload.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

type repeated string

func (s repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], s)
	}
	return n, nil
}

// However a body is cut, what goes on is what came.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{lineA + lineB, "text\n{", "\x00\xff", "{}\n\n{}\r\n", "\ufeff{\"a\":1}", "[1]\n{\"input\":\"x\"}"} {
		f.Add(seed, "a.jsonl", 3)
		f.Add(seed, "a.txt", 1)
	}
	f.Fuzz(func(t *testing.T, content, name string, cut int) {
		body, kind := form(t, part{"file", "x" + strings.Map(func(c rune) rune {
			if c < ' ' || c == '"' || c == '\\' || c == '/' || c > '~' {
				return -1
			}
			return c
		}, name), "", content})
		if cut = cut % len(body); cut < 0 {
			cut = -cut
		}
		r, err := upload.NewReader(io.MultiReader(strings.NewReader(body[:cut]), strings.NewReader(body[cut:])), upload.Options{
			ContentType: kind, Judge: new(judged).judge, MaxBytes: 1 << 20, MaxLine: 1 << 16,
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			if !errors.Is(err, upload.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if sent := parts(t, got, r.ContentType()); len(sent) != 1 || sent[0].content != content {
			t.Errorf("sent %q", sent)
		}
	})
}

// TestLongLineIsGivenBack: what a long line has taken is not kept while the rest of the
// file comes slowly.
func TestLongLineIsGivenBack(t *testing.T) {
	line := `{"a":"` + strings.Repeat("x", 24<<20) + "\"}\n"
	more, client := io.Pipe()
	var reserved atomic.Int64
	r, err := upload.NewReader(io.MultiReader(strings.NewReader(line), more), upload.Options{
		API: llmapi.Files, ContentType: "application/octet-stream", Length: -1, MaxBytes: 1 << 30, MaxLine: 32 << 20,
		Judge: func(*inspect.Request) error { return nil },
		Grow:  func(n int) error { reserved.Add(int64(n)); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, int64(len(line))); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.CopyN(io.Discard, r, 1000) // ends with the file
	}()
	if _, err := client.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("x")); err != nil { // what came before is through
		t.Fatal(err)
	}
	line = ""
	var heap runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	if reserved.Load() > 1<<20 || heap.HeapAlloc > 20<<20 {
		t.Errorf("%d bytes are reserved, and the heap has %d", reserved.Load(), heap.HeapAlloc)
	}
	_ = client.Close()
	<-done
}

// TestHeaderOfAPart: the header of a part is held in memory, and is bounded.
func TestHeaderOfAPart(t *testing.T) {
	body := "--b\r\nX: " + strings.Repeat("x", 1<<20) + "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"
	r, err := upload.NewReader(strings.NewReader(body), upload.Options{
		API: llmapi.Files, ContentType: "multipart/form-data; boundary=b", Length: -1, MaxBytes: 1 << 30, MaxLine: 1 << 20,
		Judge: func(*inspect.Request) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, upload.ErrMalformed) {
		t.Errorf("it ends with %v", err)
	}
	if r.Taken() > 128<<10 {
		t.Errorf("%d bytes of it were read", r.Taken())
	}
}
