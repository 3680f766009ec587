package sdktest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"google.golang.org/genai"

	"github.com/openclaw-security/bus/proto"
)

// answer writes JSON with a type of its own.
func answer(contentType, body string, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

const batchLine = `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-5.2","messages":[{"role":"user","content":"Which tide is next?"}]}}` + "\n"

func TestOpenAIFilesAndBatches(t *testing.T) {
	const (
		file    = `{"id":"file-1","object":"file","bytes":150,"created_at":1,"filename":"in.jsonl","purpose":"batch","status":"processed"}`
		batch   = `{"id":"batch_1","object":"batch","endpoint":"/v1/chat/completions","input_file_id":"file-1","output_file_id":"file-2","completion_window":"24h","status":"completed","created_at":1}`
		results = `{"id":"r1","custom_id":"a","response":{"status_code":200,"body":{"id":"c1","object":"chat.completion","model":"gpt-5.2","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"exec","arguments":"{\"command\":\"date\"}"}}]}}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}}}` + "\n"
	)
	p := newRoutes(map[string]any{
		"POST /v1/files":               file,
		"GET /v1/files":                `{"object":"list","data":[` + file + `],"has_more":false}`,
		"GET /v1/files/file-1":         file,
		"GET /v1/files/file-2/content": answer("application/octet-stream", results),
		"DELETE /v1/files/file-1":      `{"id":"file-1","object":"file","deleted":true}`,
		"POST /v1/batches":             batch,
		"GET /v1/batches/batch_1":      batch,
	})
	r := newRig(t, p)
	c := r.openai()
	var response *http.Response
	got, err := c.Files.New(t.Context(), openai.FileNewParams{
		File: openai.File(strings.NewReader(batchLine), "in.jsonl", "application/jsonl"), Purpose: openai.FilePurposeBatch,
	}, option.WithResponseInto(&response))
	if err != nil || got.ID != "file-1" {
		t.Fatalf("%+v, %v", got, err)
	}
	if a := r.record(response.Header); len(a.Files) != 1 || a.Files[0].Read != "requests" || a.Files[0].Requests != 1 || a.Files[0].Name != "in.jsonl" || a.RequestModel != gpt {
		t.Errorf("record %+v", a)
	}
	if sent := p.last(t).Body; !strings.Contains(sent, batchLine) || !strings.Contains(sent, "batch") {
		t.Errorf("sent %s", sent)
	}
	page, err := c.Files.List(t.Context(), openai.FileListParams{Purpose: openai.String("batch"), Limit: openai.Int(5)})
	if err != nil || len(page.Data) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	if one, err := c.Files.Get(t.Context(), "file-1"); err != nil || one.Filename != "in.jsonl" {
		t.Errorf("%+v, %v", one, err)
	}
	made, err := c.Batches.New(t.Context(), openai.BatchNewParams{
		CompletionWindow: openai.BatchNewParamsCompletionWindow24h, Endpoint: openai.BatchNewParamsEndpointV1ChatCompletions, InputFileID: "file-1",
	})
	if err != nil || made.ID != "batch_1" {
		t.Fatalf("%+v, %v", made, err)
	}
	if done, err := c.Batches.Get(t.Context(), "batch_1"); err != nil || done.OutputFileID != "file-2" {
		t.Errorf("%+v, %v", done, err)
	}
	content, err := c.Files.Content(t.Context(), "file-2")
	if err != nil {
		t.Fatal(err)
	}
	defer content.Body.Close()
	if body, err := io.ReadAll(content.Body); err != nil || string(body) != results {
		t.Errorf("%s, %v", body, err)
	}
	if a := r.record(content.Header); len(a.ToolCalls) != 1 || a.ToolCalls[0].ID != "call_1" || a.Usage == nil || a.Usage.Input != 7 {
		t.Errorf("record %+v", a)
	}
	if gone, err := c.Files.Delete(t.Context(), "file-1"); err != nil || !gone.Deleted {
		t.Errorf("%+v, %v", gone, err)
	}
}

// A request in a batch that may not pass is a typed error, and the provider has no batch.
func TestOpenAIBatchIsStopped(t *testing.T) {
	const canary = "canary-of-the-harbor"
	p := newRoutes(map[string]any{"POST /v1/files": `{"id":"file-1","object":"file"}`})
	r := newRig(t, p, "PROXY_CANARIES="+canary)
	_, err := r.openai().Files.New(t.Context(), openai.FileNewParams{
		File:    openai.File(strings.NewReader(strings.Repeat(batchLine, 500)+strings.Replace(batchLine, "tide", canary, 1)), "in.jsonl", "application/jsonl"),
		Purpose: openai.FilePurposeBatch,
	})
	if problem, ok := errors.AsType[*openai.Error](err); !ok || problem.StatusCode != http.StatusBadRequest || !strings.Contains(problem.Message, "canary") {
		t.Fatalf("%v", err)
	} else if a := r.record(problem.Response.Header); a.Decision != proto.DecisionBlocked || len(a.Files) != 1 {
		t.Errorf("record %+v", a)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.came) != 0 {
		t.Errorf("%d requests came", len(p.came))
	}
}

func TestOpenAIAudioImagesModerations(t *testing.T) {
	p := newRoutes(map[string]any{
		"POST /v1/audio/transcriptions": `{"text":"The boat leaves at six.","usage":{"type":"tokens","input_tokens":40,"output_tokens":7,"total_tokens":47}}`,
		"POST /v1/images/edits":         `{"created":1,"data":[{"b64_json":"aGk="}]}`,
		"POST /v1/moderations":          `{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false}]}`,
	})
	r := newRig(t, p)
	c := r.openai()
	var response *http.Response
	sound := "OggS\x00\x01" + strings.Repeat("\xff\x02", 600)
	heard, err := c.Audio.Transcriptions.New(t.Context(), openai.AudioTranscriptionNewParams{
		File: openai.File(strings.NewReader(sound), "note.ogg", "audio/ogg"), Model: "gpt-4o-transcribe",
	}, option.WithResponseInto(&response))
	if err != nil || heard.Text != "The boat leaves at six." {
		t.Fatalf("%+v, %v", heard, err)
	}
	if a := r.record(response.Header); a.Usage == nil || a.Usage.Input != 40 || a.RequestModel != "gpt-4o-transcribe" || len(a.Files) != 1 || a.Files[0].Read != "opaque" || a.Files[0].Bytes != int64(len(sound)) {
		t.Errorf("record %+v", a)
	}
	if !strings.Contains(p.last(t).Body, sound) {
		t.Error("the sound has not arrived")
	}
	edited, err := c.Images.Edit(t.Context(), openai.ImageEditParams{
		Image: openai.ImageEditParamsImageUnion{OfFileArray: []io.Reader{
			openai.File(strings.NewReader("\x89PNG\x00"), "a.png", "image/png"), openai.File(strings.NewReader("\x89PNG\x01"), "b.png", "image/png"),
		}},
		Prompt: "Make the sea darker.",
	}, option.WithResponseInto(&response))
	if err != nil || len(edited.Data) != 1 {
		t.Fatalf("%+v, %v", edited, err)
	}
	if a := r.record(response.Header); len(a.Files) != 2 {
		t.Errorf("record %+v", a)
	}
	if m, err := c.Moderations.New(t.Context(), openai.ModerationNewParams{Input: openai.ModerationNewParamsInputUnion{OfString: openai.String("hello")}}); err != nil || m.Results[0].Flagged {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestOpenAIStoredResponsesAndConversations(t *testing.T) {
	const (
		item   = `{"type":"message","id":"msg_1","role":"user","status":"completed","content":[{"type":"input_text","text":"hi"}]}`
		stored = `{"id":"resp_1","object":"response","created_at":1,"model":"gpt-5.2","status":"completed","output":[{"type":"message","id":"msg_2","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hello.","annotations":[]}]}],"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7,"input_tokens_details":{"cached_tokens":0},"output_tokens_details":{"reasoning_tokens":0}}}`
		talk   = `{"id":"conv_1","object":"conversation","created_at":1,"metadata":{}}`
	)
	r := newRig(t, newRoutes(map[string]any{
		"POST /v1/responses":                   stored,
		"GET /v1/responses/resp_1":             stored,
		"DELETE /v1/responses/resp_1":          `{"id":"resp_1","object":"response","deleted":true}`,
		"GET /v1/responses/resp_1/input_items": `{"object":"list","data":[` + item + `],"has_more":false,"first_id":"msg_1","last_id":"msg_1"}`,
		"POST /v1/conversations":               talk,
		"GET /v1/conversations/conv_1":         talk,
		"GET /v1/conversations/conv_1/items":   `{"object":"list","data":[` + item + `],"has_more":false,"first_id":"msg_1","last_id":"msg_1"}`,
	}))
	c := r.openai()
	var response *http.Response
	if _, err := c.Responses.New(t.Context(), respond("hi"), option.WithResponseInto(&response)); err != nil {
		t.Fatal(err)
	}
	if a := r.record(response.Header); a.Usage == nil || a.Usage.Stored {
		t.Errorf("record %+v", a.Usage)
	}
	for range 2 {
		got, err := c.Responses.Get(t.Context(), "resp_1", responses.ResponseGetParams{}, option.WithResponseInto(&response))
		if err != nil || got.OutputText() != "Hello." {
			t.Fatalf("%+v, %v", got, err)
		}
		if a := r.record(response.Header); a.Usage == nil || !a.Usage.Stored || a.Usage.Input != 5 {
			t.Errorf("record %+v", a.Usage)
		}
	}
	if items, err := c.Responses.InputItems.List(t.Context(), "resp_1", responses.InputItemListParams{}); err != nil || len(items.Data) != 1 {
		t.Errorf("%+v, %v", items, err)
	}
	if err := c.Responses.Delete(t.Context(), "resp_1"); err != nil {
		t.Error(err)
	}
	if made, err := c.Conversations.New(t.Context(), conversations.ConversationNewParams{}); err != nil || made.ID != "conv_1" {
		t.Errorf("%+v, %v", made, err)
	}
	if items, err := c.Conversations.Items.List(t.Context(), "conv_1", conversations.ItemListParams{}); err != nil || len(items.Data) != 1 {
		t.Errorf("%+v, %v", items, err)
	}
}

func TestAnthropicFilesAndBatches(t *testing.T) {
	const (
		file    = `{"id":"file_011","type":"file","filename":"notes.txt","mime_type":"text/plain","size_bytes":5,"created_at":"2026-01-01T00:00:00Z","downloadable":true}`
		batch   = `{"id":"msgbatch_1","type":"message_batch","processing_status":"ended","request_counts":{"processing":0,"succeeded":1,"errored":0,"canceled":0,"expired":0},"created_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-02T00:00:00Z"}`
		results = `{"custom_id":"a","result":{"type":"succeeded","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"tool_use","id":"toolu_1","name":"exec","input":{"command":"date"}}],"stop_reason":"tool_use","usage":{"input_tokens":9,"output_tokens":4}}}}` + "\n"
	)
	r := newRig(t, newRoutes(map[string]any{
		"POST /v1/files":                              file,
		"GET /v1/files/file_011/content":              answer("text/plain", "notes"),
		"POST /v1/messages/batches":                   batch,
		"GET /v1/messages/batches/msgbatch_1/results": answer("application/x-jsonl", results),
	}))
	c := r.anthropic()
	var response *http.Response
	got, err := c.Beta.Files.Upload(t.Context(), anthropic.BetaFileUploadParams{
		File: anthropic.File(strings.NewReader("notes"), "notes.txt", "text/plain"), Betas: []anthropic.AnthropicBeta{anthropic.AnthropicBetaFilesAPI2025_04_14},
	}, anthropicoption.WithResponseInto(&response))
	if err != nil || got.ID != "file_011" {
		t.Fatalf("%+v, %v", got, err)
	}
	if a := r.record(response.Header); len(a.Files) != 1 || a.Files[0].Read != "text" || a.Provider != "anthropic" {
		t.Errorf("record %+v", a)
	}
	content, err := c.Beta.Files.Download(t.Context(), "file_011", anthropic.BetaFileDownloadParams{})
	if err != nil {
		t.Fatal(err)
	}
	defer content.Body.Close()
	if body, err := io.ReadAll(content.Body); err != nil || string(body) != "notes" {
		t.Errorf("%s, %v", body, err)
	}
	made, err := c.Messages.Batches.New(t.Context(), anthropic.MessageBatchNewParams{Requests: []anthropic.MessageBatchNewParamsRequest{{
		CustomID: "a",
		Params: anthropic.MessageBatchNewParamsRequestParams{
			Model: claude, MaxTokens: 16, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
		},
	}}})
	if err != nil || made.ID != "msgbatch_1" {
		t.Fatalf("%+v, %v", made, err)
	}
	s := c.Messages.Batches.ResultsStreaming(t.Context(), "msgbatch_1", anthropic.MessageBatchResultsParams{}, anthropicoption.WithResponseInto(&response))
	n := 0
	for s.Next() {
		if m := s.Current().Result.AsSucceeded().Message; m.Content[0].Name != "exec" {
			t.Errorf("message %+v", m)
		}
		n++
	}
	if err := s.Err(); err != nil || n != 1 {
		t.Errorf("%d results, %v", n, err)
	}
	if a := r.record(response.Header); len(a.ToolCalls) != 1 || a.Usage == nil || a.Usage.Input != 9 {
		t.Errorf("record %+v", a)
	}
}

func TestGeminiFilesBatchesAndEmbeddings(t *testing.T) {
	p := newRoutes(map[string]any{
		"POST /upload/v1beta/files": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Header.Get("X-Goog-Upload-Command") == "start" {
				w.Header().Set("X-Goog-Upload-URL", "http://"+r.Host+"/upload/v1beta/files?upload_id=u1&upload_protocol=resumable")
				_, _ = io.WriteString(w, "{}")
				return
			}
			w.Header().Set("X-Goog-Upload-Status", "final")
			_, _ = io.WriteString(w, `{"file":{"name":"files/f1","mimeType":"application/jsonl","state":"ACTIVE"}}`)
		},
		"GET /v1beta/files/{id}": answer("application/octet-stream", `{"key":"a","response":{"responseId":"g1","modelVersion":"`+geminiModel+`","candidates":[{"content":{"parts":[{"text":"Nine."}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":2,"totalTokenCount":8}}}`+"\n"),
		"POST /v1beta/models/{call}": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if strings.HasSuffix(r.URL.Path, ":batchGenerateContent") {
				_, _ = io.WriteString(w, `{"name":"batches/b1","metadata":{"name":"batches/b1","state":"BATCH_STATE_PENDING"}}`)
				return
			}
			_, _ = io.WriteString(w, `{"embedding":{"values":[0.1]},"embeddings":[{"values":[0.1]}]}`)
		},
	})
	r := newRig(t, p)
	c, seen := r.gemini()
	line, err := json.Marshal(map[string]any{"key": "a", "request": map[string]any{"contents": []any{map[string]any{"parts": []any{map[string]string{"text": "When is low tide?"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	file, err := c.Files.Upload(t.Context(), strings.NewReader(string(line)+"\n"), &genai.UploadFileConfig{MIMEType: "application/jsonl", DisplayName: "tides"})
	if err != nil || file.Name != "files/f1" {
		t.Fatalf("%+v, %v", file, err)
	}
	if last := p.last(t); last.Header.Get("X-Goog-Upload-Command") != "upload, finalize" || last.Body != string(line)+"\n" {
		t.Errorf("sent %+v", last)
	}
	if a := r.record(seen.header); len(a.Files) != 1 || a.Files[0].Requests != 1 || a.Provider != "gcp.gemini" {
		t.Errorf("record %+v", a)
	}
	content, err := c.Files.Download(t.Context(), genai.NewDownloadURIFromFile(&genai.File{DownloadURI: "https://generativelanguage.googleapis.com/v1beta/files/f2:download?alt=media", Name: "files/f2"}), nil)
	if err != nil || !strings.Contains(string(content), "Nine.") {
		t.Errorf("%s, %v", content, err)
	}
	if a := r.record(seen.header); a.Usage == nil || a.Usage.Input != 6 {
		t.Errorf("record %+v", a)
	}
	batch, err := c.Batches.Create(t.Context(), geminiModel, &genai.BatchJobSource{InlinedRequests: []*genai.InlinedRequest{{Contents: genai.Text("When is low tide?")}}}, nil)
	if err != nil || batch.Name != "batches/b1" {
		t.Errorf("%+v, %v", batch, err)
	}
	if got, err := c.Models.EmbedContent(t.Context(), "gemini-embedding-001", genai.Text("salt"), nil); err != nil || len(got.Embeddings) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
