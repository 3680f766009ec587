package answer

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// messages reads Anthropic's Messages API:
// https://docs.claude.com/en/docs/build-with-claude/streaming.
type messages struct {
	*gate
	lastCall int                       // index of the last call that has begun
	known    map[string]jsontext.Value // of the usage
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

		Content []messagesBlock `json:"content"` // of a message, which has no place here
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
		m.speak(ev.Index, ev.Delta.Text, ev.Delta.Thinking)
		if len(ev.Delta.PartialJSON) == 0 {
			return pass, nil
		}
		c := m.find(k)
		if c == nil {
			return pass, fmt.Errorf("%w: arguments for block %d, which is not an open call", ErrMalformed, ev.Index)
		}
		m.fragment(c, ev.Delta.PartialJSON)
	case "content_block_stop":
		m.watch.end(key{index: ev.Index, kind: "text"})
		m.watch.end(key{index: ev.Index, kind: "thinking"})
		if c := m.find(k); c != nil {
			m.end(c)
		}
	case "message_delta":
		for i := range ev.Delta.Content {
			if ev.Delta.Content[i].isCall() {
				return pass, fmt.Errorf("%w: a tool call in the end of a message", ErrMalformed)
			}
		}
		m.finish(0, string(ev.Delta.StopReason))
		m.state(ev.Usage, len(ev.Delta.StopReason) > 0)
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
			m.speak(i, b.Text, b.Thinking)
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
	m.state(msg.Usage, len(msg.StopReason) > 0)
	return nil
}

func (m *messages) speak(block int, said, thought []byte) {
	m.say(key{index: block, kind: "text"}, Content, said)
	m.say(key{index: block, kind: "thinking"}, Reasoning, thought)
}

// start begins a block. The index of a call has to be above that of the calls
// before it: there are clients that add to the block which had it first.
func (m *messages) start(k key, b *messagesBlock) error {
	if !b.isCall() {
		m.speak(k.index, b.Text, b.Thinking)
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
