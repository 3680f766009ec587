package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/openclaw-security/bus/services/testing/llmtest"
)

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
