package sdktest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// text is a value's JSON.
func text(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err) // plain values
	}
	return string(b)
}

// script is an API's stream in which the model says something and then makes a call.
type script struct {
	before []string // events
	pieces []string // the call's start, and an event for each piece of its arguments
	after  []string
}

// scripts write the call with its arguments in these pieces.
var scripts = map[string]func(pieces ...string) script{
	"messages": func(pieces ...string) script {
		e := func(kind, data string, args ...any) string {
			return fmt.Sprintf("event: %s\ndata: {\"type\":%q,%s}\n\n", kind, kind, fmt.Sprintf(data, args...))
		}
		s := script{before: []string{
			e("message_start", `"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"usage":{"input_tokens":9,"output_tokens":1}}`),
			e("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`),
			e("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"I do it."}`),
			e("content_block_stop", `"index":0`),
		}}
		s.pieces = append(s.pieces, e("content_block_start", `"index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"exec","input":{}}`))
		for _, p := range pieces {
			s.pieces = append(s.pieces, e("content_block_delta", `"index":1,"delta":{"type":"input_json_delta","partial_json":%s}`, text(p)))
		}
		s.after = []string{
			e("content_block_stop", `"index":1`),
			e("message_delta", `"delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":20}`),
			e("message_stop", `"x":0`),
		}
		return s
	},
	"chat": func(pieces ...string) script {
		e := func(delta, finish string) string {
			return fmt.Sprintf("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5.2\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}]}\n\n", delta, finish)
		}
		s := script{before: []string{e(`{"role":"assistant","content":"I do it."}`, "null")}}
		s.pieces = append(s.pieces, e(`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"exec","arguments":""}}]}`, "null"))
		for _, p := range pieces {
			s.pieces = append(s.pieces, e(`{"tool_calls":[{"index":0,"function":{"arguments":`+text(p)+`}}]}`, "null"))
		}
		s.after = []string{e("{}", `"tool_calls"`), "data: [DONE]\n\n"}
		return s
	},
	"responses": func(pieces ...string) script {
		n := -1
		e := func(kind, data string, args ...any) string {
			n++
			return fmt.Sprintf("event: %s\ndata: {\"type\":%q,\"sequence_number\":%d,%s}\n\n", kind, kind, n, fmt.Sprintf(data, args...))
		}
		item := func(arguments, status string) string {
			return fmt.Sprintf(`{"type":"function_call","id":"fc_1","call_id":"call_1","name":"exec","arguments":%s,"status":%q}`, text(arguments), status)
		}
		s := script{before: []string{
			e("response.created", `"response":{"id":"resp_1","object":"response","model":"gpt-5.2","status":"in_progress","output":[]}`),
		}}
		s.pieces = append(s.pieces, e("response.output_item.added", `"output_index":0,"item":%s`, item("", "in_progress")))
		for _, p := range pieces {
			s.pieces = append(s.pieces, e("response.function_call_arguments.delta", `"item_id":"fc_1","output_index":0,"delta":%s`, text(p)))
		}
		whole := strings.Join(pieces, "")
		s.after = []string{
			e("response.function_call_arguments.done", `"item_id":"fc_1","output_index":0,"arguments":%s`, text(whole)),
			e("response.output_item.done", `"output_index":0,"item":%s`, item(whole, "completed")),
			e("response.completed", `"response":{"id":"resp_1","object":"response","model":"gpt-5.2","status":"completed","output":[%s],"usage":{"input_tokens":9,"output_tokens":20,"total_tokens":29}}`, item(whole, "completed")),
		}
		return s
	},
	"gemini": func(pieces ...string) script {
		e := func(part, more string) string {
			return fmt.Sprintf("data: {\"candidates\":[{\"content\":{\"parts\":[%s],\"role\":\"model\"},\"index\":0%s}],\"modelVersion\":\"gemini-3.1-pro-preview\",\"responseId\":\"g1\"}\r\n\r\n", part, more)
		}
		return script{
			before: []string{e(`{"text":"I do it."}`, "")},
			pieces: []string{e(`{"functionCall":{"name":"exec","args":`+strings.TrimSpace(strings.Join(pieces, ""))+`}}`, "")},
			after:  []string{e(`{"text":""}`, `,"finishReason":"STOP"`)},
		}
	},
}

// send sends it.
func (s script) send(w http.ResponseWriter, _ *http.Request) {
	out := stream{w}
	out.send(s.before...)
	out.send(s.pieces...)
	out.send(s.after...)
}

// stream is an answer of events.
type stream struct{ http.ResponseWriter }

// send sends events, with a flush behind each.
func (s stream) send(events ...string) {
	s.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		if _, err := io.WriteString(s, e); err != nil {
			return
		}
		_ = http.NewResponseController(s.ResponseWriter).Flush()
	}
}

// player is a provider that answers every request as it was told last.
type player struct {
	answer atomic.Pointer[http.HandlerFunc]
}

func (p *player) plays(answer http.HandlerFunc) { p.answer.Store(&answer) }

// ServeHTTP implements [http.Handler].
func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*p.answer.Load())(w, r) }

