package answer_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// stream is events with the given data and no name.
func stream(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		b.WriteString("data: " + d + "\n\n")
	}
	return b.String()
}

// calling is a chunk of Chat Completions with the given tool_calls.
func calling(calls string) string {
	return `{"choices":[{"index":0,"delta":{"tool_calls":[` + calls + `]}}]}`
}

const (
	callStart = `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"exec","input":{}}}`
	callDelta = `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}`
	callStop  = `{"type":"content_block_stop","index":0}`
	itemAdded = `{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"exec","arguments":""}}`
	itemDelta = `{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{}"}`
	itemDone  = `{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c","name":"exec","arguments":"{}"}}`
	finished  = `{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`
)

// Everything that a client might act on is judged, in every form that a server
// gives it.
func TestJudgesWhatAClientActsOn(t *testing.T) {
	tests := []struct {
		name string
		api  llmapi.API
		body string
		want []string
	}{
		{
			"messages: input in the start and in fragments", llmapi.Messages,
			stream(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"exec","input":{"a":1}}}`, callDelta, callStop),
			[]string{`exec/t {"a":1}`, `exec/t {}`},
		},
		{
			"messages: a block that never stops", llmapi.Messages,
			stream(callStart, callDelta, `{"type":"message_stop"}`),
			[]string{`exec/t {}`},
		},
		{
			"messages: blocks by turns", llmapi.Messages,
			stream(callStart,
				`{"type":"content_block_start","index":1,"content_block":{"type":"mcp_tool_use","id":"m","name":"find","input":{}}}`,
				`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":"}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}`,
				`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"2}"}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":":1}"}}`,
				`{"type":"content_block_stop","index":1}`, callStop),
			[]string{`!find/m {"q":2}`, `exec/t {"a":1}`},
		},
		{
			"messages: content in message_start", llmapi.Messages,
			stream(`{"type":"message_start","message":{"content":[{"type":"tool_use","id":"t","name":"exec","input":{"a":1}}]}}`),
			[]string{`exec/t {"a":1}`},
		},
		{
			"messages: the type in the event's name only", llmapi.Messages,
			"event: content_block_start\n" + stream(strings.Replace(callStart, `"type":"content_block_start",`, "", 1), callStop),
			[]string{`exec/t`},
		},
		{
			"messages: names in another case", llmapi.Messages,
			stream(`{"Type":"content_block_start","index":0,"contentBlock":{"type":"tool_use","id":"t","NAME":"exec"}}`, callStop),
			[]string{`exec/t`},
		},
		{
			"messages: JSON labeled as a stream", llmapi.Messages,
			` {"content":[{"type":"tool_use","id":"t","name":"exec","input":{"a":1}}]}`,
			[]string{`exec/t {"a":1}`},
		},
		{
			"messages: a byte order mark and no blank line at the end", llmapi.Messages,
			"\ufeffdata: " + callStart + "\n\ndata:" + callStop,
			[]string{`exec/t`},
		},
		{
			"messages: data over several lines, ended by CR", llmapi.Messages,
			"data: {\"type\":\"content_block_start\",\r" + "data: \"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"exec\"}}\r\r" + stream(callStop),
			[]string{`exec/t`},
		},
		{
			"chat: whole calls with ids under one index", llmapi.ChatCompletions,
			stream(
				calling(`{"index":0,"id":"a","function":{"name":"exec","arguments":"{\"a\":1}"}}`),
				calling(`{"index":0,"id":"b","function":{"name":"exec","arguments":"{\"a\":2}"}}`),
				finished),
			[]string{`exec/a {"a":1}`, `exec/b {"a":2}`},
		},
		{
			"chat: no index, no id", llmapi.ChatCompletions,
			stream(calling(`{"function":{"name":"exec","arguments":{"a":1}}},{"function":{"name":"exec","arguments":"{}"}}`), `[DONE]`),
			[]string{`exec/ {"a":1}`, `exec/ {}`},
		},
		{
			"chat: id and name in every fragment", llmapi.ChatCompletions,
			stream(
				calling(`{"index":0,"id":"a","function":{"name":"exec","arguments":"{\"a\""}}`),
				calling(`{"index":0,"id":"a","function":{"name":"exec","arguments":":1}"}}`),
				finished),
			[]string{`exec/a {"a":1}`},
		},
		{
			"chat: no index, id and name in the first fragment", llmapi.ChatCompletions,
			stream(
				calling(`{"id":"a","function":{"name":"exec","arguments":"{\"a\""}}`),
				calling(`{"function":{"arguments":":1}"}}`)),
			[]string{`exec/a {"a":1}`},
		},
		{
			"chat: every choice", llmapi.ChatCompletions,
			stream(
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"exec","arguments":"{}"}}]}},{"index":1,"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"read","arguments":"{}"}}]}}]}`,
				finished),
			[]string{`exec/a {}`, `read/b {}`},
		},
		{
			"chat: function_call", llmapi.ChatCompletions,
			stream(`{"choices":[{"delta":{"function_call":{"name":"exec","arguments":"{\"a\""}}}]}`, `{"choices":[{"delta":{"function_call":{"arguments":":1}"}}}]}`),
			[]string{`exec/ {"a":1}`},
		},
		{
			"chat: a message at the end of the stream", llmapi.ChatCompletions,
			stream(`{"choices":[{"index":0,"message":{"tool_calls":[{"id":"a","function":{"name":"exec","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`),
			[]string{`exec/a {}`},
		},
		{
			"chat: whole calls after a reason to finish", llmapi.ChatCompletions,
			stream(
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"exec","arguments":"{}"}}]},"finish_reason":"stop"}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"exec","arguments":"{}"}}]},"finish_reason":"stop"}]}`),
			[]string{`exec/a {}`, `exec/b {}`},
		},
		{
			"chat: the same without ids", llmapi.ChatCompletions,
			stream(calling(`{"index":0,"function":{"name":"exec","arguments":"{}"}}`), finished, calling(`{"index":0,"function":{"name":"exec","arguments":"{}"}}`)),
			[]string{`exec/ {}`, `exec/ {}`},
		},
		{
			"chat: a body after a byte order mark", llmapi.ChatCompletions,
			"\ufeff\n{\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"exec\"}}]}}]}",
			[]string{`exec/a`},
		},
		{
			"chat: a body after much white space", llmapi.ChatCompletions,
			strings.Repeat(" \n", 5_000) + `{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"exec"}}]}}]}`,
			[]string{`exec/a`},
		},
		{
			"chat: a stream labeled as JSON", llmapi.ChatCompletions,
			"\n" + stream(calling(`{"index":0,"id":"a","function":{"name":"exec","arguments":"{}"}}`)),
			[]string{`exec/a {}`},
		},
		{
			"responses: versions that differ", llmapi.Responses,
			stream(itemAdded, itemDelta,
				`{"type":"response.function_call_arguments.done","output_index":0,"arguments":"{\"a\":1}"}`,
				`{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c","name":"exec","arguments":"{\"a\":2}"}}`,
				`{"type":"response.completed","response":{"status":"completed","output":[{"type":"function_call","call_id":"c","name":"exec","arguments":"{\"a\":3}"}]}}`),
			[]string{`exec/c {}`, `exec/c {"a":1}`, `exec/c {"a":2}`, `exec/c {"a":3}`},
		},
		{
			"responses: arguments that begin in the item", llmapi.Responses,
			stream(`{"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","call_id":"c","name":"sh","input":"ls "}}`,
				`{"type":"response.custom_tool_call_input.delta","output_index":0,"delta":"-a"}`,
				`{"type":"response.custom_tool_call_input.done","output_index":0,"input":"-a"}`),
			[]string{`sh/c -a`, `sh/c ls -a`},
		},
		{
			"responses: a call that is only done", llmapi.Responses,
			stream(itemDone),
			[]string{`exec/c {}`},
		},
		{
			"responses: a call in the last event only", llmapi.Responses,
			stream(`{"type":"response.incomplete","response":{"status":"incomplete","output":[{"type":"computer_call","call_id":"c","action":{"type":"click"}}]}}`),
			[]string{`computer_call/c {"type":"computer_call","call_id":"c","action":{"type":"click"}}`},
		},
		{
			"responses: calls by turns", llmapi.Responses,
			stream(itemAdded,
				`{"type":"response.output_item.added","output_index":1,"item":{"type":"mcp_call","id":"m","name":"find","arguments":""}}`,
				`{"type":"response.mcp_call_arguments.delta","output_index":1,"delta":"{\"q\":1}"}`,
				itemDelta, itemDone,
				`{"type":"response.output_item.done","output_index":1,"item":{"type":"mcp_call","id":"m","name":"find","arguments":"{\"q\":1}"}}`),
			[]string{`!find/m {"q":1}`, `exec/c {}`},
		},
		{
			"responses: an image, and an output", llmapi.Responses,
			stream(`{"type":"response.output_item.added","output_index":0,"item":{"type":"image_generation_call","id":"i"}}`,
				`{"type":"response.output_item.done","output_index":0,"item":{"type":"image_generation_call","id":"i","revised_prompt":"A cat.","result":"iVBORw0KGgo"}}`,
				`{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call_output","output":"{}"}}`),
			[]string{`!image_generation_call/i A cat.`},
		},
		{
			"responses: what a search has found", llmapi.Responses,
			`{"status":"completed","output":[{"type":"web_search_call","id":"w","action":{"type":"search","query":"go","sources":[{"url":"https://go.dev"}]}},{"type":"file_search_call","id":"f","queries":["go"],"results":[{"text":"Go"}]}]}`,
			[]string{`!web_search_call/w {"action":{"query":"go","type":"search"},"id":"w","type":"web_search_call"}`, `!file_search_call/f {"id":"f","queries":["go"],"type":"file_search_call"}`},
		},
		{
			"responses: a shell of the provider's and one of the client's", llmapi.Responses,
			stream(`{"type":"response.output_item.added","output_index":0,"item":{"type":"shell_call","id":"s","call_id":"a","status":"in_progress"}}`,
				`{"type":"response.shell_call_command.delta","output_index":0,"command_index":0,"delta":"ls"}`,
				`{"type":"response.output_item.done","output_index":0,"item":{"type":"shell_call","call_id":"a","environment":{"type":"container_reference"}}}`,
				`{"type":"response.output_item.added","output_index":1,"item":{"type":"shell_call_output","call_id":"a","output":[]}}`,
				`{"type":"response.shell_call_output_content.delta","output_index":1,"delta":{"stdout":"a\n"}}`,
				`{"type":"response.output_item.done","output_index":1,"item":{"type":"shell_call_output","call_id":"a","output":[{"stdout":"a\n"}]}}`,
				`{"type":"response.output_item.done","output_index":2,"item":{"type":"shell_call","call_id":"b","environment":{"type":"local"}}}`),
			[]string{
				`!shell_call/a {"type":"shell_call","call_id":"a","environment":{"type":"container_reference"}}`, `!shell_call/a ls`,
				`shell_call/b {"type":"shell_call","call_id":"b","environment":{"type":"local"}}`,
			},
		},
		{
			"responses: the last event has other ids and spaces", llmapi.Responses,
			stream(itemAdded, itemDelta, itemDone,
				`{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"d","name":"exec","arguments":"{\"a\":1}"}}`,
				`{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"e","name":"exec","arguments":"{\"a\":1}"}}`,
				`{"type":"response.completed","response":{"status":"completed","output":[`+
					`{"type":"function_call","call_id":"x","name":"exec","arguments":" { } "},`+
					`{"type":"function_call","call_id":"y","name":"exec","arguments":"{ \"a\": 1 }"},`+
					`{"type":"function_call","call_id":"z","name":"exec","arguments":"{\"\\u0061\":1}"},`+
					`{"type":"function_call","call_id":"one","name":"exec","arguments":"{ \"a\": 1 }"}]}}`),
			[]string{`exec/c {}`, `exec/d {"a":1}`, `exec/e {"a":1}`, `exec/one { "a": 1 }`},
		},
		{
			"chat: members of the other kind, empty", llmapi.ChatCompletions,
			`{"choices":[{"finish_reason":"","message":{"content":"","function_call":{"name":"","arguments":""},"tool_calls":[{"id":"a","custom":{"name":"","input":""},"function":{"name":"exec","arguments":"{}"}},{"id":"b","custom":{"name":"sh","input":"ls"},"function":{"name":"","arguments":""}}]}}]}`,
			[]string{`exec/a {}`, `sh/b ls`},
		},
		{
			"chat: a call of which nothing is said at first", llmapi.ChatCompletions,
			stream(calling(`{"index":0,"id":"","function":{"name":"","arguments":""}}`), calling(`{"index":0,"id":"a","function":{"name":"exec","arguments":"{}"}}`), calling(`{"index":1}`), finished),
			[]string{`exec/a {}`},
		},
		{
			"chat: names twice with one value", llmapi.ChatCompletions,
			stream(`{"choices":[{"index":0,"delta":{"reasoning":"x","reasoning":"x","tool_calls":[{"index":0,"id":"a","id":"a","function":{"name":"exec","Name":"exec","arguments":"{}","arguments":"{}"}}]}}]}`, finished),
			[]string{`exec/a {}`},
		},
		{
			"gemini: a call in pieces", llmapi.GenerateContent,
			stream(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"exec","id":"a","willContinue":true}}]}}]}`,
				`{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.command","stringValue":"rm \"","willContinue":true}],"willContinue":true}}]}}]}`,
				`{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.command","stringValue":"-rf /"},{"jsonPath":"$.n","numberValue":1.5},{"jsonPath":"$.b","boolValue":true},{"jsonPath":"$.z"}],"willContinue":true}}]}}]}`,
				`{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}`),
			[]string{`exec/a {"command":"rm \"-rf /","n":1.5,"b":true,"z":null}`},
		},
		{
			"gemini: calls in pieces without an end of their own", llmapi.GenerateContent,
			stream(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"exec","willContinue":true}}]},"finishReason":"STOP"},{"index":1,"content":{"parts":[{"functionCall":{"name":"read","partialArgs":[{"jsonPath":"$.a","stringValue":"b"}]}}]}}]}`,
				`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"cut","willContinue":true,"partialArgs":[{"jsonPath":"$.a","stringValue":"b"}]}}]}}]}`),
			[]string{`exec/ {}`, `read/ {"a":"b"}`, `cut/ {"a":"b`},
		},
		{
			"gemini: what the provider runs, and what might act", llmapi.GenerateContent,
			stream(`{"candidates":[{"content":{"parts":[{"toolCall":{"toolType":"GOOGLE_SEARCH_WEB","args":{"queries":["x"]},"id":"1"}},{"toolResponse":{"id":"1"}},{"browser_call":{"url":"x"},"thoughtSignature":"y"}]}}]}`),
			[]string{`!GOOGLE_SEARCH_WEB/1 {"queries":["x"]}`, `browser_call/ {"url":"x"}`},
		},
		{
			"gemini: names in the other style", llmapi.GenerateContent,
			stream(`{"candidates":[{"content":{"parts":[{"function_call":{"name":"a","args":{}}}]}}]}`),
			[]string{`a/ {}`},
		},
		{
			"gemini: every candidate", llmapi.GenerateContent,
			stream(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":{}}}]}},{"index":1,"content":{"parts":[{"text":"x"},{"functionCall":{"name":"b"}}]}}]}`),
			[]string{`a/ {}`, `b/`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for way, body := range ways([]byte(tt.body)) {
				var saw seen
				r := answer.NewReader(body, answer.Options{API: tt.api, Judge: saw.judge})
				got, err := io.ReadAll(r)
				if err != nil || string(got) != tt.body {
					t.Fatalf("%s: %v, out is\n%s\nwant\n%s", way, err, got, tt.body)
				}
				if !reflect.DeepEqual(saw.calls, tt.want) {
					t.Errorf("%s: judged\n%q, want\n%q", way, saw.calls, tt.want)
				}
			}
		})
	}
}

