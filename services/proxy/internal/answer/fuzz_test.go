package answer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

var apis = []llmapi.API{llmapi.Messages, llmapi.ChatCompletions, llmapi.Responses, llmapi.GenerateContent}

// For any input, in any pieces: what goes on is the same, and is all
// of it unless it is refused.
func FuzzReader(f *testing.F) {
	for _, g := range goldens() {
		for i, api := range apis {
			if api == g.api {
				f.Add(g.data(f), uint8(i))
			}
		}
	}
	f.Add([]byte(stream(callStart, callDelta, callStop)), uint8(0))
	f.Add([]byte(stream(itemAdded, itemDelta, itemDone)), uint8(2))
	f.Add([]byte("data: {\r\ndata: }\r\r\n: x\n\ndata: [DONE]"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		api := apis[int(n)%len(apis)]
		read := func(body io.Reader) (string, []string, answer.Result, error) {
			var saw seen
			r := answer.NewReader(body, answer.Options{API: api, Judge: saw.judge, Text: saw.text, Forbidden: [][]byte{[]byte(secret)}, MaxCall: 1 << 20})
			out, err := io.ReadAll(r)
			return string(out), append(saw.calls, saw.said.String()), r.Result(), err
		}
		out, saw, result, err := read(bytes.NewReader(data))
		refused, _ := errors.AsType[*answer.Refused](err)
		switch {
		case err == nil && result.Blocked == nil && len(out) == len(data): // pings may have moved
		case refused != nil && result.Blocked == refused.Reason && len(out) < len(data):
		default:
			t.Errorf("%d bytes of %d, %v, blocked: %v", len(out), len(data), err, result.Blocked)
		}
		for _, c := range result.ToolCalls {
			if c.Refused == nil && len(saw) < 2 {
				t.Errorf("call %+v has not been judged", c)
			}
		}
		out1, saw1, result1, err1 := read(iotest.OneByteReader(bytes.NewReader(data)))
		if out != out1 || !reflect.DeepEqual(saw, saw1) || fmt.Sprint(err) != fmt.Sprint(err1) || len(result.ToolCalls) != len(result1.ToolCalls) {
			t.Errorf("byte by byte %q, %q, %v; at once %q, %q, %v", out1, saw1, err1, out, saw, err)
		}
		watched, err := io.ReadAll(answer.NewReader(bytes.NewReader(data), answer.Options{API: api}))
		if err != nil || len(watched) != len(data) {
			t.Errorf("unjudged: %d bytes of %d, %v", len(watched), len(data), err)
		}
	})
}

// However a call's arguments are cut, they are judged as encoding/json puts them
// together.
func FuzzAssembly(f *testing.F) {
	f.Add(`{"command":"echo \"\u00e9\" 🙂"}`, uint8(3), uint8(5))
	f.Add(`{"a":"\\"}`, uint8(1), uint8(1))
	f.Add("", uint8(0), uint8(0))
	f.Add("not JSON\n\r\xff\u2028", uint8(4), uint8(0))
	f.Fuzz(func(t *testing.T, arguments string, first, size uint8) {
		var cuts []string
		for start, end := 0, min(int(first), len(arguments)); ; start, end = end, min(end+int(size)+1, len(arguments)) {
			cuts = append(cuts, quote(arguments[start:end]))
			if end == len(arguments) {
				break
			}
		}
		var want strings.Builder
		for _, cut := range cuts {
			var piece string
			if err := json.Unmarshal([]byte(cut), &piece); err != nil {
				t.Fatal(err)
			}
			want.WriteString(piece)
		}
		for api, body := range map[llmapi.API]string{
			llmapi.Messages:        callOf(cuts, callStart, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":%s}}`, callStop),
			llmapi.ChatCompletions: callOf(cuts, calling(`{"index":0,"id":"a","function":{"name":"exec","arguments":""}}`), calling(`{"index":0,"function":{"arguments":%s}}`), finished),
			llmapi.Responses: callOf(cuts, itemAdded, `{"type":"response.function_call_arguments.delta","output_index":0,"delta":%s}`,
				`{"type":"response.function_call_arguments.done","output_index":0,"arguments":`+quote(want.String())+`}`),
		} {
			var got []string
			r := answer.NewReader(strings.NewReader(body), answer.Options{API: api, Judge: func(c llmapi.ToolCall) error {
				got = append(got, string(c.Arguments))
				return nil
			}})
			if out, err := io.ReadAll(r); err != nil || string(out) != body {
				t.Fatalf("%v: %v, out is %q", api, err, out)
			}
			// What comes after the end of JSON has the whole judged again.
			if all := strings.TrimSpace(want.String()); len(got) == 0 || strings.TrimSpace(got[len(got)-1]) != all || !strings.HasPrefix(all, strings.TrimSpace(got[0])) {
				t.Errorf("%v: judged %q, want %q", api, got, want.String())
			}
		}
	})
}

func callOf(cuts []string, start, fragment, stop string) string {
	data := []string{start}
	for _, cut := range cuts {
		data = append(data, fmt.Sprintf(fragment, cut))
	}
	return stream(append(data, stop)...)
}
