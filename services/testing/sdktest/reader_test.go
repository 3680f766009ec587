package sdktest

import (
	"context"
	"iter"
	"maps"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicsse "github.com/anthropics/anthropic-sdk-go/packages/ssestream"
	"github.com/openai/openai-go/v3"
	openaisse "github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"google.golang.org/genai"
)

// reader is a client that reads a stream with one call in it.
type reader interface {
	// next waits for the next event that the library yields, and reports whether there was
	// one and whether it is about the call.
	next() (ok, ofCall bool)
	// arguments are those of the call as far as they have come.
	arguments() string
	// done reports whether the library says that the call is whole.
	done() bool
	err() error
}

// clients are the vendors' libraries, by API.
var clients = map[string]func(context.Context, *rig) reader{
	"messages": func(ctx context.Context, r *rig) reader {
		return &messagesReader{stream: r.anthropic().Messages.NewStreaming(ctx, ask("hello"))}
	},
	"chat": func(ctx context.Context, r *rig) reader {
		c := r.openai()
		return &chatReader{stream: c.Chat.Completions.NewStreaming(ctx, chat("hello"))}
	},
	"responses": func(ctx context.Context, r *rig) reader {
		c := r.openai()
		return &responsesReader{stream: c.Responses.NewStreaming(ctx, respond("hello"))}
	},
	"gemini": func(ctx context.Context, r *rig) reader {
		c, _ := r.gemini()
		next, stop := iter.Pull2(c.Models.GenerateContentStream(ctx, geminiModel, genai.Text("hello"), geminiTools))
		r.t.Cleanup(stop)
		return &geminiReader{pull: next}
	},
}

type messagesReader struct {
	stream *anthropicsse.Stream[anthropic.MessageStreamEventUnion]
	text   strings.Builder
	block  int64
	begun  bool
	ended  bool
}

func (m *messagesReader) next() (ok, ofCall bool) {
	if !m.stream.Next() {
		return false, false
	}
	switch e := m.stream.Current().AsAny().(type) {
	case anthropic.ContentBlockStartEvent:
		if e.ContentBlock.Type == "tool_use" {
			m.begun, m.block, ofCall = true, e.Index, true
		}
	case anthropic.ContentBlockDeltaEvent:
		ofCall = m.begun && e.Index == m.block
		m.text.WriteString(e.Delta.PartialJSON)
	case anthropic.ContentBlockStopEvent:
		m.ended = m.ended || m.begun && e.Index == m.block
	}
	return true, ofCall
}

func (m *messagesReader) arguments() string { return m.text.String() }
func (m *messagesReader) done() bool        { return m.ended }
func (m *messagesReader) err() error        { return m.stream.Err() }

type chatReader struct {
	stream *openaisse.Stream[openai.ChatCompletionChunk]
	whole  openai.ChatCompletionAccumulator
	ended  bool
}

func (c *chatReader) next() (ok, ofCall bool) {
	if !c.stream.Next() {
		return false, false
	}
	chunk := c.stream.Current()
	c.whole.AddChunk(chunk)
	if _, ok := c.whole.JustFinishedToolCall(); ok {
		c.ended = true
	}
	for _, choice := range chunk.Choices {
		ofCall = ofCall || len(choice.Delta.ToolCalls) > 0
		c.ended = c.ended || choice.FinishReason != ""
	}
	return true, ofCall
}

func (c *chatReader) arguments() string {
	for _, choice := range c.whole.Choices {
		for _, call := range choice.Message.ToolCalls {
			return call.Function.Arguments
		}
	}
	return ""
}

func (c *chatReader) done() bool { return c.ended }
func (c *chatReader) err() error { return c.stream.Err() }

type responsesReader struct {
	stream *openaisse.Stream[responses.ResponseStreamEventUnion]
	text   strings.Builder
	ended  bool
	failed error
}

func (r *responsesReader) next() (ok, ofCall bool) {
	if !r.stream.Next() {
		return false, false
	}
	switch e := r.stream.Current().AsAny().(type) {
	case responses.ResponseOutputItemAddedEvent:
		ofCall = e.Item.Type == "function_call"
	case responses.ResponseFunctionCallArgumentsDeltaEvent:
		ofCall = true
		r.text.WriteString(e.Delta)
	case responses.ResponseFunctionCallArgumentsDoneEvent:
		r.ended = true
	case responses.ResponseOutputItemDoneEvent:
		r.ended = r.ended || e.Item.Type == "function_call"
	case responses.ResponseCompletedEvent:
		r.ended = true
	case responses.ResponseErrorEvent:
		r.failed = &openaiError{e.Message}
	}
	return true, ofCall
}

// openaiError is an error that the library yields as an event.
type openaiError struct{ message string }

// Error implements error.
func (e *openaiError) Error() string { return e.message }

func (r *responsesReader) arguments() string { return r.text.String() }
func (r *responsesReader) done() bool        { return r.ended }

func (r *responsesReader) err() error {
	if r.failed != nil {
		return r.failed
	}
	return r.stream.Err()
}

type geminiReader struct {
	pull   func() (*genai.GenerateContentResponse, error, bool)
	called map[string]any
	failed error
}

func (g *geminiReader) next() (ok, ofCall bool) {
	got, err, ok := g.pull()
	if !ok || err != nil {
		g.failed = err
		return false, false
	}
	for _, call := range got.FunctionCalls() {
		g.called = maps.Clone(call.Args)
		ofCall = true
	}
	return true, ofCall
}

func (g *geminiReader) arguments() string {
	if g.called == nil {
		return ""
	}
	return text(g.called)
}

func (g *geminiReader) done() bool { return g.called != nil }
func (g *geminiReader) err() error { return g.failed }
