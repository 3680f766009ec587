package answer

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// gemini reads Gemini's generateContent and streamGenerateContent:
// https://ai.google.dev/api/generate-content. A stream is an array of chunks, or
// one chunk in each event.
type gemini struct {
	*gate
	asked  bool // for arguments in pieces
	ended  bool // a candidate has finished
	pieces map[int]*geminiPieces
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
	Text         text        `json:"text"`
	Thought      bool        `json:"thought"`
	FunctionCall *geminiCall `json:"functionCall"`
	ToolCall     *struct {   // that the provider runs
		ID   text           `json:"id"`
		Type string         `json:"toolType"`
		Args jsontext.Value `json:"args"`
	} `json:"toolCall"`
	ExecutableCode *struct {
		Code text `json:"code"`
	} `json:"executableCode"`
	Others jsontext.Value `json:",embed"`
}

type geminiCall struct {
	ID           text           `json:"id"`
	Name         string         `json:"name"`
	Args         jsontext.Value `json:"args"`
	PartialArgs  []geminiPiece  `json:"partialArgs"`
	WillContinue bool           `json:"willContinue"`
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
			g.endPieces(candidate.Index)
			g.watch.endChoice(candidate.Index)
		}
	}
	if reason := chunk.PromptFeedback.BlockReason; len(reason) > 0 {
		g.finish(0, string(reason))
		g.ended = true
	}
	if chunk.Usage.Kind() == '{' {
		g.tally(geminiTokens(chunk.Usage), g.ended)
	}
	return nil
}

func (g *gemini) part(candidate int, p *geminiPart) error {
	if p.Thought {
		g.say(key{choice: candidate, kind: "thought"}, Reasoning, p.Text)
	} else {
		g.say(key{choice: candidate, kind: "text"}, Content, p.Text)
	}
	var calls []llmapi.ToolCall
	if call := p.FunctionCall; call != nil {
		if call.WillContinue || len(call.PartialArgs) > 0 || g.pieces[candidate] != nil {
			if err := g.piece(candidate, call); err != nil {
				return err
			}
		} else {
			calls = append(calls, llmapi.ToolCall{ID: string(call.ID), Name: call.Name, Arguments: call.Args})
		}
	}
	if call := p.ToolCall; call != nil {
		calls = append(calls, llmapi.ToolCall{ID: string(call.ID), Name: cmp.Or(call.Type, "toolCall"), Arguments: call.Args, Remote: true})
	}
	if p.ExecutableCode != nil {
		calls = append(calls, llmapi.ToolCall{Name: "executableCode", Arguments: p.ExecutableCode.Code, Remote: true})
	}
	if len(p.Others) > 0 {
		calls = append(calls, p.unknownCalls()...)
	}
	for _, call := range calls {
		if err := g.whole(call); err != nil {
			return err
		}
	}
	return nil
}

// unknownCalls are the members of a part that this package does not know and that are
// called as calls are: what might act is held and judged.
func (p *geminiPart) unknownCalls() []llmapi.ToolCall {
	var calls []llmapi.ToolCall
	members := make(map[string]jsontext.Value)
	try(p.Others, &members)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if value := members[name]; value.Kind() == '{' && strings.HasSuffix(fold([]byte(name)), "call") {
			calls = append(calls, llmapi.ToolCall{Name: name, Arguments: value})
		}
	}
	return calls
}
