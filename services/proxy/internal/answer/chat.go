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
	dropUsage bool
	calls     []*chatCall
	finishing bool // a choice has finished
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
	Error   jsontext.Value `json:"error"`
}

type chatChoice struct {
	Index        int         `json:"index"`
	Delta        chatMessage `json:"delta"`
	Message      chatMessage `json:"message"`
	FinishReason text        `json:"finish_reason"`
}

type chatMessage struct {
	Content          text           `json:"content"`
	Refusal          text           `json:"refusal"`
	Reasoning        text           `json:"reasoning"`         // OpenRouter, vLLM
	ReasoningContent text           `json:"reasoning_content"` // DeepSeek
	ToolCalls        []chatFragment `json:"tool_calls"`
	FunctionCall     *chatFunction  `json:"function_call"`
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

func (c *chat) event(_, data []byte) (way, error) {
	var chunk chatChunk
	if err := parse(data, &chunk); err != nil {
		return pass, err
	}
	if err := c.chunk(&chunk); err != nil {
		return pass, err
	}
	if c.dropUsage && len(chunk.Choices) == 0 && chunk.Usage.Kind() == '{' && chunk.Error.Kind() != '{' {
		return drop, nil
	}
	return pass, nil
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
	for i := range chunk.Choices {
		choice := &chunk.Choices[i]
		// In a chunk, message is not documented, but some servers end with one.
		for _, m := range []*chatMessage{&choice.Delta, &choice.Message} {
			if err := c.message(choice.Index, m); err != nil {
				return err
			}
		}
		if len(choice.FinishReason) > 0 {
			c.finishChoice(choice.Index, string(choice.FinishReason))
		}
	}
	if chunk.Usage.Kind() == '{' {
		c.tally(chunk.Usage, c.finishing || len(chunk.Choices) == 0)
	}
	return nil
}

func (c *chat) message(choice int, m *chatMessage) error {
	k := key{choice: choice}
	c.say(k, m.Content)
	c.say(k, m.Refusal)
	k.index = 1 // the reasoning is a text of its own
	c.say(k, m.Reasoning)
	c.say(k, m.ReasoningContent)
	for i := range m.ToolCalls {
		f := &m.ToolCalls[i]
		if f.Function != nil && f.Custom != nil {
			return fmt.Errorf("%w: a tool call of two kinds", ErrMalformed)
		}
		if f.Function == nil {
			f.Function = f.Custom
		}
		if f.Function == nil {
			f.Function = new(chatFunction)
		}
		if err := c.add(choice, f); err != nil {
			return err
		}
	}
	if m.FunctionCall != nil {
		return c.add(choice, &chatFragment{Index: new(legacy), Function: m.FunctionCall})
	}
	return nil
}

// add puts a fragment where it belongs. The index says where, except that some
// servers leave it out, and some give calls of their own, each whole and with an
// id, the same one.
func (c *chat) add(choice int, f *chatFragment) error {
	to := c.latest(choice, f.Index)
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
	return f.Function.Name != "" && (to.ended || f.Index == nil && len(to.fragments) > 0 && to.isWhole())
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
	return len(c.fragments) == 0 || jsontext.Value(c.fragments).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (c *chat) finishChoice(choice int, reason string) {
	c.finish(choice, reason)
	c.finishing = true
	c.watch.end(key{choice: choice})
	c.watch.end(key{choice: choice, index: 1})
	for _, to := range c.calls {
		if to.key.choice == choice && !to.ended {
			to.whole = to.isWhole()
			c.end(to.call)
		}
	}
}

// tally takes the usage. Servers that tell it in every chunk tell it cumulated.
func (c *chat) tally(data jsontext.Value, final bool) {
	var told struct {
		Prompt     int64 `json:"prompt_tokens"`
		Completion int64 `json:"completion_tokens"`
		Input      struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		Output struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	}
	try(data, &told)
	u := c.usage()
	u.Input, u.CacheRead = told.Prompt, told.Input.Cached
	u.Output, u.Reasoning = told.Completion, told.Output.Reasoning
	u.Complete = u.Complete || final
}
