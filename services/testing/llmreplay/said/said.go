// Package said reads what a provider says in an answer: the model and its id, tokens,
// tool calls and why it ended, by the documentation of each API and with none of
// the proxy's code. Tests take it for the right value of a record, and for what a
// client could do with an answer.
package said

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// API is what a path is for, as far as its answers are read here.
type API string

// The APIs.
const (
	Messages   API = "messages"
	Count      API = "count_tokens"
	Chat       API = "chat"
	Responses  API = "responses"
	Gemini     API = "gemini"
	Embeddings API = "embeddings"
	Other      API = "other"
)

// APIOf is what a path is for.
func APIOf(path string) API {
	path, _, _ = strings.Cut(path, "?")
	_, method, _ := strings.Cut(path, ":")
	switch {
	case strings.HasSuffix(path, "/messages"):
		return Messages
	case strings.HasSuffix(path, "/messages/count_tokens"):
		return Count
	case strings.HasSuffix(path, "/chat/completions"):
		return Chat
	case strings.HasSuffix(path, "/responses"):
		return Responses
	case method == "generateContent", method == "streamGenerateContent":
		return Gemini
	case strings.HasSuffix(path, "/embeddings"), method == "embedContent", method == "batchEmbedContents":
		return Embeddings
	default:
		return Other
	}
}

// Answer is what a provider says in one.
type Answer struct {
	Model, ID string
	Finish    []string // one for each choice that has ended
	ErrorType string
	Calls     []Call
	Usage     *Tokens // nil if it says none

	finished []int // choices, as in Finish
}

// Tokens are counted as they are billed: the input with what is cached, the output with
// the reasoning.
type Tokens struct {
	Input, Output, CacheRead, CacheCreation, Reasoning int64
}

// Call is a tool call.
type Call struct {
	Name, ID  string
	Arguments string
	Done      bool // the protocol says that nothing follows

	key string // tells it from the others of the answer
}

// Whole reports whether a client could act on the call: one that waits for its end, or
// one that tries to parse what there is at every piece.
func (c Call) Whole() bool { return c.Done || json.Valid([]byte(c.Arguments)) }

// Listen reads an answer.
func Listen(a API, h http.Header, answer []byte) *Answer {
	s := &Answer{}
	var values [][]byte
	if IsStream(h) {
		for _, e := range Events(answer) {
			if len(e.Data) > 0 && string(e.Data) != "[DONE]" {
				values = append(values, e.Data)
			}
		}
	} else if a == Gemini && bytes.HasPrefix(bytes.TrimSpace(answer), []byte("[")) {
		var chunks []json.RawMessage
		_ = json.Unmarshal(answer, &chunks) // what cannot be read says nothing
		for _, c := range chunks {
			values = append(values, c)
		}
	} else {
		values = [][]byte{answer}
	}
	read := map[API]func([]byte){
		Messages: s.messages, Chat: s.chat, Responses: s.responses, Gemini: s.gemini, Embeddings: s.embeddings,
	}[a]
	if read == nil {
		return s
	}
	for _, v := range values {
		read(v)
	}
	return s
}

// IsStream reports whether an answer with this header is a stream of events.
func IsStream(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/event-stream")
}

// decode reads what can be read of a value.
func decode(data []byte, into any) { _ = json.Unmarshal(data, into) }

// number is a count, also of a server that writes it as a text or with a point.
type number int64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	if err == nil {
		*n = number(f)
	}
	return nil
}

// word is a text, or nothing.
type word string

// UnmarshalJSON implements [json.Unmarshaler].
func (w *word) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*w = word(s)
	}
	return nil
}

// object is a value's members, if it is an object.
type object map[string]json.RawMessage

// UnmarshalJSON implements [json.Unmarshaler].
func (o *object) UnmarshalJSON(data []byte) error {
	members := map[string]json.RawMessage{}
	if json.Unmarshal(data, &members) == nil {
		*o = members
	}
	return nil
}

// count is a member's number; of several names the first that is there.
func (o object) count(names ...string) (n int64) {
	for _, name := range names {
		if value, ok := o[name]; ok && string(value) != "null" {
			var of number
			decode(value, &of)
			return int64(of)
		}
	}
	return 0
}

func (o object) inner(name string) (in object) {
	decode(o[name], &in)
	return in
}

func (o object) text(name string) string {
	var w word
	decode(o[name], &w)
	return string(w)
}

func (s *Answer) identify(id, model word) {
	s.ID = cmp.Or(string(id), s.ID)
	s.Model = cmp.Or(string(model), s.Model)
}

func (s *Answer) fail(fault object) {
	for _, name := range []string{"type", "status", "code"} {
		s.ErrorType = cmp.Or(s.ErrorType, fault.text(name))
	}
}

// stop notes why a choice has ended: what is said first counts.
func (s *Answer) stop(choice int, reason string) {
	if reason != "" && !slices.Contains(s.finished, choice) {
		s.Finish, s.finished = append(s.Finish, reason), append(s.finished, choice)
	}
}

// latest is the last call under a key; nil if there is none.
func (s *Answer) latest(key string) *Call {
	for i := range slices.Backward(s.Calls) {
		if s.Calls[i].key == key {
			return &s.Calls[i]
		}
	}
	return nil
}

// call returns the call under a key, which it begins if there is none.
func (s *Answer) call(key string) *Call {
	if c := s.latest(key); c != nil {
		return c
	}
	s.Calls = append(s.Calls, Call{key: key})
	return &s.Calls[len(s.Calls)-1]
}

// embeddings reads both OpenAI's and Gemini's form.
func (s *Answer) embeddings(data []byte) {
	var v struct {
		Model word
		Usage object
		Meta  object `json:"usageMetadata"`
		Error object
	}
	decode(data, &v)
	s.identify("", v.Model)
	s.fail(v.Error)
	if v.Usage != nil {
		s.Usage = &Tokens{Input: v.Usage.count("prompt_tokens", "input_tokens")}
	}
	if v.Meta != nil {
		s.Usage = &Tokens{Input: v.Meta.count("promptTokenCount")}
	}
}
