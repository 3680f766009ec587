package answer

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// messages reads Anthropic's Messages API:
// https://docs.claude.com/en/docs/build-with-claude/streaming.
type messages struct {
	*gate
	lastCall int // index of the last call that has begun
	tokens   messagesTokens
}

type messagesEvent struct {
	Type         string         `json:"type"`
	Index        int            `json:"index"`
	Message      *message       `json:"message"`
	ContentBlock *messagesBlock `json:"content_block"`
	Delta        struct {
		Text        text `json:"text"`
		Thinking    text `json:"thinking"`
		PartialJSON text `json:"partial_json"`
		StopReason  text `json:"stop_reason"`
	} `json:"delta"`
	Usage jsontext.Value `json:"usage"`
	Error jsontext.Value `json:"error"`
}

// message is the body of an answer, and what message_start has of it.
type message struct {
	ID         text            `json:"id"`
	Model      text            `json:"model"`
	Content    []messagesBlock `json:"content"`
	StopReason text            `json:"stop_reason"`
	Usage      jsontext.Value  `json:"usage"`
	Error      jsontext.Value  `json:"error"`
}

type messagesBlock struct {
	Type     string         `json:"type"`
	ID       text           `json:"id"`
	Name     string         `json:"name"`
	Text     text           `json:"text"`
	Thinking text           `json:"thinking"`
	Input    jsontext.Value `json:"input"`
}

func (m *messages) event(name, data []byte) (way, error) {
	var ev messagesEvent
	if err := parse(data, &ev); err != nil {
		return pass, err
	}
	kind, err := eventType(name, ev.Type)
	if err != nil {
		return pass, err
	}
	k := key{index: ev.Index}
	switch kind {
	case "ping":
		return ahead, nil
	case "message_start", "message":
		if ev.Message != nil {
			return pass, m.message(ev.Message)
		}
	case "content_block_start":
		if ev.ContentBlock != nil {
			return pass, m.start(k, ev.ContentBlock)
		}
	case "content_block_delta":
		m.say(k, ev.Delta.Text)
		m.say(k, ev.Delta.Thinking)
		if len(ev.Delta.PartialJSON) == 0 {
			return pass, nil
		}
		c := m.find(k)
		if c == nil {
			return pass, fmt.Errorf("%w: arguments for block %d, which is no open call", ErrMalformed, ev.Index)
		}
		m.fragment(c, ev.Delta.PartialJSON)
	case "content_block_stop":
		m.watch.end(k)
		if c := m.find(k); c != nil {
			m.end(c)
		}
	case "message_delta":
		m.finish(0, string(ev.Delta.StopReason))
		m.tally(ev.Usage, len(ev.Delta.StopReason) > 0)
	case "message_stop":
		m.completeAll()
	case "error":
		m.fail(ev.Error)
	}
	return pass, nil
}

func (m *messages) body(data []byte) error {
	var msg message
	if err := parse(data, &msg); err != nil {
		return err
	}
	m.fail(msg.Error)
	return m.message(&msg)
}

func (m *messages) message(msg *message) error {
	m.identify(string(msg.ID), string(msg.Model))
	for i := range msg.Content {
		b := &msg.Content[i]
		if !b.isCall() {
			m.say(key{index: i}, b.Text)
			m.say(key{index: i}, b.Thinking)
			continue
		}
		tool := b.call()
		tool.Arguments = b.Input
		if err := m.whole(tool); err != nil {
			return err
		}
		m.lastCall = i
	}
	m.finish(0, string(msg.StopReason))
	m.tally(msg.Usage, len(msg.StopReason) > 0)
	return nil
}

// start begins a block. The index of a call has to be above that of the calls
// before it: there are clients that add to the block which had it first.
func (m *messages) start(k key, b *messagesBlock) error {
	if !b.isCall() {
		m.say(k, b.Text)
		m.say(k, b.Thinking)
		return nil
	}
	if k.index <= m.lastCall {
		return fmt.Errorf("%w: block %d begins twice", ErrMalformed, k.index)
	}
	m.lastCall = k.index
	c, err := m.begin(k, b.call())
	if err != nil {
		return err
	}
	// Where the input comes in fragments, the block begins with an empty one.
	if b.Input.Kind() != 'n' && !isEmptyObject(b.Input) {
		m.version(c, b.Input)
	}
	return nil
}

func (b *messagesBlock) isCall() bool { return strings.HasSuffix(b.Type, "tool_use") }

func (b *messagesBlock) call() llmapi.ToolCall {
	return llmapi.ToolCall{ID: string(b.ID), Name: b.Name, Remote: b.Type != "tool_use"}
}

func isEmptyObject(v jsontext.Value) bool {
	inner, ok := bytes.CutPrefix(v, []byte("{"))
	return ok && string(bytes.TrimSpace(inner)) == "}"
}

// messagesTokens is usage as far as it is told. It is cumulative: what is told
// later replaces what was told before.
type messagesTokens struct {
	Input         *int64 `json:"input_tokens"`
	Output        *int64 `json:"output_tokens"`
	CacheCreation *int64 `json:"cache_creation_input_tokens"`
	CacheRead     *int64 `json:"cache_read_input_tokens"`
}

func (m *messages) tally(data jsontext.Value, final bool) {
	if data.Kind() != '{' {
		return
	}
	var told messagesTokens
	try(data, &told)
	m.tokens = messagesTokens{
		Input:         cmp.Or(told.Input, m.tokens.Input),
		Output:        cmp.Or(told.Output, m.tokens.Output),
		CacheCreation: cmp.Or(told.CacheCreation, m.tokens.CacheCreation),
		CacheRead:     cmp.Or(told.CacheRead, m.tokens.CacheRead),
	}
	u := m.usage()
	u.Output, u.CacheCreation, u.CacheRead = value(m.tokens.Output), value(m.tokens.CacheCreation), value(m.tokens.CacheRead)
	u.Input = value(m.tokens.Input) + u.CacheCreation + u.CacheRead
	u.Complete = u.Complete || final
}

func value(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
