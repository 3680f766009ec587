package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/llmreplay/said"
)

// maxLine bounds a line of a file of recordings, in bytes.
const maxLine = 256 << 20

// recording is one interaction: a line of a file. docs/llm-recordings.md describes
// the format; members that it does not name are ignored.
type recording struct {
	Name     string            `json:"name"`
	Settings map[string]string `json:"settings"`
	Request  request           `json:"request"`
	Response *response         `json:"response"` // nil if the request may not reach the provider
	Earlier  []response        `json:"earlier"`  // what earlier attempts of the proxy are answered with
	Expect   expectation       `json:"expect"`

	client string // the file's name: each file is a client of its own
}

type request struct {
	Method  string  `json:"method"`
	Path    string  `json:"path"` // with its query
	Headers headers `json:"headers"`
	body
}

type response struct {
	Status  int     `json:"status"`
	Headers headers `json:"headers"`
	body
	Events []event  `json:"events"`
	Chunks []string `json:"chunks"`
	Cut    bool     `json:"cut"` // the connection breaks off behind it
}

// headers are an object whose values are texts, or arrays of texts.
type headers map[string]values

type values []string

// UnmarshalJSON implements [json.Unmarshaler].
func (v *values) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("[")) {
		return json.Unmarshal(data, (*[]string)(v))
	}
	var one string
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*v = values{one}
	return nil
}

func (h headers) set(in http.Header) {
	for name, all := range h {
		in[http.CanonicalHeaderKey(name)] = slices.Clone(all)
	}
}

// body is given in one of three ways.
type body struct {
	Text   *string         `json:"body"`   // as it is
	JSON   json.RawMessage `json:"json"`   // the bytes of the value, as they stand in the line
	Base64 []byte          `json:"base64"` // what is no text
}

func (b body) bytes() []byte {
	switch {
	case b.Text != nil:
		return []byte(*b.Text)
	case b.JSON != nil:
		return b.JSON
	default:
		return b.Base64
	}
}

// event is a server-sent event. Its data is the value's bytes as they stand in the
// line, or what a text says.
type event struct {
	Name  string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	Times int             `json:"times"` // how often it comes; 0 is once
}

func (e event) wire() ([]byte, error) {
	var b bytes.Buffer
	if e.Name != "" {
		fmt.Fprintf(&b, "event: %s\n", e.Name)
	}
	data := []byte(e.Data)
	if bytes.HasPrefix(data, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return nil, err
		}
		data = []byte(text)
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	return b.Bytes(), nil
}

// pieces are the body as the provider has sent it: an event at a time, if it is a
// stream.
func (r *response) pieces() ([][]byte, error) {
	var all [][]byte
	switch {
	case len(r.Events) > 0:
		for _, e := range r.Events {
			wire, err := e.wire()
			if err != nil {
				return nil, err
			}
			for range max(e.Times, 1) {
				all = append(all, wire)
			}
		}
	case len(r.Chunks) > 0:
		for _, c := range r.Chunks {
			all = append(all, []byte(c))
		}
	default:
		data := r.bytes()
		if !said.IsStream(r.header()) {
			return [][]byte{data}, nil
		}
		for _, e := range said.Events(data) {
			all = append(all, e.Raw)
		}
	}
	return all, nil
}

// header is what the provider sends. What belongs to the connection, or to an encoding
// that the recorder has undone, is left out.
func (r *response) header() http.Header {
	h := make(http.Header)
	r.Headers.set(h)
	for _, name := range []string{"Content-Encoding", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive"} {
		h.Del(name)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
		if len(r.Events) > 0 {
			h.Set("Content-Type", "text/event-stream")
		}
	}
	return h
}

// expectation is what is right. What it leaves out is taken from the recording: the
// answer is the provider's, and the record says what the provider says.
type expectation struct {
	Status   int            `json:"status"`
	Decision proto.Decision `json:"decision"` // empty is allowed
	Reason   string         `json:"reason"`   // a part of it
	Upstream *upstream      `json:"upstream"`
	Body     *string        `json:"body"`     // the answer, where it is not the provider's
	Contains []string       `json:"contains"` // parts of the answer
	Lacks    []string       `json:"lacks"`    // what is in no part of it
	Headers  headers        `json:"headers"`  // of the answer

	Model     *string      `json:"model"`
	ID        *string      `json:"id"`
	Finish    []string     `json:"finish_reasons"`
	ErrorType *string      `json:"error_type"`
	Usage     *usage       `json:"usage"`
	Calls     []calledTool `json:"tool_calls"`
	Findings  []string     `json:"findings"` // rules, in any order
	Alerts    []string     `json:"alerts"`   // rules, in any order
}

// upstream is what the provider gets, where it is not the client's request.
type upstream struct {
	Requests *int               `json:"requests"` // how many
	Path     string             `json:"path"`
	Body     *string            `json:"body"`
	Headers  map[string]*string `json:"headers"` // null is one that does not arrive
}

type usage struct {
	Input         *int64 `json:"input"` // all of it, cached or not
	Output        *int64 `json:"output"`
	CacheRead     *int64 `json:"cache_read"`
	CacheCreation *int64 `json:"cache_creation"`
	Reasoning     *int64 `json:"reasoning"`
	Complete      *bool  `json:"complete"`
}

type calledTool struct {
	Name    string         `json:"name"`
	ID      string         `json:"id"`
	Verdict proto.Decision `json:"verdict"` // empty is allowed
}

// load reads the recordings of the files whose names end in .jsonl, in any folder of a
// tree.
func load(tree fs.FS) ([]recording, error) {
	var all []recording
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".jsonl" {
			return err
		}
		some, err := loadFile(tree, name)
		all = append(all, some...)
		return err
	})
	if err == nil && len(all) == 0 {
		err = errors.New("no recordings: no file there whose name ends in .jsonl has a line")
	}
	return all, err
}

func loadFile(tree fs.FS, name string) ([]recording, error) {
	file, err := tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all []recording
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		r := recording{client: name}
		// The line is copied: its bodies are parts of it.
		if err := json.Unmarshal(bytes.Clone(lines.Bytes()), &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if !strings.HasPrefix(r.Request.Path, "/") {
			return nil, fmt.Errorf("%s:%d: request.path is %q, which does not begin with a slash", name, n, r.Request.Path)
		}
		r.Name = cmp.Or(r.Name, fmt.Sprintf("%s:%d", name, n))
		r.Request.Method = cmp.Or(r.Request.Method, http.MethodPost)
		if r.Response != nil {
			r.Response.Status = cmp.Or(r.Response.Status, http.StatusOK)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}
