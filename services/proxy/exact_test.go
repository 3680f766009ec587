package proxy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/llmtest"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
)

var exchanges = flag.Int("exchanges", 25, "how many random exchanges TestBytesAreExact makes with each API")

// TestBytesAreExact sends random requests, and has them answered with random
// bytes: what the provider receives and what the client receives is what the
// other side sent, save for the usage that is asked for in a Chat Completions
// stream, the chunk that tells it, and the key.
func TestBytesAreExact(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	watched := func(c *Config) {
		c.Detections = make(detect.Modes)
		for _, rule := range detect.Rules() {
			c.Detections[rule.Name] = detect.Observe
		}
	}
	for _, setting := range []struct {
		name   string
		change func(*testing.T, *Config)
		echoes bool // answers show the key; where that is enforced, they are stopped
	}{
		{"as it comes", func(*testing.T, *Config) {}, false},
		{"every detection, the key redacted", func(_ *testing.T, c *Config) { watched(c) }, true},
		{"every detection and the guard", func(t *testing.T, c *Config) { watched(c); use(c, startStub(t)) }, false},
	} {
		t.Run(setting.name, func(t *testing.T) {
			provider := &scripted{}
			r := newSolo(t, provider, func(c *Config) { setting.change(t, c) })
			for i, api := range []string{"messages", "chat", "responses", "gemini"} {
				t.Run(api, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, uint64(i)))
					redacted := 0
					for n := range *exchanges {
						w := &writer{Rand: random, escapes: random.IntN(4) == 0}
						redacted += r.exchange(t, w, provider, api, setting.echoes)
						if t.Failed() {
							t.Fatalf("exchange %d", n)
						}
					}
					if setting.echoes && redacted == 0 {
						t.Error("no answer has had the key in it")
					}
				})
			}
		})
	}
}

// exchange makes one, and returns how often the key was in its answer.
func (r *rig) exchange(t *testing.T, w *writer, provider *scripted, api string, echoes bool) (redacted int) {
	t.Helper()
	stream := w.IntN(3) > 0
	path, body, asks := w.request(api, stream)
	given := w.answer(api, stream, echoes)
	provider.give(given)
	got := r.post(path, body, "Anthropic-Version", map[bool]string{true: "2023-06-01"}[api == "messages"])

	// Which of it is the usage chunk depends on what the provider was asked.
	sent, want := provider.received(), string(given.body)
	asks = asks || escapedLetter.MatchString(body) // then it is not looked for
	const option = `"stream_options":{"include_usage":true},`
	if api == "chat" && stream && !asks {
		if strings.Count(sent, option) != 1 || !json.Valid([]byte(sent)) {
			t.Errorf("no usage is asked for: %.300s", sent)
		}
		sent = strings.Replace(sent, option, "", 1)
		want = strings.Replace(want, given.usage, "", 1)
	}
	if sent != body {
		t.Errorf("%s: the provider has received\n%s\nthe client has sent\n%s", path, excerpt(sent, body), excerpt(body, sent))
	}
	redacted = strings.Count(want, llmtest.Key)
	want = strings.ReplaceAll(want, llmtest.Key, "[redacted]")
	if got.body != want || got.err != nil || got.status != given.status || got.header.Get("Content-Type") != given.contentType {
		t.Errorf("%s: the client has received %d %q %v\n%s\nthe provider has sent %d %q\n%s", path,
			got.status, got.header.Get("Content-Type"), got.err, excerpt(got.body, want), given.status, given.contentType, excerpt(want, got.body))
	}
	if a := r.final(); a.Decision != proto.DecisionAllowed || a.ResponseBytes != int64(len(want)) {
		t.Errorf("record %+v", a)
	}
	return redacted
}

// escapedLetter is an escape of what could be in a name, and needs none.
var escapedLetter = regexp.MustCompile(`\\u00[567]`)

// excerpt is the place in s where it begins to differ from other.
func excerpt(s, other string) string {
	i := 0
	for i < len(s) && i < len(other) && s[i] == other[i] {
		i++
	}
	return fmt.Sprintf("%d bytes, at %d: %q", len(s), i, s[max(0, i-80):min(len(s), i+200)])
}

