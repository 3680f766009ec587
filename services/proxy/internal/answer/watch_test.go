package answer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

const secret = "sk-ant-api03-AbCd/EfGh_IjKl"

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// speakers are the ways in which each API says a piece of text.
var speakers = map[string]struct {
	api llmapi.API
	say func(piece string) string
}{
	"messages text": {llmapi.Messages, func(s string) string { return `{"type":"content_block_delta","index":0,"delta":{"text":` + s + `}}` }},
	"messages thinking": {llmapi.Messages, func(s string) string {
		return `{"type":"content_block_delta","index":0,"delta":{"thinking":` + s + `}}`
	}},
	"chat content":   {llmapi.ChatCompletions, func(s string) string { return `{"choices":[{"index":0,"delta":{"content":` + s + `}}]}` }},
	"chat reasoning": {llmapi.ChatCompletions, func(s string) string { return `{"choices":[{"index":0,"delta":{"reasoning_content":` + s + `}}]}` }},
	"responses text": {llmapi.Responses, func(s string) string {
		return `{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":` + s + `}`
	}},
	"responses reasoning": {llmapi.Responses, func(s string) string {
		return `{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":` + s + `}`
	}},
	"gemini text": {llmapi.GenerateContent, func(s string) string { return `{"candidates":[{"content":{"parts":[{"text":` + s + `}]}}]}` }},
	"gemini thought": {llmapi.GenerateContent, func(s string) string {
		return `{"candidates":[{"content":{"parts":[{"text":` + s + `,"thought":true}]}}]}`
	}},
}

func TestForbiddenValueInText(t *testing.T) {
	escaped := `"\u0073\u006b-ant-api03-AbCd\/EfGh_IjKl"`
	for name, sp := range speakers {
		intro := sp.say(`"The key is "`)
		tests := []struct {
			name string
			data []string
			out  int // events that go on before the refusal
		}{
			{"whole", []string{intro, sp.say(quote("it: " + secret + "."))}, 1},
			{"escaped", []string{intro, sp.say(escaped)}, 1},
			{"in two", []string{intro, sp.say(quote(secret[:10])), sp.say(quote(secret[10:]))}, 1},
			{"a byte short", []string{intro, sp.say(quote(secret[:len(secret)-1])), sp.say(quote(secret[len(secret)-1:]))}, 1},
			{"less than is held", []string{intro, sp.say(quote(secret[:7])), sp.say(quote(secret[7:]))}, 2},
			{"in letters", append([]string{intro}, letters(sp.say)...), 8},
		}
		for _, tt := range tests {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				want := stream(tt.data[:tt.out]...) + string(llmapi.Error{Status: 400, Message: answer.ErrForbidden.Error()}.Event(sp.api))
				for way, body := range ways([]byte(stream(tt.data...))) {
					r := answer.NewReader(body, answer.Options{API: sp.api, Stream: true, Forbidden: [][]byte{nil, []byte("canary-1"), []byte(secret)}})
					got, err := io.ReadAll(r)
					if err != nil || string(got) != want || !errors.Is(r.Result().Blocked, answer.ErrForbidden) {
						t.Errorf("%s: %v, %v, out is\n%s\nwant\n%s", way, err, r.Result().Blocked, got, want)
					}
				}
			})
		}
	}
}

func letters(say func(string) string) []string {
	var data []string
	for i := range len(secret) {
		data = append(data, say(quote(secret[i:i+1])))
	}
	return data
}

