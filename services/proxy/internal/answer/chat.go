package answer

import (
	"fmt"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// chat reads OpenAI's Chat Completions, and what compatible servers make of it:
// https://platform.openai.com/docs/api-reference/chat-streaming.
//
// A call is complete when its choice has finished: until then a fragment may
// come for any of its calls, whether or not another has begun.
type chat struct {
	*gate
	usageMode UsageMode
	marked    bool // a chunk has had a usage of null
	calls     []*chatCall
	finishing bool // a choice has finished
	usage     chatUsage
}

// chatCall outlives the call that it is about, because a fragment may come when
// it is too late.
type chatCall struct {
	*call
	whole bool // the arguments it ended with are a JSON text, to which a client can add nothing
}

// legacy is the index of a choice's function_call, the one call that it can have
// in that form.
const legacy = math.MinInt

type chatChunk struct {
	ID      text           `json:"id"`
	Model   text           `json:"model"`
	Choices []chatChoice   `json:"choices"`
	Usage   jsontext.Value `json:"usage"`
	Tier    jsontext.Value `json:"service_tier"`
	Groq    jsontext.Value `json:"x_groq"` // with usage in it: https://console.groq.com/docs/api-reference#chat-create
	Error   jsontext.Value `json:"error"`

	// Members that belong into a choice.
	ToolCalls    jsontext.Value `json:"tool_calls"`
	FunctionCall jsontext.Value `json:"function_call"`
}

type chatChoice struct {
	Index        int          `json:"index"`
	Delta        *chatMessage `json:"delta"`
	Message      *chatMessage `json:"message"`
	FinishReason text         `json:"finish_reason"`

	Usage jsontext.Value `json:"usage"` // Moonshot: https://platform.moonshot.ai/docs/api/chat
}

type chatMessage struct {
	Content          content        `json:"content"`
	Refusal          text           `json:"refusal"`
	Reasoning        text           `json:"reasoning"`         // OpenRouter, vLLM
	ReasoningContent text           `json:"reasoning_content"` // DeepSeek
	ToolCalls        []chatFragment `json:"tool_calls"`
	FunctionCall     *chatFunction  `json:"function_call"`
}

// holdsCall reports whether there is a call among parts of content.
func (c *content) holdsCall() bool {
	if !c.parts {
		return false
	}
	type part struct {
		Function  jsontext.Value `json:"function"`
		Custom    jsontext.Value `json:"custom"`
		ToolCalls jsontext.Value `json:"tool_calls"`
		Call      jsontext.Value `json:"function_call"`
	}
	parts := make([]part, 1)
	if c.text[0] == '[' {
		try(jsontext.Value(c.text), &parts)
	} else {
		try(jsontext.Value(c.text), &parts[0])
	}
	for _, p := range parts {
		for _, value := range []jsontext.Value{p.Function, p.Custom, p.ToolCalls, p.Call} {
			if len(value) > 0 && value.Kind() != 'n' {
				return true
			}
		}
	}
	return false
}

type chatFragment struct {
	Index    *int          `json:"index"`
	ID       text          `json:"id"`
	Function *chatFunction `json:"function"`
	Custom   *chatFunction `json:"custom"`
}

type chatFunction struct {
	Name      string `json:"name"`
	Arguments text   `json:"arguments"`
	Input     text   `json:"input"` // of custom tools
}

// isEmpty reports whether the function is not there, or says nothing.
func (f *chatFunction) isEmpty() bool {
	return f == nil || f.Name == "" && len(f.Arguments) == 0 && len(f.Input) == 0
}

func (c *chat) event(_, data []byte) (way, error) {
	var chunk chatChunk
	if err := parse(data, &chunk); err != nil {
		return pass, err
	}
	if err := c.chunk(&chunk); err != nil {
		return pass, err
	}
	if len(chunk.Choices) == 0 && chunk.Usage.Kind() == '{' && chunk.Error.Kind() != '{' {
		return c.usageOnly(), nil
	}
	c.marked = c.marked || chunk.Usage.Kind() == 'n'
	return pass, nil
}

// usageOnly is what becomes of a chunk that has nothing but the usage.
func (c *chat) usageOnly() way {
	c.result.UsageChunk = UnmarkedUsageChunk
	if c.marked {
		c.result.UsageChunk = MarkedUsageChunk
	}
	if c.usageMode == DropUsage || c.usageMode == DropMarkedUsage && c.marked {
		return drop
	}
	return pass
}

func (c *chat) body(data []byte) error {
	var chunk chatChunk
	if err := parse(data, &chunk); err != nil {
		return err
	}
	return c.chunk(&chunk)
}

func (c *chat) chunk(chunk *chatChunk) error {
	c.identify(string(chunk.ID), string(chunk.Model))
	c.fail(chunk.Error)
	for _, misplaced := range []jsontext.Value{chunk.ToolCalls, chunk.FunctionCall} {
		if len(misplaced) > 0 && misplaced.Kind() != 'n' && string(misplaced) != "[]" {
			return fmt.Errorf("%w: a tool call outside the choices", ErrMalformed)
		}
	}
	for i := range chunk.Choices {
		choice := &chunk.Choices[i]
		// In a chunk, message is not documented, but some servers end with one.
		for _, m := range []*chatMessage{choice.Delta, choice.Message} {
			if m == nil {
				continue
			}
			if err := c.message(choice.Index, m); err != nil {
				return err
			}
		}
		if len(choice.FinishReason) > 0 {
			c.finishChoice(choice.Index, string(choice.FinishReason))
		}
	}
	c.served(word(chunk.Tier))
	c.state(chunk)
	return nil
}

func (c *chat) message(choice int, m *chatMessage) error {
	if m.Content.holdsCall() {
		return fmt.Errorf("%w: a tool call in a text", ErrMalformed)
	}
	for _, said := range []struct {
		kind string
		as   TextKind
		text text
	}{
		{"content", Content, m.Content.text},
		{"refusal", Content, m.Refusal},
		{"reasoning", Reasoning, m.Reasoning},
		{"reasoning_content", Reasoning, m.ReasoningContent},
	} {
		c.say(key{choice: choice, kind: said.kind}, said.as, said.text)
	}
	for i := range m.ToolCalls {
		f := &m.ToolCalls[i]
		// There are servers that write the kind that it is not with empty members.
		if f.Function.isEmpty() {
			f.Function, f.Custom = f.Custom, nil
		}
		if !f.Custom.isEmpty() {
			return fmt.Errorf("%w: a tool call of two kinds", ErrMalformed)
		}
		if f.Function == nil {
			f.Function = new(chatFunction)
		}
		if err := c.add(choice, f); err != nil {
			return err
		}
	}
	if !m.FunctionCall.isEmpty() {
		return c.add(choice, &chatFragment{Index: new(legacy), Function: m.FunctionCall})
	}
	return nil
}

// add puts a fragment where it belongs. The index says where, except that some
// servers leave it out, and some give calls of their own, each whole and with an
// id, the same one.
func (c *chat) add(choice int, f *chatFragment) error {
	to := c.latest(choice, f.Index)
	if to == nil && len(f.ID) == 0 && f.Function.isEmpty() {
		return nil // nothing has been said of it yet
	}
	if to == nil || c.anew(to, f) {
		if to != nil && !to.isWhole() {
			return fmt.Errorf("%w: a tool call begins in the place of one that is not complete", ErrMalformed)
		}
		var err error
		if to, err = c.beginCall(choice, f); err != nil {
			return err
		}
	}
	if to.ended {
		return fmt.Errorf("%w: a tool call goes on after its end", ErrMalformed)
	}
	if to.Name != "" && f.Function.Name != "" && f.Function.Name != to.Name {
		return fmt.Errorf("%w: a tool call with two names", ErrMalformed)
	}
	if f.Function.Name != "" {
		to.Name = f.Function.Name
	}
	if len(f.ID) > 0 {
		to.ID = string(f.ID)
	}
	c.fragment(to.call, f.Function.Arguments)
	c.fragment(to.call, f.Function.Input)
	return nil
}

// latest is the last call of a choice, or the last under an index.
func (c *chat) latest(choice int, index *int) *chatCall {
	for i := len(c.calls) - 1; i >= 0; i-- {
		to := c.calls[i]
		if to.key.choice == choice && (index == nil && to.key.index != legacy || index != nil && to.key.index == *index) {
			return to
		}
	}
	return nil
}

// anew reports whether a fragment begins a call rather than adding to the
// latest.
func (c *chat) anew(to *chatCall, f *chatFragment) bool {
	if len(f.ID) > 0 && to.ID != "" {
		return string(f.ID) != to.ID
	}
	return f.Function.Name != "" && (to.ended || f.Index == nil && len(to.args.text) > 0 && to.isWhole())
}

func (c *chat) beginCall(choice int, f *chatFragment) (*chatCall, error) {
	k := key{choice: choice}
	if f.Index != nil {
		k.index = *f.Index
	}
	begun, err := c.begin(k, llmapi.ToolCall{})
	if err != nil {
		return nil, err
	}
	to := &chatCall{call: begun}
	c.calls = append(c.calls, to)
	return to, nil
}

func (c *chatCall) isWhole() bool {
	if c.ended {
		return c.whole
	}
	return c.args.isJSON()
}

func (c *chat) finishChoice(choice int, reason string) {
	c.finish(choice, reason)
	c.finishing = true
	c.watch.endChoice(choice)
	for _, to := range c.calls {
		if to.key.choice == choice && !to.ended {
			to.whole = to.isWhole()
			c.end(to.call)
		}
	}
}
