package llmtest

import (
	"fmt"
	"iter"
)

// events yields the stream of the Messages API: a content block for the text and
// one for each tool call, each with a start, deltas and a stop.
// https://docs.claude.com/en/api/messages-streaming
func (messages) events(a *answer) iter.Seq[event] {
	return func(yield func(event) bool) {
		var wire []byte
		say := func(paced bool, name, data string, args ...any) bool {
			wire = fmt.Appendf(wire[:0], "event: %s\ndata: ", name)
			wire = append(fmt.Appendf(wire, data, args...), "\n\n"...)
			return yield(event{wire: wire, paced: paced})
		}
		ok := say(false, "message_start",
			`{"type":"message_start","message":{"id":%q,"type":"message","role":"assistant","model":%s,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{%s,"output_tokens":1,"service_tier":"standard"}}}`,
			messageID(a), quote(a.model), inputUsage(a))
		index := 0
		block := func(start string, deltas iter.Seq[string], paced bool) bool {
			ok := say(false, "content_block_start", `{"type":"content_block_start","index":%d,"content_block":%s}`, index, start)
			if ok && index == 0 {
				ok = say(false, "ping", `{"type": "ping"}`)
			}
			if !ok {
				return false
			}
			for delta := range deltas {
				if !say(paced, "content_block_delta", `{"type":"content_block_delta","index":%d,"delta":{%s}}`, index, delta) {
					return false
				}
			}
			ok = say(false, "content_block_stop", `{"type":"content_block_stop","index":%d}`, index)
			index++
			return ok
		}
		if ok && len(a.pieces) > 0 {
			ok = block(`{"type":"text","text":""}`, textDeltas(a), true)
		}
		for i, call := range a.calls {
			ok = ok && block(fmt.Sprintf(`{"type":"tool_use","id":%q,"name":%s,"input":{}}`, toolID(a, i), quote(call.name)), inputDeltas(call), false)
		}
		// The usage of message_delta is cumulative: it repeats the input's part.
		_ = ok && say(false, "message_delta",
			`{"type":"message_delta","delta":{"stop_reason":%q,"stop_sequence":null},"usage":{%s,"output_tokens":%d}}`,
			stopReason(a), inputUsage(a), a.usage.output) &&
			say(false, "message_stop", `{"type":"message_stop"}`)
	}
}

func textDeltas(a *answer) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, piece := range a.pieces {
			if !yield(`"type":"text_delta","text":` + quote(piece)) {
				return
			}
		}
	}
}

// inputDeltas begins with an empty one, as Anthropic's do.
func inputDeltas(call toolCall) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(`"type":"input_json_delta","partial_json":""`) {
			return
		}
		for fragment := range fragments(call.arguments) {
			if !yield(`"type":"input_json_delta","partial_json":` + quote(fragment)) {
				return
			}
		}
	}
}
