package llmtest

import (
	"fmt"
	"iter"
)

// events yields the stream of the Responses API: each item of the output is
// added, filled and done, and the last event has the whole response again. All
// are numbered. There is no [DONE].
// https://platform.openai.com/docs/api-reference/responses-streaming
func (responses) events(a *answer) iter.Seq[event] {
	return func(yield func(event) bool) {
		s := &responseStream{answer: a, yield: yield, ok: true}
		empty := responseObject(a, "in_progress", nil, "null")
		s.say("response.created", `"response":%s`, empty)
		s.say("response.in_progress", `"response":%s`, empty)
		if len(a.pieces) > 0 {
			s.message()
		}
		for i := range a.calls {
			s.call(i)
		}
		s.say("response.completed", `"response":%s`, responseObject(a, "completed", outputItems(a), responseUsage(a)))
	}
}

// responseStream numbers events and items.
type responseStream struct {
	answer *answer
	yield  func(event) bool
	ok     bool // more is wanted
	number int
	index  int // output_index
	paced  bool
	wire   []byte
}

func (s *responseStream) say(kind, data string, args ...any) {
	if !s.ok {
		return
	}
	s.wire = fmt.Appendf(s.wire[:0], "event: %s\ndata: {\"type\":%q,\"sequence_number\":%d,", kind, kind, s.number)
	s.wire = append(fmt.Appendf(s.wire, data, args...), "}\n\n"...)
	s.number++
	s.ok = s.yield(event{wire: s.wire, paced: s.paced})
}

func (s *responseStream) message() {
	a, id := s.answer, messageItemID(s.answer)
	whole := a.text()
	s.say("response.output_item.added", `"output_index":%d,"item":%s`, s.index, messageItem(a, "in_progress", ""))
	s.say("response.content_part.added", `"item_id":%q,"output_index":%d,"content_index":0,"part":%s`, id, s.index, textPart(""))
	s.paced = true
	for _, piece := range a.pieces {
		s.say("response.output_text.delta", `"item_id":%q,"output_index":%d,"content_index":0,"delta":%s,"logprobs":[]`, id, s.index, quote(piece))
	}
	s.paced = false
	s.say("response.output_text.done", `"item_id":%q,"output_index":%d,"content_index":0,"text":%s,"logprobs":[]`, id, s.index, quote(whole))
	s.say("response.content_part.done", `"item_id":%q,"output_index":%d,"content_index":0,"part":%s`, id, s.index, textPart(whole))
	s.say("response.output_item.done", `"output_index":%d,"item":%s`, s.index, messageItem(a, "completed", textPart(whole)))
	s.index++
}

func (s *responseStream) call(i int) {
	a, id := s.answer, callItemID(s.answer, i)
	arguments := a.calls[i].arguments
	s.say("response.output_item.added", `"output_index":%d,"item":%s`, s.index, callItem(a, i, "in_progress", ""))
	for fragment := range fragments(arguments) {
		s.say("response.function_call_arguments.delta", `"item_id":%q,"output_index":%d,"delta":%s`, id, s.index, quote(fragment))
	}
	s.say("response.function_call_arguments.done", `"item_id":%q,"output_index":%d,"name":%s,"arguments":%s`, id, s.index, quote(a.calls[i].name), quote(arguments))
	s.say("response.output_item.done", `"output_index":%d,"item":%s`, s.index, callItem(a, i, "completed", arguments))
	s.index++
}