// gate is a guard that says yes or no to calls, and yes to everything else.
type gate struct {
	url   string
	asked atomic.Bool // about a call
}

func newGate(t *testing.T, yes bool) *gate {
	t.Helper()
	g := &gate{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var question struct{ Messages []string }
		score := 0
		if json.NewDecoder(r.Body).Decode(&question) == nil && len(question.Messages) == 1 && strings.HasPrefix(question.Messages[0], "exec") {
			g.asked.Store(true)
			if !yes {
				score = 1
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"score":%d,"reason":"as it was told"}`, score)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// TestHeldCalls: no client can act on a call that was not judged, whether it waits for
// its end or tries to parse what there is; and a call that may pass is whole.
func TestHeldCalls(t *testing.T) {
	cuts := map[string]func(whole string) []string{
		"in pieces":          func(whole string) []string { return []string{whole[:6], whole[6:12], whole[12:15], whole[15:]} },
		"in one piece":       func(whole string) []string { return []string{whole} },
		"letter by letter":   func(whole string) []string { return strings.Split(whole, "") },
		"white space behind": func(whole string) []string { return []string{whole, " ", "\n"} },
	}
	n := 0
	for _, yes := range []bool{true, false} {
		g, p := newGate(t, yes), &player{}
		r := newRig(t, p, "GUARD_ENABLED=true", "GUARD_URL="+g.url, "GUARD_TIMEOUT=30s")
		for api, write := range scripts {
			for cut, pieces := range cuts {
				t.Run(fmt.Sprintf("%s %s %v", api, cut, yes), func(t *testing.T) {
					n++ // the guard is not asked again about a call that it has let pass
					call := fmt.Sprintf(`{"command":"ls -l %d"}`, n)
					p.plays(write(pieces(call)...).send)
					g.asked.Store(false)
					c := clients[api](t.Context(), r)
					for ok := true; ok; {
						ok, _ = c.next()
						if whole := c.done() || json.Valid([]byte(c.arguments())); whole && (!yes || !g.asked.Load()) {
							t.Fatalf("the client has a whole call that was not let pass: %s", c.arguments())
						}
					}
					switch arguments := strings.TrimSpace(c.arguments()); {
					case !g.asked.Load():
						t.Error("nobody has judged the call")
					case yes && (c.err() != nil || !c.done() || arguments != call):
						t.Errorf("a call that may pass ends with %v: %s", c.err(), arguments)
					case !yes && (c.err() == nil || !strings.Contains(c.err().Error(), "proxy")):
						t.Errorf("a call that may not pass ends with %v", c.err())
					}
				})
			}
		}
	}
}

// progress counts the events about the call that a client has got.
type progress struct {
	count   atomic.Int64
	changed chan struct{}
}

func newProgress() *progress { return &progress{changed: make(chan struct{}, 1)} }

func (p *progress) add() {
	p.count.Add(1)
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// reaches waits for n events.
func (p *progress) reaches(ctx context.Context, n int64) error {
	for p.count.Load() < n {
		select {
		case <-p.changed:
		case <-ctx.Done():
			return fmt.Errorf("%d events of the call have come, want %d", p.count.Load(), n)
		}
	}
	return nil
}

// paced sends a script: each piece of the call after the client has got the one before,
// but for the last, without which the call is not whole.
func (s script) paced(ctx context.Context, got *progress) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		out := stream{w}
		out.send(s.before...)
		for i, e := range s.pieces {
			out.send(e)
			if i == len(s.pieces)-1 {
				break
			}
			if err := got.reaches(ctx, int64(i+1)); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		out.send(s.after...)
	}
}

// TestHeldCallIsNoSilence: each piece of a call reaches the client as it comes. Gemini's
// calls have one piece.
func TestHeldCallIsNoSilence(t *testing.T) {
	pieces := []string{`{"command":"`, "echo ", "a ", "word ", "or ", "two", `"}`}
	p := &player{}
	r := newRig(t, p)
	for _, api := range []string{"messages", "chat", "responses"} {
		t.Run(api, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got := newProgress()
			p.plays(scripts[api](pieces...).paced(ctx, got))
			c := clients[api](ctx, r)
			for ok, ofCall := c.next(); ok; ok, ofCall = c.next() {
				if ofCall {
					got.add()
				}
			}
			if c.err() != nil || c.arguments() != strings.Join(pieces, "") {
				t.Errorf("%d pieces have come, then %v", got.count.Load(), c.err())
			}
		})
	}
}

// TestLargeCalls: a MiB of arguments passes, streamed and in a body.
func TestLargeCalls(t *testing.T) {
	const words = 1 << 15
	long := strings.Repeat("a word is what this is, and more", words) // 32 bytes each
	pieces := []string{`{"command":"`}
	for rest := long; rest != ""; rest = rest[64:] {
		pieces = append(pieces, rest[:64])
	}
	pieces = append(pieces, `"}`)
	arguments := strings.Join(pieces, "")
	p := &player{}
	streamed := newRig(t, p)
	for api, write := range scripts {
		t.Run(api+", streamed", func(t *testing.T) {
			p.plays(write(pieces...).send)
			c := clients[api](t.Context(), streamed)
			for ok := true; ok; {
				ok, _ = c.next()
			}
			if c.err() != nil || c.arguments() != arguments {
				t.Errorf("%d bytes of arguments, then %v", len(c.arguments()), c.err())
			}
		})
	}
	r := newRig(t, newRoutes(map[string]any{
		"POST /v1/messages":         `{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"tool_use","id":"t1","name":"exec","input":` + arguments + `}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}`,
		"POST /v1/chat/completions": `{"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"exec","arguments":` + text(arguments) + `}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
		"POST /v1/responses":        `{"id":"r1","object":"response","model":"m","status":"completed","output":[{"type":"function_call","id":"f1","call_id":"t1","name":"exec","arguments":` + text(arguments) + `,"status":"completed"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}`,
		"POST /v1beta/models/gemini-3.1-pro-preview:generateContent": `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"exec","args":` + arguments + `}}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}`,
	}))
	message, err := r.anthropic().Messages.New(t.Context(), ask("hello"))
	if err != nil || string(message.Content[0].Input) != arguments {
		t.Errorf("messages: %v", err)
	}
	o := r.openai()
	completion, err := o.Chat.Completions.New(t.Context(), chat("hello"))
	if err != nil || completion.Choices[0].Message.ToolCalls[0].Function.Arguments != arguments {
		t.Errorf("chat: %v", err)
	}
	response, err := o.Responses.New(t.Context(), respond("hello"))
	if err != nil || response.Output[0].AsFunctionCall().Arguments != arguments {
		t.Errorf("responses: %v", err)
	}
	c, seen := r.gemini()
	content, err := c.Models.GenerateContent(t.Context(), geminiModel, nil, geminiTools)
	if err != nil || content.FunctionCalls()[0].Args["command"] != long {
		t.Errorf("gemini: %v", err)
	}
	if record := r.record(seen.header); record.Decision != proto.DecisionAllowed {
		t.Errorf("record %+v", record)
	}
}