// given is an answer as the provider sends it.
type given struct {
	status      int
	contentType string
	body        []byte
	usage       string // the event of Chat Completions that tells the usage
	cuts        []int  // where a piece ends
}

// scripted is a provider that answers with given bytes.
type scripted struct {
	mu   sync.Mutex
	next given
	body []byte
}

func (s *scripted) give(g given) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = g
}

func (s *scripted) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.body)
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	g := s.next
	s.body = body
	s.mu.Unlock()
	w.Header().Set("Content-Type", g.contentType)
	w.WriteHeader(g.status)
	at := 0
	for _, cut := range append(g.cuts, len(g.body)) {
		_, _ = w.Write(g.body[at:cut])
		_ = http.NewResponseController(w).Flush()
		at = cut
	}
}

// writer writes random JSON, all of whose freedoms it uses: order, white space,
// escapes.
type writer struct {
	*rand.Rand
	escapes bool // of characters that need none
	inLines bool // white space has no carriage return
	out     bytes.Buffer
}

// object is a JSON object; its members are written in random order.
type object map[string]any

// array is a JSON array.
type array []any

func (w *writer) json(v any) string {
	w.out.Reset()
	w.space()
	w.value(v)
	w.space()
	return w.out.String()
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case object:
		names := slices.Sorted(maps.Keys(v)) // so that the seed decides
		w.Shuffle(len(names), reflect.Swapper(names))
		w.sequence('{', '}', len(names), func(i int) {
			w.text(names[i])
			w.space()
			w.out.WriteByte(':')
			w.space()
			w.value(v[names[i]])
		})
	case array:
		w.sequence('[', ']', len(v), func(i int) { w.value(v[i]) })
	case string:
		w.text(v)
	default:
		_ = json.NewEncoder(&w.out).Encode(v) // a number, a bool or null, into memory
		w.out.Truncate(w.out.Len() - 1)
	}
}

func (w *writer) sequence(open, shut byte, n int, element func(int)) {
	w.out.WriteByte(open)
	w.space()
	for i := range n {
		if i > 0 {
			w.out.WriteByte(',')
			w.space()
		}
		element(i)
		w.space()
	}
	w.out.WriteByte(shut)
}

func (w *writer) space() {
	if w.IntN(8) > 0 {
		return
	}
	for range w.IntN(4) {
		c := " \t\n\r"[w.IntN(4)]
		if c == '\r' && w.inLines {
			c = ' '
		}
		w.out.WriteByte(c)
	}
}

func (w *writer) text(s string) {
	w.out.WriteByte('"')
	for _, c := range s {
		short := strings.IndexRune("\"\\/\b\f\n\r\t", c)
		switch {
		case w.escapes && w.IntN(6) == 0, c < ' ' && short < 0:
			for _, unit := range utf16.AppendRune(nil, c) {
				format := []string{"\\u%04x", "\\u%04X"}[w.IntN(2)]
				fmt.Fprintf(&w.out, format, unit)
			}
		case short >= 0 && (c != '/' || w.IntN(4) == 0):
			w.out.WriteByte('\\')
			w.out.WriteByte(`"\/bfnrt`[short])
		default:
			w.out.WriteRune(c)
		}
	}
	w.out.WriteByte('"')
}

// Texts are made of these. None is a reason to stop anything.
var vocabulary = strings.Split(`the|quick|brown|fox|jumps|"over"|a\lazy|dog|/etc/hosts|é|日本語|🙂👍🏽|<b>|&amp;|`+"\n|\t|\r\n|\x01|\u2028|"+`{"a":|[1,2]|data:|event: x|\u0041|0.5|…|null`, "|")

