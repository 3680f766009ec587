package sdktest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

func (r *rig) openai(opts ...option.RequestOption) *openai.Client {
	return new(openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(r.url + "/v1"), option.WithAPIKey(noKey), option.WithMaxRetries(0),
	}, opts...)...))
}

const gpt = "gpt-5.2"

var execSchema = map[string]any{"type": "object", "properties": map[string]any{"command": map[string]string{"type": "string"}}}

func chat(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    gpt,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)},
		Tools:    []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "exec", Parameters: execSchema})},
	}
}

func respond(text string) responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: gpt,
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(text)},
		Tools: []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "exec", Parameters: execSchema}}},
	}
}

func TestChatPlain(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	var response *http.Response
	c := r.openai()
	got, err := c.Chat.Completions.New(t.Context(), chat("#say The tide is out.\n#zstd"), option.WithResponseInto(&response))
	if err != nil {
		t.Fatal(err)
	}
	if got.Choices[0].Message.Content != "The tide is out." {
		t.Errorf("choices: %+v", got.Choices)
	}
	same(t, r.record(response.Header), got.Usage.PromptTokens, got.Usage.CompletionTokens)
}

// TestChatStreaming: the client gets the usage where it asks for it, and the record has it
// in any case.
func TestChatStreaming(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c := r.openai()
	for _, asks := range []bool{true, false} {
		params := chat("#text 20\n#tool exec {\"command\":\"ls\"}\n#tool exec {\"command\":\"date\"}")
		if asks {
			params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
		}
		var response *http.Response
		s := c.Chat.Completions.NewStreaming(t.Context(), params, option.WithResponseInto(&response))
		var got openai.ChatCompletionAccumulator
		var finished []string
		for s.Next() {
			if !got.AddChunk(s.Current()) {
				t.Fatalf("the chunk %s does not fit", s.Current().RawJSON())
			}
			if call, ok := got.JustFinishedToolCall(); ok {
				finished = append(finished, call.Arguments)
			}
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		if len(got.Choices) != 1 || len(got.Choices[0].Message.ToolCalls) != 2 || got.Choices[0].FinishReason != "tool_calls" || len(finished) != 2 {
			t.Errorf("choices: %+v; finished: %q", got.Choices, finished)
		}
		record := r.record(response.Header)
		if told := got.Usage.TotalTokens > 0; told != asks {
			t.Errorf("the client asks for the usage: %v; it is told %+v", asks, got.Usage)
		} else if told {
			same(t, record, got.Usage.PromptTokens, got.Usage.CompletionTokens)
		}
		if record.Usage == nil || record.Usage.Input == 0 || record.Usage.Output == 0 || !record.Usage.Complete || len(record.ToolCalls) != 2 {
			t.Errorf("the client asks for the usage: %v; record %+v, usage %+v", asks, record, record.Usage)
		}
	}
}

func TestChatTools(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c := r.openai()
	params := chat("#tool exec {\"command\":\"date\"}")
	first, err := c.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	message := first.Choices[0].Message
	if len(message.ToolCalls) != 1 || message.ToolCalls[0].Function.Arguments != `{"command":"date"}` {
		t.Fatalf("message: %+v", message)
	}
	params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage("done", message.ToolCalls[0].ID))
	second, err := c.Chat.Completions.New(t.Context(), params)
	if err != nil || second.Choices[0].FinishReason != "stop" {
		t.Errorf("%+v, %v", second, err)
	}
}

func TestResponsesPlain(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c := r.openai()
	var response *http.Response
	got, err := c.Responses.New(t.Context(), respond("#say The tide is out."), option.WithResponseInto(&response))
	if err != nil {
		t.Fatal(err)
	}
	if got.OutputText() != "The tide is out." {
		t.Errorf("output: %+v", got.Output)
	}
	record := r.record(response.Header)
	same(t, record, got.Usage.InputTokens, got.Usage.OutputTokens)
	if record.ResponseID != got.ID {
		t.Errorf("the record names %s, want %s", record.ResponseID, got.ID)
	}
}

func TestResponsesStreaming(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c := r.openai()
	var response *http.Response
	s := c.Responses.NewStreaming(t.Context(), respond("#text 20\n#tool exec {\"command\":\"ls\"}\n#br"), option.WithResponseInto(&response))
	var text strings.Builder
	var calls []string
	var whole responses.Response
	for s.Next() {
		switch e := s.Current().AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			text.WriteString(e.Delta)
		case responses.ResponseFunctionCallArgumentsDoneEvent:
			calls = append(calls, e.Arguments)
		case responses.ResponseCompletedEvent:
			whole = e.Response
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if text.String() != whole.OutputText() || len(calls) != 1 || calls[0] != `{"command":"ls"}` {
		t.Errorf("text %q, calls %q, at the end %+v", text.String(), calls, whole.Output)
	}
	record := r.record(response.Header)
	same(t, record, whole.Usage.InputTokens, whole.Usage.OutputTokens)
	if len(record.ToolCalls) != 1 {
		t.Errorf("calls in the record: %+v", record.ToolCalls)
	}
}

func TestOpenAIEmbeddings(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c := r.openai()
	var response *http.Response
	got, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: openai.EmbeddingModelTextEmbedding3Small, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"salt", "tide"}},
	}, option.WithResponseInto(&response))
	if err != nil || len(got.Data) != 2 || len(got.Data[0].Embedding) == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	record := r.record(response.Header)
	if record.Usage == nil || record.Usage.Input != got.Usage.PromptTokens || record.ResponseModel != string(got.Model) {
		t.Errorf("the record says %q and %+v, the client was told %q and %+v", record.ResponseModel, record.Usage, got.Model, got.Usage)
	}
}

