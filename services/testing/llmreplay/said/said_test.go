package said

import (
	"net/http"
	"reflect"
	"testing"
)

func TestEvents(t *testing.T) {
	for _, stream := range []string{"", "\n", "data: 1", "data: 1\n\ndata: 2\n\n", ": c\r\n\r\nevent: ping\rdata:x\r\r", "data: a\ndata: b\n\n\n"} {
		var whole string
		for _, e := range Events([]byte(stream)) {
			whole += string(e.Raw)
		}
		if whole != stream {
			t.Errorf("the events of %q are %q", stream, whole)
		}
	}
	e := Events([]byte("event: a\r\ndata: 1\r\ndata: 2\r\n\r\n: c\n\n"))
	if len(e) != 2 || e[0].Name != "a" || string(e[0].Data) != "1\n2" || e[0].Aside() || !e[1].Aside() {
		t.Errorf("events: %+v", e)
	}
}

// TestListen reads an answer of each API, streamed and not.
func TestListen(t *testing.T) {
	call := func(key, id, name, arguments string) []Call {
		return []Call{{Name: name, ID: id, Arguments: arguments, Done: true, key: key}}
	}
	for name, c := range map[string]struct {
		path, body string
		stream     bool
		want       Answer
	}{
		"messages": {
			path: "/v1/messages?beta=true",
			body: `{"type":"message","id":"m1","model":"m","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t1","name":"read","input":{"a":1}}],"stop_reason":"tool_use",` +
				`"usage":{"input_tokens":1,"cache_creation_input_tokens":2,"cache_read_input_tokens":4,"output_tokens":8}}`,
			want: Answer{Model: "m", ID: "m1", Finish: []string{"tool_use"}, Calls: call("1", "t1", "read", `{"a":1}`), Usage: &Tokens{Input: 7, Output: 8, CacheRead: 4, CacheCreation: 2}},
		},
		"messages, iterations": {
			path: "/v1/messages",
			body: `{"type":"message","id":"m1","model":"m","stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1,"iterations":[{"input_tokens":10,"output_tokens":2},{"input_tokens":1,"output_tokens":1,"cache_read_input_tokens":5}]}}`,
			want: Answer{Model: "m", ID: "m1", Finish: []string{"end_turn"}, Usage: &Tokens{Input: 16, Output: 3, CacheRead: 5}},
		},
		"messages, streamed": {
			path: "/v1/messages", stream: true,
			body: "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n" +
				"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"read\",\"input\":{}}}\n\n" +
				"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}}\n\n" +
				"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}}\n\n" +
				"data: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
				"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n",
			want: Answer{Model: "m", ID: "m1", Finish: []string{"tool_use"}, Calls: call("0", "t1", "read", `{"a":1}`), Usage: &Tokens{Input: 7, Output: 9, CacheRead: 4}},
		},
		"chat": {
			path: "/v1/chat/completions",
			body: `{"id":"c1","model":"m","choices":[{"index":0,"message":{"tool_calls":[{"id":"t1","function":{"name":"read","arguments":"{}"}}]},"finish_reason":"tool_calls"}],` +
				`"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":12,"completion_tokens_details":{"reasoning_tokens":5},"prompt_tokens_details":[]}}`,
			want: Answer{Model: "m", ID: "c1", Finish: []string{"tool_calls"}, Calls: call("0 0", "t1", "read", "{}"), Usage: &Tokens{Input: 3, Output: 9, Reasoning: 5}},
		},
		"chat, streamed": {
			path: "/v1/chat/completions", stream: true,
			body: "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"function\":{\"name\":\"read\",\"arguments\":\"{\"}}]}}]}\n\n" +
				"data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]},\"finish_reason\":\"tool_calls\",\"usage\":{\"prompt_tokens\":3.0,\"completion_tokens\":4,\"cached_tokens\":2}}]}\n\ndata: [DONE]\n\n",
			want: Answer{Model: "m", ID: "c1", Finish: []string{"tool_calls"}, Calls: call("0 0", "t1", "read", "{}"), Usage: &Tokens{Input: 3, Output: 4, CacheRead: 2}},
		},
		"responses": {
			path: "/v1/responses",
			body: `{"object":"response","id":"r1","model":"m","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"reasoning"},{"type":"function_call","id":"f1","call_id":"t1","name":"read","arguments":"{}"}],` +
				`"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":2,"cache_write_tokens":3},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":6}}}`,
			want: Answer{Model: "m", ID: "r1", Finish: []string{"max_output_tokens"}, Calls: call("1", "t1", "read", "{}"), Usage: &Tokens{Input: 9, Output: 7, CacheRead: 2, CacheCreation: 3, Reasoning: 6}},
		},
		"responses, streamed": {
			path: "/v1/responses", stream: true,
			body: "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"id\":\"f1\",\"call_id\":\"t1\",\"name\":\"read\",\"arguments\":\"\"}}\n\n" +
				"data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":\"{}\"}\n\n" +
				"data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"id\":\"f1\",\"call_id\":\"t1\",\"name\":\"read\",\"arguments\":\"{}\"}}\n\n" +
				"data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"model\":\"m\",\"status\":\"completed\",\"output\":[{\"type\":\"function_call\",\"id\":\"f2\",\"call_id\":\"t2\",\"name\":\"read\",\"arguments\":\"{}\"}],\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n",
			want: Answer{Model: "m", ID: "r1", Finish: []string{"completed"}, Calls: call("0", "t1", "read", "{}"), Usage: &Tokens{Input: 1, Output: 2}},
		},
		"gemini, an array": {
			path: "/v1beta/models/m:streamGenerateContent",
			body: `[{"responseId":"g1","modelVersion":"m","candidates":[{"content":{"parts":[{"functionCall":{"id":"t1","name":"read","args":{}}}]}}]},{"candidates":[{"finishReason":"STOP"}],` +
				`"usageMetadata":{"promptTokenCount":2,"toolUsePromptTokenCount":3,"candidatesTokenCount":4,"thoughtsTokenCount":5,"cachedContentTokenCount":1}}]`,
			want: Answer{Model: "m", ID: "g1", Finish: []string{"STOP"}, Calls: call("0", "t1", "read", "{}"), Usage: &Tokens{Input: 5, Output: 9, CacheRead: 1, Reasoning: 5}},
		},
		"an error":     {path: "/v1beta/models/m:generateContent", body: `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}`, want: Answer{ErrorType: "RESOURCE_EXHAUSTED"}},
		"embeddings":   {path: "/v1/embeddings", body: `{"model":"e","usage":{"prompt_tokens":3}}`, want: Answer{Model: "e", Usage: &Tokens{Input: 3}}},
		"no JSON":      {path: "/v1/messages", body: `<html>`},
		"another path": {path: "/v1/files", body: `{"id":"f1","model":"m"}`},
	} {
		h := http.Header{}
		if c.stream {
			h.Set("Content-Type", "text/event-stream")
		}
		got := *Listen(APIOf(c.path), h, []byte(c.body))
		got.finished = nil
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%+v %+v, want\n%+v %+v", name, got, got.Usage, c.want, c.want.Usage)
		}
	}
}

func TestWhole(t *testing.T) {
	for arguments, want := range map[string]bool{"": false, `{"a"`: false, `{"a":1}`: true} {
		if got := (Call{Arguments: arguments}).Whole(); got != want {
			t.Errorf("a call with %s is whole: %v", arguments, got)
		}
	}
	if !(Call{Done: true}).Whole() {
		t.Error("a call that is done is not whole")
	}
}
