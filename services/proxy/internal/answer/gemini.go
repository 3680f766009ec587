package answer

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// gemini reads Gemini's generateContent and streamGenerateContent:
// https://ai.google.dev/api/generate-content. A stream is an array of chunks, or
// one chunk in each event.
type gemini struct {
	*gate
	ended bool // a candidate has finished
}

type geminiChunk struct {
	ID         text `json:"responseId"`
	Model      text `json:"modelVersion"`
	Candidates []struct {
		Index   int `json:"index"`
		Content struct {
			Parts []geminiPart `json:"parts"`
		} `json:"content"`
		FinishReason text `json:"finishReason"`
	} `json:"candidates"`
	PromptFeedback struct {
		BlockReason text `json:"blockReason"`
	} `json:"promptFeedback"`
	Usage jsontext.Value `json:"usageMetadata"`
	Error jsontext.Value `json:"error"`
}

type geminiPart struct {
	Text         text `json:"text"`
	Thought      bool `json:"thought"`
	FunctionCall *struct {
		ID           text           `json:"id"`
		Name         string         `json:"name"`
		Args         jsontext.Value `json:"args"`
		PartialArgs  jsontext.Value `json:"partialArgs"`
		WillContinue bool           `json:"willContinue"`
	} `json:"functionCall"`
	ExecutableCode *struct {
		Code text `json:"code"`
	} `json:"executableCode"`
}

func (g *gemini) event(_, data []byte) (way, error) {
	var chunk geminiChunk
	if err := parse(data, &chunk); err != nil {
		return pass, err
	}
	return pass, g.chunk(&chunk)
}

func (g *gemini) body(data []byte) error {
	var chunks []geminiChunk
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		if err := parse(data, &chunks); err != nil {
			return err
		}
	} else {
		chunks = make([]geminiChunk, 1)
		if err := parse(data, &chunks[0]); err != nil {
			return err
		}
	}
	for i := range chunks {
		if err := g.chunk(&chunks[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *gemini) chunk(chunk *geminiChunk) error {
	g.identify(string(chunk.ID), string(chunk.Model))
	g.fail(chunk.Error)
	for i := range chunk.Candidates {
		candidate := &chunk.Candidates[i]
		for j := range candidate.Content.Parts {
			if err := g.part(candidate.Index, &candidate.Content.Parts[j]); err != nil {
				return err
			}
		}
		if len(candidate.FinishReason) > 0 {
			g.finish(candidate.Index, string(candidate.FinishReason))
			g.ended = true
			g.watch.end(key{choice: candidate.Index})
			g.watch.end(key{candidate.Index, 1})
		}
	}
	if reason := chunk.PromptFeedback.BlockReason; len(reason) > 0 {
		g.finish(0, string(reason))
		g.ended = true
	}
	if chunk.Usage.Kind() == '{' {
		g.tally(chunk.Usage)
	}
	return nil
}

func (g *gemini) part(candidate int, p *geminiPart) error {
	k := key{choice: candidate}
	if p.Thought {
		k.index = 1 // a text of its own
	}
	g.say(k, p.Text)
	if call := p.FunctionCall; call != nil {
		// Only a request that asks for it gets a call in pieces, by JSON path.
		if len(call.PartialArgs) > 0 || call.WillContinue {
			return fmt.Errorf("%w: a function call in pieces", ErrMalformed)
		}
		if err := g.whole(llmapi.ToolCall{ID: string(call.ID), Name: call.Name, Arguments: call.Args}); err != nil {
			return err
		}
	}
	if p.ExecutableCode != nil {
		return g.whole(llmapi.ToolCall{Name: "executableCode", Arguments: p.ExecutableCode.Code, Remote: true})
	}
	return nil
}

// tally takes the usage; the last one counts.
func (g *gemini) tally(data jsontext.Value) {
	var told struct {
		Prompt     int64 `json:"promptTokenCount"`
		ToolPrompt int64 `json:"toolUsePromptTokenCount"`
		Cached     int64 `json:"cachedContentTokenCount"` // part of the prompt
		Candidates int64 `json:"candidatesTokenCount"`
		Thoughts   int64 `json:"thoughtsTokenCount"`
	}
	try(data, &told)
	u := g.usage()
	u.Input, u.CacheRead = told.Prompt+told.ToolPrompt, told.Cached
	u.Output, u.Reasoning = told.Candidates+told.Thoughts, told.Thoughts
	u.Complete = g.ended
}
