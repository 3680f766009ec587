package sdktest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genai"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

// gemini is a client, and what keeps the header of its latest answer, which errors of
// this library do not have.
func (r *rig) gemini() (*genai.Client, *latest) {
	r.t.Helper()
	seen := &latest{}
	c, err := genai.NewClient(r.t.Context(), &genai.ClientConfig{
		APIKey: noKey, Backend: genai.BackendGeminiAPI,
		HTTPClient:  &http.Client{Transport: seen},
		HTTPOptions: genai.HTTPOptions{BaseURL: r.url},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return c, seen
}

// latest keeps the header of the latest answer.
type latest struct{ header http.Header }

// RoundTrip implements [http.RoundTripper].
func (l *latest) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		l.header = response.Header
	}
	return response, err
}

const geminiModel = "gemini-3.1-pro-preview"

var geminiTools = &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{
	Name: "exec", ParametersJsonSchema: execSchema,
}}}}}

func TestGeminiPlain(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c, seen := r.gemini()
	got, err := c.Models.GenerateContent(t.Context(), geminiModel, genai.Text("#say The tide is out."), geminiTools)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text() != "The tide is out." {
		t.Errorf("candidates: %+v", got.Candidates)
	}
	record := r.record(seen.header)
	same(t, record, int64(got.UsageMetadata.PromptTokenCount), int64(got.UsageMetadata.CandidatesTokenCount+got.UsageMetadata.ThoughtsTokenCount))
	if record.ResponseID != got.ResponseID || record.ResponseModel != got.ModelVersion {
		t.Errorf("record %+v", record)
	}
}

func TestGeminiStreaming(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c, seen := r.gemini()
	var text strings.Builder
	var calls []*genai.FunctionCall
	var usage *genai.GenerateContentResponseUsageMetadata
	for got, err := range c.Models.GenerateContentStream(t.Context(), geminiModel, genai.Text("#say The tide is out.\n#tool exec {\"command\":\"ls\"}"), geminiTools) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(got.Text())
		calls = append(calls, got.FunctionCalls()...)
		usage = got.UsageMetadata
	}
	if text.String() != "The tide is out." || len(calls) != 1 || calls[0].Args["command"] != "ls" {
		t.Errorf("text %q, calls %+v", text.String(), calls)
	}
	record := r.record(seen.header)
	same(t, record, int64(usage.PromptTokenCount), int64(usage.CandidatesTokenCount+usage.ThoughtsTokenCount))
	if len(record.ToolCalls) != 1 {
		t.Errorf("calls in the record: %+v", record.ToolCalls)
	}
}

func TestGeminiTools(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c, _ := r.gemini()
	contents := genai.Text("#tool exec {\"command\":\"date\"}")
	first, err := c.Models.GenerateContent(t.Context(), geminiModel, contents, geminiTools)
	if err != nil || len(first.FunctionCalls()) != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	contents = append(contents, first.Candidates[0].Content,
		genai.NewContentFromFunctionResponse("exec", map[string]any{"output": "done"}, genai.RoleUser))
	second, err := c.Models.GenerateContent(t.Context(), geminiModel, contents, geminiTools)
	if err != nil || len(second.FunctionCalls()) > 0 || second.Text() == "" {
		t.Errorf("%+v, %v", second, err)
	}
}

func TestGeminiCountTokensAndModels(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c, _ := r.gemini()
	count, err := c.Models.CountTokens(t.Context(), geminiModel, genai.Text("How long is this?"), nil)
	if err != nil || count.TotalTokens == 0 {
		t.Errorf("%+v, %v", count, err)
	}
	models, err := c.Models.List(t.Context(), nil)
	if err != nil || len(models.Items) == 0 {
		t.Errorf("models: %+v, %v", models, err)
	}
}

func TestGeminiErrors(t *testing.T) {
	r := newRig(t, llmtest.New(llmtest.Config{}))
	c, seen := r.gemini()
	for _, status := range []int{400, 404, 429, 500, 503} {
		_, err := c.Models.GenerateContent(t.Context(), geminiModel, genai.Text("#error "+strconv.Itoa(status)), nil)
		failed, ok := errors.AsType[genai.APIError](err)
		if !ok || failed.Code != status || failed.Status == "" {
			t.Errorf("%d: %v", status, err)
			continue
		}
		if record := r.record(seen.header); record.Decision != proto.DecisionAllowed || record.Status != status || record.ErrorType != failed.Status {
			t.Errorf("%d: record %+v", status, record)
		}
	}
}

func TestGeminiRefused(t *testing.T) {
	p := newRoutes(nil)
	r := newRig(t, p, "PROXY_CANARIES=lantern-7781-keeper-of-shoals")
	c, seen := r.gemini()
	const text = "The word is lantern-7781-keeper-of-shoals."
	_, plain := c.Models.GenerateContent(t.Context(), geminiModel, genai.Text(text), nil)
	var streamed error
	for _, streamed = range c.Models.GenerateContentStream(t.Context(), geminiModel, genai.Text(text), nil) {
		break
	}
	for _, err := range []error{plain, streamed} {
		if failed, ok := errors.AsType[genai.APIError](err); !ok || failed.Code != 400 || failed.Status != "INVALID_ARGUMENT" || !strings.Contains(failed.Message, "proxy") {
			t.Errorf("%v", err)
		}
	}
	if e := r.entry(seen.header, alerted); e.End.Decision != proto.DecisionBlocked {
		t.Errorf("record %+v", e.End)
	}
	if len(p.came) > 0 {
		t.Errorf("the provider got %+v", p.came)
	}
}

func TestGeminiCancels(t *testing.T) {
	provider := llmtest.New(llmtest.Config{})
	r := newRig(t, provider)
	c, seen := r.gemini()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Models.GenerateContentStream(ctx, geminiModel, genai.Text("#text 5\n#stall 2"), nil) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the stream ends with %v", last)
	}
	if record := r.record(seen.header); record.ErrorType != "client_gone" {
		t.Errorf("record %+v", record)
	}
	bustest.Eventually(t, "the provider has noticed", func() bool { return provider.Active() == 0 })
}
