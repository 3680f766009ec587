package answer_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

func TestErrorsInsideAnAnswer(t *testing.T) {
	tests := []struct {
		name string
		api  llmapi.API
		body string
		want string
	}{
		{"messages", llmapi.Messages, "event: error\n" + stream(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), "overloaded_error"},
		{"messages body", llmapi.Messages, `{"type":"error","error":{"type":"rate_limit_error","message":"x"},"request_id":"req_1"}`, "rate_limit_error"},
		{"chat", llmapi.ChatCompletions, stream(`{"error":{"message":"x","type":"server_error","code":null}}`), "server_error"},
		{"chat, untyped", llmapi.ChatCompletions, stream(`{"error":"no"}`), "unknown"},
		{"responses", llmapi.Responses, "event: error\n" + stream(`{"type":"error","code":"rate_limit_exceeded","message":"x","param":null}`), "rate_limit_exceeded"},
		{"responses, nested", llmapi.Responses, stream(`{"type":"error","error":{"type":"invalid_request_error","message":"x"}}`), "invalid_request_error"},
		{"responses, failed", llmapi.Responses, stream(`{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"x"}}}`), "server_error"},
		{"gemini", llmapi.GenerateContent, `{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}`, "UNAVAILABLE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := answer.NewReader(strings.NewReader(tt.body), answer.Options{API: tt.api, Judge: allow})
			if got, err := io.ReadAll(r); err != nil || string(got) != tt.body {
				t.Fatalf("%v\n%s", err, got)
			}
			if got := r.Result().ErrorType; got != tt.want {
				t.Errorf("error type %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		api  llmapi.API
		body string
		want *proto.Usage
	}{
		{"none", llmapi.Messages, stream(`{"type":"ping"}`), nil},
		{
			"messages: cumulative, so nothing is added", llmapi.Messages,
			stream(`{"type":"message_start","message":{"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}`,
				`{"type":"message_delta","delta":{},"usage":{"output_tokens":20}}`,
				`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":12,"cache_read_input_tokens":null,"output_tokens":30}}`),
			&proto.Usage{Input: 17, Output: 30, CacheRead: 5, Complete: true},
		},
		{
			"messages: without an end", llmapi.Messages,
			stream(`{"type":"message_delta","delta":{},"usage":{"output_tokens":20}}`),
			&proto.Usage{Output: 20},
		},
		{
			"chat: in every chunk", llmapi.ChatCompletions,
			stream(`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`,
				`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`),
			&proto.Usage{Input: 3, Output: 2, Complete: true},
		},
		{
			"chat: in every chunk, without an end", llmapi.ChatCompletions,
			stream(`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`),
			&proto.Usage{Input: 3, Output: 1},
		},
		{
			"chat: after a chunk without choices", llmapi.ChatCompletions,
			stream(`{"choices":[],"prompt_filter_results":[]}`, `{"choices":[{"delta":{"content":"a"}}],"usage":null}`),
			nil,
		},
		{
			"responses: failed", llmapi.Responses,
			stream(`{"type":"response.failed","response":{"status":"failed","error":{"code":"x"},"usage":{"input_tokens":7,"output_tokens":1}}}`),
			&proto.Usage{Input: 7, Output: 1, Complete: true},
		},
		{
			"gemini: without an end", llmapi.GenerateContent,
			stream(`{"usageMetadata":{"promptTokenCount":6,"toolUsePromptTokenCount":4}}`),
			&proto.Usage{Input: 10},
		},
		{
			"gemini: a prompt that is refused", llmapi.GenerateContent,
			stream(`{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":6}}`),
			&proto.Usage{Input: 6, Complete: true},
		},
		{
			"not in numbers", llmapi.ChatCompletions,
			stream(`{"choices":[],"usage":{"prompt_tokens":"many"}}`),
			&proto.Usage{},
		},
		{
			"messages: iterations, of which the top level leaves compaction out", llmapi.Messages,
			stream(`{"type":"message_start","message":{"model":"m","usage":{"input_tokens":9,"output_tokens":1}}}`,
				`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":120,"output_tokens":8,"iterations":[`+
					`{"type":"compaction","input_tokens":80000,"output_tokens":900,"cache_creation_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":400}},`+
					`{"type":"message","input_tokens":120,"output_tokens":8,"cache_read_input_tokens":30}]}}`),
			&proto.Usage{Input: 80650, Output: 908, CacheRead: 30, CacheCreation: 500, CacheCreation1h: 400, Complete: true},
		},
		{
			"messages: an advisor is another model", llmapi.Messages,
			`{"model":"small","content":[],"stop_reason":"end_turn","usage":{"input_tokens":500,"output_tokens":50,"iterations":[` +
				`{"type":"message","model":"small","input_tokens":200,"output_tokens":20},` +
				`{"type":"advisor_message","model":"large","input_tokens":1000,"output_tokens":100,"cache_read_input_tokens":7},` +
				`{"type":"message","input_tokens":300,"output_tokens":30},{"type":"advisor_message","model":"large","input_tokens":10,"output_tokens":1}]}}`,
			&proto.Usage{
				Input: 1517, Output: 151, CacheRead: 7, Complete: true,
				OtherModels: []proto.ModelUsage{{Model: "large", Input: 1017, Output: 101, CacheRead: 7}},
			},
		},
		{
			"messages: iterations of some other kind", llmapi.Messages,
			`{"content":[],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":6,"iterations":{"n":1}}}`,
			&proto.Usage{Input: 5, Output: 6, Complete: true},
		},
		{
			"messages: an iteration that cannot be read", llmapi.Messages,
			`{"content":[],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":6,"iterations":[null,{"input_tokens":"?","output_tokens":9}]}}`,
			&proto.Usage{Input: 5, Output: 9},
		},
		{
			"messages: tiers", llmapi.Messages,
			`{"content":[],"usage":{"input_tokens":5,"output_tokens":6,"service_tier":"batch","speed":"standard"}}`,
			&proto.Usage{Input: 5, Output: 6, ServiceTier: "batch", Complete: true},
		},
		{
			"chat: in a choice, for each", llmapi.ChatCompletions,
			stream(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":300,"completion_tokens":20,"total_tokens":320,"cached_tokens":256}}]}`,
				`{"choices":[{"index":1,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":300,"completion_tokens":5,"total_tokens":305,"cached_tokens":256}}]}`),
			&proto.Usage{Input: 300, Output: 25, CacheRead: 256, Complete: true},
		},
		{
			"chat: in a choice and for the whole", llmapi.ChatCompletions,
			stream(`{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":300,"completion_tokens":20}}]}`,
				`{"choices":[],"usage":{"prompt_tokens":300,"completion_tokens":20}}`),
			&proto.Usage{Input: 300, Output: 20, Complete: true},
		},
		{
			"chat: under x_groq", llmapi.ChatCompletions,
			stream(`{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":40,"completion_tokens":2,"total_tokens":42,"total_time":0.01}}}`),
			&proto.Usage{Input: 40, Output: 2, Complete: true},
		},
		{
			"chat: x_groq of some other kind", llmapi.ChatCompletions,
			stream(`{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":"r"}`),
			nil,
		},
		{
			"chat: reasoning beside the output", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":3,"total_tokens":223,"completion_tokens_details":{"reasoning_tokens":200}}}`,
			&proto.Usage{Input: 20, Output: 203, Reasoning: 200, Complete: true},
		},
		{
			"chat: reasoning in the output", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":203,"total_tokens":223,"completion_tokens_details":{"reasoning_tokens":200}}}`,
			&proto.Usage{Input: 20, Output: 203, Reasoning: 200, Complete: true},
		},
		{
			"chat: reasoning in the total only", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":52}}`,
			&proto.Usage{Input: 10, Output: 42, Complete: true},
		},
		{
			"chat: cached beside the input", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":119,"prompt_tokens_details":{"cached_tokens":100}}}`,
			&proto.Usage{Input: 110, Output: 9, CacheRead: 100, Complete: true},
		},
		{
			"chat: writes to the cache", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":900,"completion_tokens":9,"total_tokens":909,"prompt_tokens_details":{"cached_tokens":100,"cache_write_tokens":700}},"service_tier":"flex"}`,
			&proto.Usage{Input: 900, Output: 9, CacheRead: 100, CacheCreation: 700, ServiceTier: "flex", Complete: true},
		},
		{
			"chat: members of unexpected types", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"completion_tokens":7,"completion_tokens_details":[],"cost":{},"prompt_tokens":"11","prompt_tokens_details":"none","total_tokens":1.8e1}}`,
			&proto.Usage{Input: 11, Output: 7, Complete: true},
		},
		{
			"chat: floats", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":11.0,"completion_tokens":7.0,"total_tokens":18.0}}`,
			&proto.Usage{Input: 11, Output: 7, Complete: true},
		},
		{
			"chat: no count of tokens", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":11.5,"completion_tokens":-7}}`,
			&proto.Usage{},
		},
		{
			"chat: beyond any count", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1e300,"completion_tokens":7}}`,
			&proto.Usage{Output: 7},
		},
		{
			"chat: half of it", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"completion_tokens":7}}`,
			&proto.Usage{Output: 7},
		},
		{
			"chat: the other half is in the total", llmapi.ChatCompletions,
			`{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"completion_tokens":7,"total_tokens":9}}`,
			&proto.Usage{Input: 2, Output: 7, Complete: true},
		},
		{
			"chat: nothing at the end", llmapi.ChatCompletions,
			stream(`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`, `{"choices":[],"usage":{}}`),
			&proto.Usage{Input: 3, Output: 2, Complete: true},
		},
		{
			"chat: a body without an end", llmapi.ChatCompletions,
			`{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`,
			&proto.Usage{Input: 3, Output: 2, Complete: true},
		},
		{
			"responses: writes to the cache", llmapi.Responses,
			`{"status":"completed","output":[],"service_tier":"priority","usage":{"input_tokens":1200,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":1100},"output_tokens":100,"output_tokens_details":{"reasoning_tokens":54},"total_tokens":1300}}`,
			&proto.Usage{Input: 1200, Output: 100, CacheCreation: 1100, Reasoning: 54, ServiceTier: "priority", Complete: true},
		},
		{
			"gemini: a body without an end", llmapi.GenerateContent,
			`{"candidates":[],"usageMetadata":{"promptTokenCount":6,"totalTokenCount":6}}`,
			&proto.Usage{Input: 6, Complete: true},
		},
		{
			"gemini: the total alone", llmapi.GenerateContent,
			`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"totalTokenCount":6}}`,
			&proto.Usage{},
		},
		{
			"gemini: what is zero is left out", llmapi.GenerateContent,
			`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":60,"cachedContentTokenCount":50,"thoughtsTokenCount":9,"totalTokenCount":69}}`,
			&proto.Usage{Input: 60, Output: 9, CacheRead: 50, Reasoning: 9, Complete: true},
		},
		{
			"embeddings", llmapi.Embeddings,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3],"usage":{"prompt_tokens":1}}],"model":"e","usage":{"prompt_tokens":9,"total_tokens":9}}`,
			&proto.Usage{Input: 9, Complete: true},
		},
		{
			"embeddings: the total alone", llmapi.Embeddings,
			`{"data":[{"embedding":"AAAA\\"}],"usage":{"total_tokens":4}}`,
			&proto.Usage{Input: 4, Complete: true},
		},
		{
			"embeddings: none", llmapi.Embeddings,
			`{"embedding":{"values":[1,2]}}`,
			nil,
		},
		{
			"events of an API that holds no calls", llmapi.None,
			"event: transcript.text.delta\n" + stream(`{"type":"transcript.text.delta","delta":"a\"}"}`, `{"type":"transcript.text.done","text":"a","usage":{"type":"tokens","input_tokens":14,"output_tokens":3,"total_tokens":17}}`),
			&proto.Usage{Input: 14, Output: 3, Complete: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := answer.NewReader(strings.NewReader(tt.body), answer.Options{API: tt.api, Judge: allow})
			if got, err := io.ReadAll(r); err != nil || string(got) != tt.body {
				t.Fatalf("%v\n%s", err, got)
			}
			if got := r.Result().Usage; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("usage %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestResultIsBounded(t *testing.T) {
	long := strings.Repeat("é", 1000)
	body := `{"responseId":"` + long + `","modelVersion":"` + long + `","error":{"status":"` + long + `"},"candidates":[{"index":0,"finishReason":"` + long +
		`","content":{"parts":[{"functionCall":{"id":"` + long + `","name":"` + long + `"}}]}}` + strings.Repeat(`,{"finishReason":"STOP"}`, 10)
	for i := range 200 {
		body += fmt.Sprintf(`,{"index":%d,"finishReason":"STOP"}`, i)
	}
	body += `]}`
	r := answer.NewReader(strings.NewReader(body), answer.Options{API: llmapi.GenerateContent, Judge: allow})
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	got, want := r.Result(), long[:256]
	if call := got.ToolCalls[0]; got.ID != want || got.Model != want || got.ErrorType != want || got.FinishReasons[0] != want || call.ID != want || call.Name != want {
		t.Errorf("%+v", got)
	}
	if len(got.FinishReasons) != 128 {
		t.Errorf("%d reasons", len(got.FinishReasons))
	}
}

func TestRefusesEndlessCalls(t *testing.T) {
	part := `{"functionCall":{"name":"a","args":{}}}`
	body := `{"candidates":[{"content":{"parts":[` + part + strings.Repeat(","+part, 1024) + `]}}]}`
	r := answer.NewReader(strings.NewReader(body), answer.Options{API: llmapi.GenerateContent, Judge: allow})
	if got, err := io.ReadAll(r); len(got) > 0 || !errors.Is(err, answer.ErrTooLarge) || len(r.Result().ToolCalls) != 1024 {
		t.Errorf("%d bytes, %v, %d calls", len(got), err, len(r.Result().ToolCalls))
	}
}
