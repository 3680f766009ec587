package proxy

import (
	"bytes"
	"sync"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
)

// streamOptions is what is known of an upstream's streams of Chat Completions: whether it
// takes stream_options, and for each model whether it states the usage without being asked.
//
// A client that did not ask gets no chunk that only this proxy has asked for. From a server
// that marks its chunks as OpenAI does, such a chunk can be told. From any other it cannot: so
// the first one goes on, and the next request is sent as it came, to see whether there is one
// again.
//
//	usageUnknown ── a chunk without a mark ─▶ usageProbed ── no chunk ─▶ usageIfAsked: every chunk is dropped
//	                                               └──────── a chunk ──▶ usageUnasked: none is dropped
type streamOptions struct {
	mu      sync.Mutex
	refused bool // nobody is asked any more
	models  map[string]usageHabit
}

// usageHabit is how a model's server states the usage.
type usageHabit uint8

const (
	usageUnknown usageHabit = iota
	usageProbed
	usageIfAsked
	usageUnasked
)

// maxModels bounds the models that are remembered of an upstream. A client can make names up.
const maxModels = 512

// newStreamOptions returns a streamOptions; refused says that an operator knows better.
func newStreamOptions(refused bool) *streamOptions {
	return &streamOptions{refused: refused, models: make(map[string]usageHabit)}
}

// ask reports whether a stream of a model is to be asked for its usage, where the client has
// not, and what becomes of the chunk.
func (s *streamOptions) ask(model string) (bool, answer.UsageMode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused {
		return false, answer.KeepUsage
	}
	switch s.models[model] {
	case usageProbed, usageUnasked:
		return false, answer.KeepUsage
	case usageIfAsked:
		return true, answer.DropUsage
	default:
		return true, answer.DropMarkedUsage
	}
}

// refuse reports whether an error names what was added to a request, and remembers that the
// upstream does not take it.
func (s *streamOptions) refuse(body []byte) bool {
	if !bytes.Contains(body, []byte("stream_options")) && !bytes.Contains(body, []byte("include_usage")) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = true
	return true
}

// learn notes what came of a stream that has ended as it should.
func (s *streamOptions) learn(model string, hasAsked bool, chunk answer.UsageChunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	habit := s.models[model]
	switch {
	case habit == usageUnknown && hasAsked && chunk == answer.UnmarkedUsageChunk:
		if len(s.models) == maxModels {
			clear(s.models)
		}
		s.models[model] = usageProbed
	case habit == usageProbed && !hasAsked && chunk == answer.NoUsageChunk:
		s.models[model] = usageIfAsked
	case habit == usageProbed && !hasAsked:
		s.models[model] = usageUnasked
	}
}

// usageOption is what is added to a request.
const usageOption = `"stream_options":{"include_usage":true},`

// withUsage has a streamed answer of Chat Completions state its usage, which it
// does only if asked, and reports whether it had to ask. A body that says
// anything about stream options is left alone. body is a JSON object that has
// been parsed, and has members.
func withUsage(body []byte) ([]byte, bool) {
	// In a string, a quotation mark has a backslash before it; what is found is
	// a member's name, or at worst a text, for which no usage is requested.
	if bytes.Contains(body, []byte(`"stream_options"`)) {
		return body, false
	}
	// A name can be written with escapes, too. Nothing needs to escape a letter or
	// an underscore, so that a body which does is left alone without a closer look.
	for _, escaped := range []string{`\u005`, `\u006`, `\u007`} {
		if bytes.Contains(body, []byte(escaped)) {
			return body, false
		}
	}
	open := bytes.IndexByte(body, '{')
	if open < 0 {
		return body, false
	}
	with := make([]byte, 0, len(body)+len(usageOption))
	with = append(with, body[:open+1]...)
	with = append(with, usageOption...)
	return append(with, body[open+1:]...), true
}

// withoutUsage is the body that withUsage has made with, as it was.
func withoutUsage(with []byte) []byte {
	before, after, _ := bytes.Cut(with, []byte(usageOption))
	return append(append(make([]byte, 0, len(with)), before...), after...)
}