func (w *writer) words(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(vocabulary[w.IntN(len(vocabulary))])
		if w.IntN(5) > 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// prose is now and then long: most of a request is, and of its time.
func (w *writer) prose() string {
	switch w.IntN(30) {
	case 0:
		return w.words(1 + w.IntN(40_000))
	case 1:
		return strings.Repeat("A", w.IntN(100_000)) // as images are
	}
	return w.words(1 + w.IntN(30))
}

// anything is a value of a kind that nobody knows.
func (w *writer) anything(depth int) any {
	switch k := w.IntN(8); {
	case k == 0 && depth > 0:
		o := object{}
		for range w.IntN(4) {
			o[fmt.Sprintf("x_%d %s", w.IntN(100), w.words(1))] = w.anything(depth - 1)
		}
		return o
	case k == 1 && depth > 0:
		return array{w.anything(depth - 1), w.anything(depth - 1)}
	case k == 2:
		return w.Float64() * 1e9
	case k == 3:
		return nil
	case k == 4:
		return w.IntN(2) == 0
	default:
		return w.words(1 + w.IntN(5))
	}
}

// request is a random request to an API. It asks for a stream or not; asks says
// that it says something about a stream's usage.
func (w *writer) request(api string, stream bool) (path, body string, asks bool) {
	o := object{}
	for range w.IntN(3) {
		o[fmt.Sprintf("x_%d", w.IntN(100))] = w.anything(4)
	}
	if api != "gemini" {
		o["model"], o["stream"] = "a-model", stream
	}
	schema := object{"type": "object", "properties": object{"path": object{"type": "string", "description": w.prose()}}}
	var turns array
	for range 1 + w.IntN(6) {
		turns = append(turns, w.turn(api))
	}
	switch api {
	case "messages":
		path = "/v1/messages"
		o["max_tokens"], o["messages"] = w.IntN(4096), turns
		o["system"] = array{object{"type": "text", "text": w.prose(), "cache_control": object{"type": "ephemeral"}}}
		o["tools"] = array{object{"name": "read", "description": w.prose(), "input_schema": schema}}
	case "chat":
		path = "/v1/chat/completions"
		o["messages"] = turns
		o["tools"] = array{object{"type": "function", "function": object{"name": "read", "description": w.prose(), "parameters": schema}}}
		if asks = w.IntN(3) == 0; asks {
			o["stream_options"] = object{"include_usage": w.IntN(2) == 0}
		}
	case "responses":
		path = "/v1/responses"
		o["input"], o["instructions"] = turns, w.prose()
		o["tools"] = array{object{"type": "function", "name": "read", "description": w.prose(), "parameters": schema}}
	case "gemini":
		path = "/v1beta/models/a-model:generateContent"
		if stream {
			path = "/v1beta/models/a-model:streamGenerateContent?alt=sse"
		}
		o["contents"] = turns
		o["systemInstruction"] = object{"parts": array{object{"text": w.prose()}}}
	}
	return path, w.json(o), asks
}

// turn is one message of a conversation.
func (w *writer) turn(api string) any {
	arguments := object{"path": w.prose(), "x": w.anything(2)}
	shapes := map[string]array{
		"messages": {
			object{"role": "user", "content": w.prose()},
			object{"role": "assistant", "content": array{
				object{"type": "thinking", "thinking": w.prose(), "signature": "AbC/+="},
				object{"type": "tool_use", "id": "toolu_1", "name": "read", "input": arguments},
			}},
			object{"role": "user", "content": array{
				object{"type": "tool_result", "tool_use_id": "toolu_1", "content": array{object{"type": "text", "text": w.prose()}}},
				object{"type": "image", "source": object{"type": "base64", "media_type": "image/png", "data": strings.Repeat("iVBORw0KGgo+/", w.IntN(1000))}},
			}},
		},
		"chat": {
			object{"role": "user", "content": array{object{"type": "text", "text": w.prose()}}},
			object{"role": "assistant", "content": nil, "tool_calls": array{object{"id": "call_1", "type": "function", "function": object{"name": "read", "arguments": `{"path":"a b"}`}}}},
			object{"role": "tool", "tool_call_id": "call_1", "content": w.prose()},
		},
		"responses": {
			object{"role": "user", "content": w.prose()},
			object{"type": "message", "role": "assistant", "content": array{object{"type": "output_text", "text": w.prose()}}},
			object{"type": "function_call_output", "call_id": "call_1", "output": w.prose()},
		},
		"gemini": {
			object{"role": "user", "parts": array{object{"text": w.prose()}}},
			object{"role": "model", "parts": array{object{"functionCall": object{"name": "read", "args": arguments}}}},
			object{"role": "user", "parts": array{object{"functionResponse": object{"name": "read", "response": object{"result": w.prose()}}}}},
		},
	}
	return shapes[api][w.IntN(len(shapes[api]))]
}

// answer is a random answer of an API, with or without the key in it.
func (w *writer) answer(api string, stream, echoes bool) given {
	g := given{status: http.StatusOK, contentType: "application/json"}
	say := func() string {
		text := w.words(1 + w.IntN(20))
		if echoes && w.IntN(6) == 0 {
			return text + llmtest.Key + w.words(3)
		}
		return text
	}
	switch k := w.IntN(10); {
	case k == 0:
		g.status, g.body = 400+w.IntN(200), []byte(w.json(object{"type": "error", "error": object{"type": "api_error", "message": say()}}))
	case k == 1:
		g.status, g.contentType = http.StatusBadGateway, "text/html; charset=utf-8"
		g.body = []byte("<html>\r\n<p>" + w.wordsInLine() + "</p>")
	case stream:
		g.contentType = "text/event-stream; charset=utf-8"
		g.body, g.usage = w.stream(api, say)
	default:
		g.body = []byte(w.json(w.whole(api, say)))
	}
	for at := 0; at < len(g.body); at += 1 + w.IntN(200) {
		g.cuts = append(g.cuts, at)
	}
	return g
}

// whole is an answer that does not stream.
func (w *writer) whole(api string, say func() string) object {
	switch arguments := (object{"path": say()}); api {
	case "messages":
		return object{
			"id": "msg_1", "type": "message", "model": "a-model", "stop_reason": "tool_use", "usage": object{"input_tokens": 3, "output_tokens": 4},
			"content": array{object{"type": "text", "text": say()}, object{"type": "tool_use", "id": "toolu_1", "name": "read", "input": arguments}},
		}
	case "chat":
		return object{"id": "c", "model": "a-model", "usage": object{"prompt_tokens": 3, "completion_tokens": 4}, "choices": array{object{
			"index": 0, "finish_reason": "tool_calls",
			"message": object{"role": "assistant", "content": say(), "tool_calls": array{object{"id": "call_1", "type": "function", "function": object{"name": "read", "arguments": `{"path":"/a"}`}}}},
		}}}
	case "responses":
		return object{"id": "resp_1", "model": "a-model", "status": "completed", "usage": object{"input_tokens": 3, "output_tokens": 4}, "output": array{
			object{"type": "message", "content": array{object{"type": "output_text", "text": say()}}},
			object{"type": "function_call", "call_id": "call_1", "name": "read", "arguments": `{"path":"/a"}`},
		}}
	default:
		return object{"responseId": "r", "usageMetadata": object{"promptTokenCount": 3}, "candidates": array{object{
			"index": 0, "finishReason": "STOP", "content": object{"parts": array{object{"text": say()}, object{"functionCall": object{"name": "read", "args": arguments}}}},
		}}}
	}
}

// stream is an answer that does, and its usage as an event of its own, if there
// is one.
func (w *writer) stream(api string, say func() string) (body []byte, usage string) {
	w.inLines = true
	eol := []string{"\n", "\r\n", "\r"}[w.IntN(3)]
	var b bytes.Buffer
	calling := false // comments then overtake the call, which waits for a verdict
	emit := func(v object) string {
		for range w.IntN(2) * w.IntN(3) {
			if !calling {
				b.WriteString(": " + w.wordsInLine() + eol + eol)
			}
		}
		e := w.event(v, eol, api == "messages" || api == "responses")
		b.WriteString(e)
		return e
	}
	texts := 1 + w.IntN(12)
	switch api {
	case "messages":
		emit(object{"type": "message_start", "message": object{"id": "msg_1", "model": "a-model", "usage": object{"input_tokens": 3, "output_tokens": 1}}})
		emit(object{"type": "content_block_start", "index": 0, "content_block": object{"type": "text", "text": ""}})
		for range texts {
			emit(object{"type": "content_block_delta", "index": 0, "delta": object{"type": "text_delta", "text": say()}})
		}
		emit(object{"type": "content_block_stop", "index": 0})
		calling = true
		emit(object{"type": "content_block_start", "index": 1, "content_block": object{"type": "tool_use", "id": "toolu_1", "name": "read", "input": object{}}})
		emit(object{"type": "content_block_delta", "index": 1, "delta": object{"type": "input_json_delta", "partial_json": `{"path":`}})
		emit(object{"type": "content_block_delta", "index": 1, "delta": object{"type": "input_json_delta", "partial_json": `"/a"}`}})
		emit(object{"type": "content_block_stop", "index": 1})
		emit(object{"type": "message_delta", "delta": object{"stop_reason": "tool_use"}, "usage": object{"output_tokens": 9}})
		emit(object{"type": "message_stop"})
	case "chat":
		chunk := func(members object, choices ...any) object {
			members["id"], members["model"], members["choices"] = "c", "a-model", array(choices)
			return members
		}
		for range texts {
			emit(chunk(object{"usage": nil}, object{"index": 0, "delta": object{"content": say()}}))
		}
		calling = true
		emit(chunk(object{}, object{"index": 0, "delta": object{"tool_calls": array{object{"index": 0, "id": "call_1", "function": object{"name": "read", "arguments": `{"path":`}}}}}))
		emit(chunk(object{}, object{"index": 0, "delta": object{"tool_calls": array{object{"index": 0, "function": object{"arguments": `"/a"}`}}}}}))
		emit(chunk(object{}, object{"index": 0, "delta": object{}, "finish_reason": "tool_calls"}))
		if w.IntN(4) > 0 {
			usage = emit(chunk(object{"usage": object{"prompt_tokens": 3, "completion_tokens": 4}}))
		}
		b.WriteString("data: [DONE]" + eol + eol)
	case "responses":
		emit(object{"type": "response.created", "response": object{"id": "resp_1", "model": "a-model", "output": array{}}})
		for range texts {
			emit(object{"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": say()})
		}
		calling = true
		call := object{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read", "arguments": `{"path":"/a"}`}
		emit(object{"type": "response.output_item.added", "output_index": 1, "item": object{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read", "arguments": ""}})
		emit(object{"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc_1", "delta": `{"path":"/a"}`})
		emit(object{"type": "response.function_call_arguments.done", "output_index": 1, "item_id": "fc_1", "arguments": `{"path":"/a"}`})
		emit(object{"type": "response.output_item.done", "output_index": 1, "item": call})
		emit(object{"type": "response.completed", "response": object{"id": "resp_1", "status": "completed", "output": array{call}, "usage": object{"input_tokens": 3, "output_tokens": 4}}})
	case "gemini":
		for range texts {
			emit(w.whole(api, say))
		}
	}
	return b.Bytes(), usage
}

// event is one server-sent event, with its type as its name if named.
func (w *writer) event(v object, eol string, named bool) string {
	space := []string{"", " "}[w.IntN(2)]
	// White space within JSON may be a line's end; then the data has several.
	data := "data:" + space + strings.ReplaceAll(w.json(v), "\n", eol+"data:"+space) + eol
	lines := []string{data}
	if named && w.IntN(4) > 0 {
		lines = append(lines, "event:"+space+fmt.Sprint(v["type"])+eol)
	}
	if w.IntN(6) == 0 {
		lines = append(lines, ": "+w.wordsInLine()+eol, "id: 7"+eol, "x: y"+eol)
	}
	w.Shuffle(len(lines), reflect.Swapper(lines))
	return strings.Join(lines, "") + eol
}

// wordsInLine are words without a line's end.
func (w *writer) wordsInLine() string {
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(w.words(4))
}
