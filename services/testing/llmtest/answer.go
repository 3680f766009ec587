package llmtest

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"strings"
	"unicode/utf8"
)

// A format is one API's way of putting requests and whole answers.
type format interface {
	// read finds in a valid JSON body what matters. The prompt has a model
	// already where the path names one.
	read(body []byte, r *http.Request, p *prompt) *fault
	// body is an answer that does not stream.
	body(a *answer) []byte
}

// A streamer is a format whose answers can stream.
type streamer interface {
	// contentType is that of the stream.
	contentType(a *answer) string
	// events yields the answer, each event as it stands on the wire. What is
	// yielded is valid until the next.
	events(a *answer) iter.Seq[event]
	// errorEvent is an error within the stream, after n events.
	errorEvent(x *exchange, a *answer, f *fault, n int) []byte
}

// event is one event of a stream. The pieces of a text are paced.
type event struct {
	wire  []byte
	paced bool
}

// prompt is what of a request decides its answer.
type prompt struct {
	model        string
	stream       bool
	includeUsage bool   // stream_options.include_usage of Chat Completions
	text         string // the last message, if it is the user's
	array        bool   // Gemini streams an array rather than server-sent events
	inputs       int    // texts to embed
	dimensions   int    // of an embedding
	base64       bool   // embeddings are base64
}

// answer is what the model says, whichever API it is said in.
type answer struct {
	prompt
	serial  int64
	created int64 // Unix time, seconds
	pieces  []string
	calls   []toolCall
	usage   usage
}

// usage is what is billed, in tokens.
type usage struct {
	input  int // includes cached
	cached int
	output int
}

// text is the whole text.
func (a *answer) text() string { return strings.Join(a.pieces, "") }

// bytesPerToken is roughly what English text has.
const bytesPerToken = 4

// minCached is the shortest prompt that providers cache, in tokens.
const minCached = 1024

// count estimates what an exchange costs. Long prompts count as cached for the
// most part, as those of an agent that sends its history again are.
func count(body []byte, p *plan) usage {
	u := usage{input: max(1, len(body)/bytesPerToken)}
	if u.input >= minCached {
		u.cached = u.input / 128 * 96 // OpenAI caches in steps of 128 tokens
	}
	said := 0
	for _, piece := range p.pieces {
		said += len(piece)
	}
	for _, call := range p.calls {
		said += len(call.name) + len(call.arguments)
	}
	u.output = max(1, said/bytesPerToken)
	return u
}

// fragments cuts a tool's arguments up as a model that writes them does, between
// characters.
func fragments(text string) iter.Seq[string] {
	const size = 12
	return func(yield func(string) bool) {
		for text != "" {
			n := min(size, len(text))
			for n < len(text) && !utf8.RuneStart(text[n]) {
				n++
			}
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// quote is text as a JSON string.
func quote(text string) string {
	plain := func(r rune) bool { return r >= ' ' && r < 0x7f && r != '"' && r != '\\' }
	if strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return `"` + text + `"`
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// compact is valid JSON without the space between its parts.
func compact(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text
	}
	return b.String()
}

// turn is a message of any of the APIs.
type turn struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
	Parts   []part          `json:"parts"`
}

type part struct {
	Text string `json:"text"`
}

// userText is what the user says in raw, the last message; empty if that is not
// a user's. A message without a role is that of the implied one.
func userText(raw []byte, implied string) string {
	t := turn{Role: implied}
	if json.Unmarshal(raw, &t) != nil || t.Role != "user" {
		return ""
	}
	var text string
	if json.Unmarshal(t.Content, &text) == nil {
		return text
	}
	parts := t.Parts
	if parts == nil {
		_ = json.Unmarshal(t.Content, &parts) // what cannot be understood says nothing
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}
