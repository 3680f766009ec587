package sdktest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

func (r *rig) anthropic(opts ...option.RequestOption) *anthropic.Client {
	return new(anthropic.NewClient(append([]option.RequestOption{
		option.WithBaseURL(r.url), option.WithAPIKey(noKey), option.WithMaxRetries(0),
	}, opts...)...))
}

const claude = anthropic.Model("claude-sonnet-4-5")

func ask(text string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: claude, MaxTokens: 1024,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(text))},
		Tools: []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
			Name: "exec", InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{"command": map[string]string{"type": "string"}}},
		}}},
	}
}

// same checks that a record has the tokens that the client was given.
func same(t *testing.T, record proto.Audit, input, output int64) {
	t.Helper()
	if record.Usage == nil || record.Usage.Input != input || record.Usage.Output != output || !record.Usage.Complete {
		t.Errorf("the client was given %d and %d tokens, the record says %+v", input, output, record.Usage)
	}
	if record.Decision != proto.DecisionAllowed || record.Status != http.StatusOK {
		t.Errorf("the record says %s, status %d: %s", record.Decision, record.Status, record.Reason)
	}
}

func TestAnthropicPlain(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	var response *http.Response
	got, err := r.anthropic().Messages.New(t.Context(), ask("#say The tide is out."), option.WithResponseInto(&response))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Content) != 1 || got.Content[0].Text != "The tide is out." {
		t.Errorf("content: %+v", got.Content)
	}
	record := r.record(response.Header)
	same(t, record, got.Usage.InputTokens+got.Usage.CacheReadInputTokens+got.Usage.CacheCreationInputTokens, got.Usage.OutputTokens)
	if record.ResponseID != got.ID || record.ResponseModel != string(got.Model) {
		t.Errorf("record %s of %s, want %s of %s", record.ResponseID, record.ResponseModel, got.ID, got.Model)
	}
}

func TestAnthropicStreaming(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	var response *http.Response
	s := r.anthropic().Messages.NewStreaming(t.Context(), ask("#text 30\n#tool exec {\"command\":\"ls\"}\n#gzip"), option.WithResponseInto(&response))
	var got anthropic.Message
	for s.Next() {
		if err := got.Accumulate(s.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if len(got.Content) != 2 || string(got.Content[1].Input) != `{"command":"ls"}` || got.StopReason != anthropic.StopReasonToolUse {
		t.Errorf("%s: %+v", got.StopReason, got.Content)
	}
	record := r.record(response.Header)
	same(t, record, got.Usage.InputTokens+got.Usage.CacheReadInputTokens+got.Usage.CacheCreationInputTokens, got.Usage.OutputTokens)
	if len(record.ToolCalls) != 1 || record.ToolCalls[0].Name != "exec" || record.ToolCalls[0].ID != got.Content[1].ID {
		t.Errorf("calls in the record: %+v", record.ToolCalls)
	}
}

// TestAnthropicTools: an agent that runs what it is asked to comes to an end.
func TestAnthropicTools(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	params := ask("#tool exec {\"command\":\"date\"}\n#tool exec {\"command\":\"ls\"}")
	first, err := r.anthropic().Messages.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	var results []anthropic.ContentBlockParamUnion
	for _, block := range first.Content {
		if use, ok := block.AsAny().(anthropic.ToolUseBlock); ok {
			results = append(results, anthropic.NewToolResultBlock(use.ID, "done", false))
		}
	}
	if len(results) != 2 {
		t.Fatalf("content: %+v", first.Content)
	}
	params.Messages = append(params.Messages, first.ToParam(), anthropic.NewUserMessage(results...))
	second, err := r.anthropic().Messages.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if second.StopReason != anthropic.StopReasonEndTurn {
		t.Errorf("the second answer ends with %s", second.StopReason)
	}
}

func TestAnthropicCountTokensAndModels(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c := r.anthropic()
	count, err := c.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
		Model: claude, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("How long is this?"))},
	})
	if err != nil || count.InputTokens == 0 {
		t.Errorf("%+v, %v", count, err)
	}
	models, err := c.Models.List(t.Context(), anthropic.ModelListParams{})
	if err != nil || len(models.Data) == 0 {
		t.Errorf("models: %+v, %v", models, err)
	}
}

