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
			&proto.Usage{Complete: true},
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