// Text that could become a forbidden value waits for the text that shows that it
// does not, or for its own end.
func TestTextThatCouldBecomeForbiddenWaits(t *testing.T) {
	ends := map[llmapi.API]string{
		llmapi.Messages:        `{"type":"content_block_stop","index":0}`,
		llmapi.ChatCompletions: `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
		llmapi.Responses:       `{"type":"response.reasoning_summary_text.done","output_index":0,"summary_index":1}`,
		llmapi.GenerateContent: `{"candidates":[{"finishReason":"STOP"}]}`,
	}
	for name, sp := range speakers {
		other := `{"unrelated":1}`
		for _, after := range []string{sp.say(`"..."`), ends[sp.api], ""} {
			t.Run(fmt.Sprintf("%s/%.30s", name, after), func(t *testing.T) {
				if name == "responses text" && after == ends[sp.api] {
					after = `{"type":"response.output_text.done","output_index":0,"content_index":0}`
				}
				synctest.Test(t, func(t *testing.T) {
					body, upstream := io.Pipe()
					out := startPump(answer.NewReader(body, answer.Options{API: sp.api, Stream: true, Forbidden: [][]byte{[]byte(secret)}}))
					held := stream(sp.say(quote("Keys begin with "+secret[:13])), other)
					go func() { _, _ = io.WriteString(upstream, held) }()
					if got := out.waiting(); got != "" {
						t.Errorf("went on early: %q", got)
					}
					rest := ""
					if after != "" {
						rest = stream(after)
						go func() { _, _ = io.WriteString(upstream, rest) }()
						if got := out.waiting(); got != held+rest {
							t.Errorf("released %q, want %q", got, held+rest)
						}
						held, rest = "", ""
					}
					_ = upstream.Close()
					if got := out.waiting(); got != held || out.err != io.EOF {
						t.Errorf("at the end %q, %v", got, out.err)
					}
				})
			})
		}
	}
}

func TestForbiddenValueElsewhere(t *testing.T) {
	half := len(secret) / 2
	deep := func(s string) string { return quote(quote(`{"url":"` + s)) } // a string in a call's arguments
	tests := []struct {
		name string
		api  llmapi.API
		body string
		out  string
	}{
		{
			"a call's fragments", llmapi.Messages,
			stream(callStart,
				`{"type":"content_block_delta","index":0,"delta":{"partial_json":`+quote(`{"a":"`+secret[:half])+`}}`,
				`{"type":"content_block_delta","index":0,"delta":{"partial_json":`+quote(secret[half:]+`"}`)+`}}`,
				callStop),
			stream(callStart),
		},
		{
			"a call's fragments, escaped in its arguments", llmapi.ChatCompletions,
			stream(calling(`{"index":0,"id":"a","function":{"name":"x","arguments":"{\"a\":\"\\u0073k-ant-api03-AbCd\\/Ef"}}`),
				calling(`{"index":0,"function":{"arguments":"Gh_IjKl\"}"}}`), finished),
			stream(calling(`{"index":0,"id":"a","function":{"name":"x","arguments":"{\"a\":\"\\u0073k-ant-api03-AbCd\\/Ef"}}`)),
		},
		{
			"a call's name", llmapi.GenerateContent,
			stream(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":` + quote(secret) + `}}]}}]}`),
			"",
		},
		{
			"an event that is not understood", llmapi.Messages,
			stream(`{"type":"ping"}`, `{"type":"news","citation":{"url":"https://x/?k=sk\u002dant-api03-AbCd\/EfGh_IjKl"}}`),
			stream(`{"type":"ping"}`),
		},
		{"a comment", llmapi.Messages, stream(`{"type":"ping"}`) + ": " + secret + "\n\n", stream(`{"type":"ping"}`)},
		{"no JSON", llmapi.Messages, "data: " + secret + "\n\n", ""},
		{"a body", llmapi.ChatCompletions, `{"choices":[{"message":{"content":` + quote(secret) + `}}]}`, ""},
		{"elsewhere in a body", llmapi.ChatCompletions, `{"choices":[],"echo":"sk\u002dant-api03-AbCd\/EfGh_IjKl"}`, ""},
		{"a body that is not JSON", llmapi.ChatCompletions, `{"choices":[],"` + secret + `":1,"` + secret + `":2}`, ""},
		{"a body's arguments", llmapi.ChatCompletions, `{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"x","arguments":"{\"a\":\"\\u0073k-ant-api03-AbCd\\/EfGh_IjKl\"}"}}]}}]}`, ""},
		{"a body's texts", llmapi.GenerateContent, `[{"candidates":[{"content":{"parts":[{"text":"` + secret[:9] + `"}]}}]},{"candidates":[{"content":{"parts":[{"text":"` + secret[9:] + `"}]}}]}]`, ""},
		{"an error page", llmapi.Messages, "<html>" + secret + "</html>", ""},
		{"the last event", llmapi.Responses, stream(`{"type":"response.completed","response":{"output":[{"type":"message","content":[{"text":` + deep(secret) + `}]}]}}`), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for way, body := range ways([]byte(tt.body)) {
				r := answer.NewReader(body, answer.Options{API: tt.api, Forbidden: [][]byte{[]byte(secret)}})
				got, err := io.ReadAll(r)
				if string(got) != tt.out || !errors.Is(err, answer.ErrForbidden) {
					t.Errorf("%s: %v, out is %q", way, err, got)
				}
			}
		})
	}
}

// Without a Judge, too, arguments that could become a forbidden value wait, and go on
// once they cannot.
func TestForbiddenHoldsArguments(t *testing.T) {
	piece := stream(`{"type":"content_block_delta","index":0,"delta":{"partial_json":` + quote(`{"a":"`+secret[:9]) + `}}`)
	for end, out := range map[string]string{
		"": stream(callStart) + piece,
		stream(`{"type":"content_block_delta","index":0,"delta":{"partial_json":"no"}}`, callStop): stream(callStart) + piece + stream(`{"type":"content_block_delta","index":0,"delta":{"partial_json":"no"}}`, callStop),
	} {
		o := answer.Options{API: llmapi.Messages, Forbidden: [][]byte{[]byte(secret)}}
		got, err := io.ReadAll(answer.NewReader(io.MultiReader(strings.NewReader(stream(callStart)+piece+end), failing{io.ErrUnexpectedEOF}), o))
		if end == "" {
			out = stream(callStart)
		}
		if string(got) != out || err != io.ErrUnexpectedEOF {
			t.Errorf("%q, %v", got, err)
		}
		got, err = io.ReadAll(answer.NewReader(strings.NewReader(stream(callStart)+piece+end), o))
		if string(got) != stream(callStart)+piece+end || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}