// TestAnthropicErrors: the SDK raises its typed error, with what the provider says of
// when to try again.
func TestAnthropicErrors(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	for directive, want := range map[string]struct {
		status int
		kind   string
	}{
		"#error 429":              {429, "rate_limit_error"},
		"#error 529":              {529, "overloaded_error"},
		"#error 500":              {500, "api_error"},
		"#error 404":              {404, "not_found_error"},
		"hello\n#no-directive":    {400, "invalid_request_error"},
		"#text 5\n#error-after 4": {500, "api_error"},
	} {
		_, err := r.anthropic().Messages.New(t.Context(), ask(directive))
		failed, ok := errors.AsType[*anthropic.Error](err)
		if !ok || failed.StatusCode != want.status || string(failed.Type()) != want.kind || failed.RequestID == "" {
			t.Errorf("%s: %v", directive, err)
			continue
		}
		if again := failed.Response.Header.Get("Retry-After"); (again != "") != (want.status == 429 || want.status == 529) {
			t.Errorf("%s: Retry-After is %q", directive, again)
		}
		if record := r.record(failed.Response.Header); record.Decision != proto.DecisionAllowed || record.Status != want.status || record.ErrorType != want.kind {
			t.Errorf("%s: record %+v", directive, record)
		}
	}
	s := r.anthropic().Messages.NewStreaming(t.Context(), ask("#text 5\n#error-after 4"))
	for s.Next() {
	}
	if failed, ok := errors.AsType[*anthropic.Error](s.Err()); !ok || failed.Type() != "api_error" {
		t.Errorf("an error within a stream: %v", s.Err())
	}
}

// TestAnthropicRetries: a client that may try again gets its answer.
func TestAnthropicRetries(t *testing.T) {
	attempts := 0
	p := newRoutes(map[string]any{"POST /v1/messages": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if attempts++; attempts < 3 {
			w.Header().Set("Retry-After-Ms", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"type":"error","error":{"type":"rate_limit_error","message":"Slower."}}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"At last."}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}`)
	}})
	r := newRig(t, p)
	got, err := r.anthropic(option.WithMaxRetries(2)).Messages.New(t.Context(), ask("hello"))
	if err != nil || got.Content[0].Text != "At last." {
		t.Errorf("%+v, %v", got, err)
	}
	if attempts != 3 {
		t.Errorf("%d attempts", attempts)
	}
}

// TestAnthropicRefused: what the proxy refuses is the SDK's error, and final.
func TestAnthropicRefused(t *testing.T) {
	p := newRoutes(nil)
	r := newRig(t, p, "PROXY_CANARIES=lantern-7781-keeper-of-shoals")
	for _, streamed := range []bool{false, true} {
		var err error
		if params := ask("The word is lantern-7781-keeper-of-shoals."); streamed {
			s := r.anthropic(option.WithMaxRetries(2)).Messages.NewStreaming(t.Context(), params)
			s.Next()
			err = s.Err()
		} else {
			_, err = r.anthropic(option.WithMaxRetries(2)).Messages.New(t.Context(), params)
		}
		failed, ok := errors.AsType[*anthropic.Error](err)
		if !ok || failed.StatusCode != 400 || failed.Type() != "invalid_request_error" || !strings.Contains(failed.RawJSON(), "proxy") {
			t.Fatalf("streamed %v: %v", streamed, err)
		}
		e := r.entry(failed.Response.Header, alerted)
		if e.End.Decision != proto.DecisionBlocked || len(e.End.Findings) != 1 || e.End.Findings[0].Rule != "canary" {
			t.Errorf("streamed %v: record %+v", streamed, e.End)
		}
	}
	if len(p.came) > 0 {
		t.Errorf("the provider got %+v", p.came)
	}
}

// TestAnthropicCancels: the provider notices that a client has gone, and the record says so.
func TestAnthropicCancels(t *testing.T) {
	provider := llmtest.New(llmtest.Config{})
	r := newRig(t, provider)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var response *http.Response
	s := r.anthropic().Messages.NewStreaming(ctx, ask("#text 5\n#stall 4"), option.WithResponseInto(&response))
	if !s.Next() {
		t.Fatal(s.Err())
	}
	cancel()
	for s.Next() {
	}
	if !errors.Is(s.Err(), context.Canceled) {
		t.Errorf("the stream ends with %v", s.Err())
	}
	record := r.record(response.Header)
	if record.ErrorType != "client_gone" || record.Usage == nil || record.Usage.Complete {
		t.Errorf("record %+v, usage %+v", record, record.Usage)
	}
	bustest.Eventually(t, "the provider has noticed", func() bool { return provider.Active() == 0 })
}

// TestAnthropicBetas: what a beta needs arrives.
func TestAnthropicBetas(t *testing.T) {
	p := newRoutes(map[string]any{
		"POST /v1/messages": `{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}`,
	})
	r := newRig(t, p)
	c := r.anthropic()
	_, err := c.Beta.Messages.New(t.Context(), anthropic.BetaMessageNewParams{
		Model: claude, MaxTokens: 16, Betas: []anthropic.AnthropicBeta{"context-1m-2025-08-07", "interleaved-thinking-2025-05-14"},
		Messages: []anthropic.BetaMessageParam{anthropic.NewBetaUserMessage(anthropic.NewBetaTextBlock("hello"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := p.last(t)
	if got.URI != "/v1/messages?beta=true" || strings.Join(got.Header.Values("Anthropic-Beta"), ",") != "context-1m-2025-08-07,interleaved-thinking-2025-05-14" {
		t.Errorf("the provider got %s with %q", got.URI, got.Header.Values("Anthropic-Beta"))
	}
}
