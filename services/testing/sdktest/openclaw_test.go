package sdktest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/testing/llmreplay/said"
)

// openclaw reads a stream as OpenClaw's reader does. It ends the answer of a model in the
// cloud in which for 120 s nothing comes that it takes for progress: in Messages one of
// the six events of a message, not a ping; in Chat Completions a chunk with usage, or
// whose first choice has a reason to finish or something in its delta besides the role;
// in Responses and Gemini's API any event. Comments are none.
//
// Sources: openclaw/openclaw, packages/ai/src: where notifyLlmRequestActivity is called,
// as in providers/google-stream.ts; providers/anthropic.ts (iterateAnthropicEvents);
// transports/openai-completions-chunk-progress.ts.
type openclaw struct {
	api    said.API
	body   *bufio.Scanner
	text   []byte // all that has come
	header http.Header
	failed error
}

// newOpenclaw asks for a stream at a path of the proxy.
func newOpenclaw(ctx context.Context, r *rig, path string) (*openclaw, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, strings.NewReader(
		`{"model":"claude-sonnet-4-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hello"}],"input":"hello"}`))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = response.Body.Close() })
	body := bufio.NewScanner(response.Body)
	body.Buffer(nil, 1<<20)
	return &openclaw{api: said.APIOf(path), body: body, header: response.Header}, nil
}

// next reads an event and reports whether it is progress.
func (o *openclaw) next() (ok, progress bool) {
	begin := len(o.text)
	for o.body.Scan() {
		o.text = append(append(o.text, o.body.Bytes()...), '\n')
		if len(o.body.Bytes()) > 0 {
			continue
		}
		for _, e := range said.Events(o.text[begin:]) {
			if isError(e) {
				o.failed = errors.New(string(e.Data))
				return false, false
			}
			return true, progresses(o.api, e)
		}
	}
	o.failed = o.body.Err()
	return false, false
}

// calls are those that OpenClaw runs: none of an answer that has failed.
func (o *openclaw) calls() []said.Call {
	if o.failed != nil {
		return nil
	}
	return said.Listen(o.api, o.header, o.text).Calls
}

func isError(e said.Event) bool {
	var v struct{ Error json.RawMessage }
	return e.Name == "error" || json.Unmarshal(e.Data, &v) == nil && len(v.Error) > 0 && string(v.Error) != "null"
}

// progresses reports whether OpenClaw goes on to wait after an event.
func progresses(api said.API, e said.Event) bool {
	if len(e.Data) == 0 || string(e.Data) == "[DONE]" {
		return false
	}
	switch api {
	case said.Messages:
		switch e.Name {
		case "message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta", "content_block_stop":
			return true
		}
		return false
	case said.Chat:
		return chunkProgresses(e.Data)
	default:
		return true
	}
}

func chunkProgresses(data []byte) bool {
	var chunk struct {
		Usage   json.RawMessage
		Choices []struct {
			Finish string `json:"finish_reason"`
			Usage  json.RawMessage
			Delta  map[string]json.RawMessage
		}
	}
	if json.Unmarshal(data, &chunk) != nil {
		return false
	}
	there := func(v json.RawMessage) bool {
		switch string(bytes.TrimSpace(v)) {
		case "", "null", `""`, "[]", "{}":
			return false
		}
		return true
	}
	if there(chunk.Usage) || len(chunk.Choices) > 0 && (chunk.Choices[0].Finish != "" || there(chunk.Choices[0].Usage)) {
		return true
	}
	if len(chunk.Choices) == 0 {
		return false
	}
	for name, value := range chunk.Choices[0].Delta {
		if name != "role" && there(value) {
			return true
		}
	}
	return false
}

// TestProgresses holds what OpenClaw's own tests say of its reader.
func TestProgresses(t *testing.T) {
	for _, c := range []struct {
		api    said.API
		stream string
		want   bool
	}{
		{said.Messages, "event: ping\ndata: {\"type\":\"ping\"}\n\n", false},
		{said.Messages, ": a comment\n\n", false},
		{said.Messages, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n", true},
		{said.Chat, "data: {\"choices\":[]}\n\n", false},
		{said.Chat, "data: {\"choices\":[{\"delta\":{}}]}\n\n", false},
		{said.Chat, "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n", false},
		{said.Chat, "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n", true},
		{said.Chat, "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n", true},
		{said.Chat, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n", true},
		{said.Chat, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", true},
		{said.Chat, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n", true},
		{said.Chat, "data: {\"choices\":[{\"index\":1,\"delta\":{}},{\"delta\":{\"content\":\"Hi\"}}]}\n\n", false},
		{said.Responses, "event: response.in_progress\ndata: {\"type\":\"response.in_progress\"}\n\n", true},
		{said.Gemini, "data: {\"candidates\":[]}\n\n", true},
		{said.Gemini, ": a comment\n\n", false},
	} {
		for _, e := range said.Events([]byte(c.stream)) {
			if got := progresses(c.api, e); got != c.want {
				t.Errorf("%s: %q is progress: %v", c.api, c.stream, got)
			}
		}
	}
}

// TestOpenClawDoesNotGiveUp: of each piece of a call OpenClaw gets something that it
// takes for progress, before the next piece comes, so that a call which takes a model
// minutes to write is no silence; and it runs the call once that was let pass.
func TestOpenClawDoesNotGiveUp(t *testing.T) {
	pieces := []string{`{"command":"`, "echo ", "a ", "word ", "or ", "two", `"}`}
	for _, yes := range []bool{true, false} {
		g, p := newGate(t, yes), &player{}
		r := newRig(t, p, "GUARD_ENABLED=true", "GUARD_URL="+g.url, "GUARD_TIMEOUT=30s")
		for api, path := range map[string]string{"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"} {
			t.Run(fmt.Sprintf("%s %v", api, yes), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				s, got := scripts[api](pieces...), newProgress()
				// What comes before the call counts, too.
				s.pieces, s.before = append(s.before, s.pieces...), nil
				p.plays(s.paced(ctx, got))
				o, err := newOpenclaw(ctx, r, path)
				if err != nil {
					t.Fatal(err)
				}
				for ok, progress := o.next(); ok; ok, progress = o.next() {
					if progress {
						got.add()
					}
				}
				calls := o.calls()
				switch {
				case got.count.Load() < int64(len(s.pieces)-1):
					t.Errorf("progress %d times in %d pieces: %v", got.count.Load(), len(s.pieces), o.failed)
				case yes && (o.failed != nil || len(calls) != 1 || !calls[0].Done || calls[0].Arguments != strings.Join(pieces, "")):
					t.Errorf("a call that may pass ends with %v: %+v", o.failed, calls)
				case !yes && (o.failed == nil || len(calls) > 0):
					t.Errorf("a call that may not pass ends with %v: %+v", o.failed, calls)
				}
			})
		}
	}
}