// What parsers read differently is refused while calls are judged, and passes
// unchanged while they are not.
func TestRefusesWhatParsersReadDifferently(t *testing.T) {
	tests := []struct {
		name string
		api  llmapi.API
		body string
	}{
		{"messages: duplicate keys", llmapi.Messages, stream(`{"type":"ping","type":"content_block_start"}`)},
		{"messages: duplicate keys further down", llmapi.Messages, stream(`{"type":"x","delta":{"a":1,"\u0061":2}}`)},
		{"messages: keys that differ in case", llmapi.Messages, stream(`{"type":"ping","Type":"content_block_start"}`)},
		{"messages: no JSON", llmapi.Messages, stream(`{"type":"ping"} trailing`)},
		{"messages: an index that is none", llmapi.Messages, stream(callStart, `{"type":"content_block_delta","index":"0","delta":{"partial_json":"{}"}}`)},
		{"messages: a name and a type that differ", llmapi.Messages, "event: content_block_start\n" + stream(`{"type":"ping"}`)},
		{"messages: fragments for no call", llmapi.Messages, stream(callDelta)},
		{"messages: fragments after the stop", llmapi.Messages, stream(callStart, callStop, callDelta)},
		{"messages: an index that is used again", llmapi.Messages, stream(callStart, callStop, callStart)},
		{"messages: almost a data field", llmapi.Messages, "Data: " + callStart + "\n\n"},
		{"messages: an indented data field", llmapi.Messages, ": x\n data: " + callStart + "\n\n"},
		{"chat: two kinds of call", llmapi.ChatCompletions, stream(calling(`{"index":0,"id":"a","function":{"name":"a"},"custom":{"name":"b"}}`))},
		{"chat: two names", llmapi.ChatCompletions, stream(calling(`{"index":0,"id":"a","function":{"name":"a"}}`), calling(`{"index":0,"function":{"name":"b"}}`))},
		{"chat: a fragment after the end", llmapi.ChatCompletions, stream(calling(`{"index":0,"id":"a","function":{"name":"a","arguments":"{}"}}`), finished, calling(`{"index":0,"function":{"arguments":" "}}`))},
		{"chat: a fragment after DONE", llmapi.ChatCompletions, stream(calling(`{"index":0,"id":"a","function":{"name":"a","arguments":"{}"}}`), "[DONE]", calling(`{"index":0,"function":{"arguments":" "}}`))},
		{"chat: a call in the place of one that goes on", llmapi.ChatCompletions, stream(calling(`{"index":0,"id":"a","function":{"name":"a","arguments":"{\"c\":\""}}`), calling(`{"index":0,"id":"b","function":{"name":"a","arguments":"\"}"}}`))},
		{"chat: the same after the end", llmapi.ChatCompletions, stream(calling(`{"index":0,"id":"a","function":{"name":"a","arguments":"{\"c\":\""}}`), finished, calling(`{"index":0,"id":"b","function":{"name":"a","arguments":"\"}"}}`))},
		{"chat: a call next to DONE", llmapi.ChatCompletions, "data: [DONE]\ndata: " + calling(`{"id":"a","function":{"name":"a"}}`) + "\n\n"},
		{"chat: choices that are none", llmapi.ChatCompletions, stream(`{"choices":{"0":{"delta":{}}}}`)},
		{"responses: deltas for no call", llmapi.Responses, stream(itemDelta)},
		{"responses: deltas after the end", llmapi.Responses, stream(itemAdded, itemDone, itemDelta)},
		{"responses: arguments after the end", llmapi.Responses, stream(itemAdded, itemDone, `{"type":"response.function_call_arguments.done","output_index":0,"arguments":"{\"a\":1}"}`)},
		{"responses: an index that is used again", llmapi.Responses, stream(itemAdded, itemDone, itemAdded)},
		{"responses: two names", llmapi.Responses, stream(itemAdded, strings.Replace(itemDone, "exec", "read", 1))},
		{"gemini: two names", llmapi.GenerateContent, stream(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","willContinue":true}},{"functionCall":{"name":"b"}}]}}]}`)},
		{"gemini: no array", llmapi.GenerateContent, `[{}`},
		{"body: duplicate keys", llmapi.Messages, `{"content":[],"content":[{"type":"tool_use"}]}`},
		{"body: two values", llmapi.ChatCompletions, `{}{"choices":[]}`},
		{"body: a stream after JSON", llmapi.ChatCompletions, "{}\n\n" + stream(calling(`{"id":"a","function":{"name":"a"}}`))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for way, body := range ways([]byte(tt.body)) {
				r := answer.NewReader(body, answer.Options{API: tt.api, Judge: allow})
				got, err := io.ReadAll(r)
				if _, ok := errors.AsType[*answer.Refused](err); !ok || !errors.Is(err, answer.ErrMalformed) || !strings.HasPrefix(tt.body, string(got)) {
					t.Fatalf("%s: %v, out is\n%s", way, err, got)
				}
			}
			r := answer.NewReader(strings.NewReader(tt.body), answer.Options{API: tt.api})
			if got, err := io.ReadAll(r); err != nil || string(got) != tt.body {
				t.Errorf("without a judge: %v\n%s", err, got)
			}
		})
	}
}

func TestPassesWhatCannotCarryACall(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":            "",
		"white space":        "\n\n \n",
		"an error page":      "<html>\n<body>502: Bad Gateway</body>\n</html>\n",
		"a line of text":     "upstream connect error",
		"comments and noise": ": OPENROUTER PROCESSING\n\nretry: 10\nid: 7\n\nevent: x\n\ndata\n\ndata:\n\n",
		"an unknown event":   stream(`{"type":"response.new_thing"}`, `{"a":[1,{"b":null}]}`),
		"malformed UTF-8":    stream("{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\xff\\ud83d\"}}"),
	} {
		for _, api := range []llmapi.API{llmapi.Messages, llmapi.ChatCompletions, llmapi.Responses, llmapi.GenerateContent} {
			for way, in := range ways([]byte(body)) {
				got, err := io.ReadAll(answer.NewReader(in, answer.Options{API: api, Judge: allow}))
				if err != nil || string(got) != body {
					t.Errorf("%s, %v, %s: %q, %v", name, api, way, got, err)
				}
			}
		}
	}
}
