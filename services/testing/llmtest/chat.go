package llmtest

import (
	"fmt"
	"iter"
	"net/http"
	"strings"
)

// chat is the Chat Completions API.
type chat struct{}

var (
	_ format   = chat{}
	_ streamer = chat{}
)

func (chat) read(body []byte, _ *http.Request, p *prompt) *fault {
	n, options := 0, false
	for name, value := range members(body) {
		switch name {
		case "model":
			p.model = text(value)
		case "stream":
			p.stream = string(value) == "true"
		case "stream_options":
			options = string(value) != "null"
			for name, value := range members(value) {
				if name == "include_usage" {
					p.includeUsage = string(value) == "true"
				}
			}
		case "messages":
			var newest []byte
			newest, n = last(value)
			p.text = userText(newest, "")
		}
	}
	switch {
	case p.model == "":
		return missing("A model must be named.")
	case n == 0:
		return missing("'messages' must hold at least one message.")
	case options && !p.stream:
		return missing("'stream_options' is only for an answer that streams.")
	}
	return nil
}

func (chat) contentType(*answer) string { return "text/event-stream; charset=utf-8" }

// errorEvent is a data line; the stream ends behind it without [DONE].
func (chat) errorEvent(x *exchange, _ *answer, f *fault, _ int) []byte {
	return fmt.Appendf(nil, "data: %s\n\n", x.provider.errorBody(f, x.requestID))
}

func chatID(a *answer) string        { return fmt.Sprintf("chatcmpl-Fake%024d", a.serial) }
func callID(a *answer, i int) string { return fmt.Sprintf("call_Fake%016d%04d", a.serial, i) }

func finishReason(a *answer) string {
	if len(a.calls) > 0 {
		return "tool_calls"
	}
	return "stop"
}

func chatUsage(a *answer) string {
	u := a.usage
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`,
		u.input, u.output, u.input+u.output, u.cached)
}

// chatContent is the text of a message, null if it only calls tools.
func chatContent(a *answer, text string) string {
	if len(a.pieces) == 0 {
		return "null"
	}
	return quote(text)
}

func (chat) body(a *answer) []byte {
	calls := make([]string, len(a.calls))
	for i, call := range a.calls {
		calls[i] = fmt.Sprintf(`{"id":%q,"type":"function","function":{"name":%s,"arguments":%s}}`, callID(a, i), quote(call.name), quote(call.arguments))
	}
	toolCalls := ""
	if len(calls) > 0 {
		toolCalls = `"tool_calls":[` + strings.Join(calls, ",") + `],`
	}
	return fmt.Appendf(nil, `{"id":%q,"object":"chat.completion","created":%d,"model":%s,"choices":[{"index":0,"message":{"role":"assistant","content":%s,%s"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":%q}],"usage":%s,"service_tier":"default","system_fingerprint":"fp_fake"}`,
		chatID(a), a.created, quote(a.model), chatContent(a, a.text()), toolCalls, finishReason(a), chatUsage(a))
}

// events yields the stream of Chat Completions. With include_usage every chunk
// has a usage, which is null but in one more chunk, the last, without choices.
// https://platform.openai.com/docs/api-reference/chat-streaming
func (chat) events(a *answer) iter.Seq[event] {
	head := fmt.Sprintf(`{"id":%q,"object":"chat.completion.chunk","created":%d,"model":%s,"service_tier":"default","system_fingerprint":"fp_fake"`,
		chatID(a), a.created, quote(a.model))
	noUsage := ""
	if a.includeUsage {
		noUsage = `,"usage":null`
	}
	return func(yield func(event) bool) {
		var wire []byte
		chunk := func(paced bool, delta, finish string) bool {
			wire = fmt.Appendf(wire[:0], "data: %s,\"choices\":[{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}]%s}\n\n", head, delta, finish, noUsage)
			return yield(event{wire: wire, paced: paced})
		}
		ok := chunk(false, `"role":"assistant","content":`+chatContent(a, "")+`,"refusal":null`, "null")
		for _, piece := range a.pieces {
			ok = ok && chunk(true, `"content":`+quote(piece), "null")
		}
		for i, call := range a.calls {
			ok = ok && chunk(false, fmt.Sprintf(`"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%s,"arguments":""}}]`, i, callID(a, i), quote(call.name)), "null")
			for fragment := range fragments(call.arguments) {
				ok = ok && chunk(false, fmt.Sprintf(`"tool_calls":[{"index":%d,"function":{"arguments":%s}}]`, i, quote(fragment)), "null")
			}
		}
		ok = ok && chunk(false, "", quote(finishReason(a)))
		if a.includeUsage && ok {
			wire = fmt.Appendf(wire[:0], "data: %s,\"choices\":[],\"usage\":%s}\n\n", head, chatUsage(a))
			ok = yield(event{wire: wire})
		}
		_ = ok && yield(event{wire: []byte("data: [DONE]\n\n")})
	}
}