// TestOpenAIErrors: the SDK raises its typed error, with what the provider says of when
// to try again.
func TestOpenAIErrors(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c := r.openai()
	for _, status := range []int{400, 401, 404, 429, 500, 503} {
		directive := "#error " + strconv.Itoa(status)
		_, chatErr := c.Chat.Completions.New(t.Context(), chat(directive))
		_, respondErr := c.Responses.New(t.Context(), respond(directive))
		for _, err := range []error{chatErr, respondErr} {
			failed, ok := errors.AsType[*openai.Error](err)
			if !ok || failed.StatusCode != status || failed.Response.Header.Get("X-Request-Id") == "" {
				t.Errorf("%d: %v", status, err)
				continue
			}
			if again := failed.Response.Header.Get("Retry-After"); (again != "") != (status == 429 || status == 503) {
				t.Errorf("%d: Retry-After is %q", status, again)
			}
			if record := r.record(failed.Response.Header); record.Decision != proto.DecisionAllowed || record.Status != status || record.ErrorType != failed.Type {
				t.Errorf("%d: record %+v", status, record)
			}
		}
	}
	s := c.Chat.Completions.NewStreaming(t.Context(), chat("#text 5\n#error-after 3"))
	for s.Next() {
	}
	if s.Err() == nil {
		t.Error("an error within a stream is none")
	}
}

func TestOpenAIRetries(t *testing.T) {
	attempts := 0
	p := newRoutes(map[string]any{"POST /v1/chat/completions": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if attempts++; attempts < 3 {
			w.Header().Set("Retry-After-Ms", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":{"message":"Slower.","type":"server_error"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":"c1","object":"chat.completion","model":"gpt-5.2","choices":[{"index":0,"message":{"role":"assistant","content":"At last."},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`)
	}})
	r := newRig(t, p)
	c := r.openai(option.WithMaxRetries(2))
	got, err := c.Chat.Completions.New(t.Context(), chat("hello"))
	if err != nil || got.Choices[0].Message.Content != "At last." || attempts != 3 {
		t.Errorf("%d attempts: %+v, %v", attempts, got, err)
	}
}

func TestOpenAIRefused(t *testing.T) {
	p := newRoutes(nil)
	r := newRig(t, p, "PROXY_CANARIES=lantern-7781-keeper-of-shoals")
	c := r.openai(option.WithMaxRetries(2))
	const text = "The word is lantern-7781-keeper-of-shoals."
	_, plain := c.Chat.Completions.New(t.Context(), chat(text))
	chatStream := c.Chat.Completions.NewStreaming(t.Context(), chat(text))
	chatStream.Next()
	_, response := c.Responses.New(t.Context(), respond(text))
	responseStream := c.Responses.NewStreaming(t.Context(), respond(text))
	responseStream.Next()
	for i, err := range []error{plain, chatStream.Err(), response, responseStream.Err()} {
		failed, ok := errors.AsType[*openai.Error](err)
		if !ok || failed.StatusCode != 400 || failed.Type != "invalid_request_error" || !strings.Contains(failed.Message, "proxy") {
			t.Errorf("%d: %v", i, err)
			continue
		}
		if e := r.entry(failed.Response.Header, alerted); e.End.Decision != proto.DecisionBlocked {
			t.Errorf("%d: record %+v", i, e.End)
		}
	}
	if len(p.came) > 0 {
		t.Errorf("the provider got %+v", p.came)
	}
}

func TestOpenAICancels(t *testing.T) {
	provider := llmtest.New(llmtest.Config{})
	r := newRig(t, provider)
	c := r.openai()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var response *http.Response
	s := c.Responses.NewStreaming(ctx, respond("#text 5\n#stall 4"), option.WithResponseInto(&response))
	if !s.Next() {
		t.Fatal(s.Err())
	}
	cancel()
	for s.Next() {
	}
	if record := r.record(response.Header); record.ErrorType != "client_gone" || record.Usage != nil && record.Usage.Complete {
		t.Errorf("record %+v, usage %+v", record, record.Usage)
	}
	bustest.Eventually(t, "the provider has noticed", func() bool { return provider.Active() == 0 })
}
