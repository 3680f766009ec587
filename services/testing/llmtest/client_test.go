package llmtest

import (
	"strings"
	"testing"
)

// frame is one server-sent event.
type frame struct{ event, data string }

// frames cuts a stream up, and fails the test if it is not built as these
// providers build theirs.
func frames(t *testing.T, stream []byte) []frame {
	t.Helper()
	text := strings.ReplaceAll(string(stream), "\r\n", "\n")
	if !strings.HasSuffix(text, "\n\n") {
		t.Fatalf("the last event is not ended: %q", text)
	}
	var all []frame
	for one := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		var f frame
		for line := range strings.SplitSeq(one, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "event":
				f.event = value
			case "data":
				f.data = value
			default:
				t.Fatalf("unexpected line %q", line)
			}
		}
		all = append(all, f)
	}
	return all
}

type messageUsage struct {
	Input  int `json:"input_tokens"`
	Cached int `json:"cache_read_input_tokens"`
	Output int `json:"output_tokens"`
}

func (u messageUsage) put(s *said) {
	s.input, s.cached, s.output = u.Input+u.Cached, u.Cached, u.Output
}

func readMessage(t *testing.T, body []byte) (s said) {
	var m struct {
		ID, Type, Role string
		Content        []struct {
			Type, Text, ID, Name string
			Input                rawText
		}
		StopReason string `json:"stop_reason"`
		Usage      messageUsage
	}
	decode(t, body, &m)
	if m.ID == "" || m.Type != "message" || m.Role != "assistant" {
		t.Errorf("got %+v", m)
	}
	for _, block := range m.Content {
		switch block.Type {
		case "text":
			s.text += block.Text
		case "tool_use":
			s.calls = append(s.calls, toolCall{block.Name, string(block.Input)})
		}
	}
	s.finish = m.StopReason
	m.Usage.put(&s)
	return s
}

// rawText is JSON as it stands.
type rawText string

func (r *rawText) UnmarshalJSON(data []byte) error {
	*r = rawText(data)
	return nil
}

// readMessageStream checks the order of events as well.
func readMessageStream(t *testing.T, stream []byte) (s said) {
	open, blocks, state := -1, 0, "begin"
	for _, f := range frames(t, stream) {
		var e struct {
			Type         string
			Index        int
			Message      struct{ Usage messageUsage }
			ContentBlock struct {
				Type, Name string
				Input      rawText
			} `json:"content_block"`
			Delta struct {
				Type, Text  string
				PartialJSON string `json:"partial_json"`
				StopReason  string `json:"stop_reason"`
			}
			Usage messageUsage
			Error struct{ Message string }
		}
		decode(t, []byte(f.data), &e)
		if e.Type != f.event {
			t.Errorf("event %s has the type %s", f.event, e.Type)
		}
		legal := false
		switch e.Type {
		case "message_start":
			legal, state = state == "begin", "blocks"
			e.Message.Usage.put(&s)
		case "ping":
			legal = state == "blocks"
		case "content_block_start":
			legal = state == "blocks" && open < 0 && e.Index == blocks
			open, blocks = e.Index, blocks+1
			if e.ContentBlock.Type == "tool_use" {
				s.calls = append(s.calls, toolCall{name: e.ContentBlock.Name})
				legal = legal && e.ContentBlock.Input == "{}"
			}
		case "content_block_delta":
			legal = e.Index == open
			if e.Delta.Type == "text_delta" {
				s.text += e.Delta.Text
			} else {
				s.calls[len(s.calls)-1].arguments += e.Delta.PartialJSON
			}
		case "content_block_stop":
			legal, open = e.Index == open, -1
		case "message_delta":
			legal, state = state == "blocks" && open < 0, "delta"
			s.finish = e.Delta.StopReason
			e.Usage.put(&s)
		case "message_stop":
			legal, state = state == "delta", "end"
		case "error":
			legal, s.failure = state != "end", e.Error.Message
			state = "end"
		}
		if !legal {
			t.Errorf("%s in the state %s, open block %d", f.data, state, open)
		}
	}
	if state != "end" {
		t.Errorf("ended in the state %s", state)
	}
	return s
}

type completionUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func (u completionUsage) put(t *testing.T, s *said) {
	if u.Total != u.Prompt+u.Completion {
		t.Errorf("usage %+v does not add up", u)
	}
	s.input, s.cached, s.output = u.Prompt, u.Details.Cached, u.Completion
}

func readCompletion(t *testing.T, body []byte) (s said) {
	var c struct {
		Object  string
		Choices []struct {
			Message struct {
				Content   string
				ToolCalls []struct {
					ID, Type string
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
			FinishReason string `json:"finish_reason"`
		}
		Usage completionUsage
	}
	decode(t, body, &c)
	if c.Object != "chat.completion" || len(c.Choices) != 1 {
		t.Fatalf("got %+v", c)
	}
	s.text, s.finish = c.Choices[0].Message.Content, c.Choices[0].FinishReason
	for _, call := range c.Choices[0].Message.ToolCalls {
		s.calls = append(s.calls, toolCall{call.Function.Name, call.Function.Arguments})
	}
	c.Usage.put(t, &s)
	return s
}

func readCompletionStream(t *testing.T, stream []byte) (s said) {
	all := frames(t, stream)
	for i, f := range all {
		if f.data == "[DONE]" {
			if i != len(all)-1 {
				t.Error("[DONE] is not the last")
			}
			break
		}
		var c struct {
			Object  string
			Choices []struct {
				Delta struct {
					Content   string
					ToolCalls []struct {
						Index    int
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				FinishReason string `json:"finish_reason"`
			}
			Usage *completionUsage
			Error struct{ Message string }
		}
		decode(t, []byte(f.data), &c)
		if c.Error.Message != "" {
			s.failure = c.Error.Message
			continue
		}
		if c.Object != "chat.completion.chunk" || (c.Usage != nil) != (len(c.Choices) == 0) {
			t.Errorf("chunk %s", f.data)
		}
		if c.Usage != nil {
			c.Usage.put(t, &s)
			continue
		}
		choice := c.Choices[0]
		s.text += choice.Delta.Content
		for _, call := range choice.Delta.ToolCalls {
			if call.ID != "" {
				s.calls = append(s.calls, toolCall{name: call.Function.Name})
			}
			if call.Index != len(s.calls)-1 {
				t.Fatalf("index %d after %d calls", call.Index, len(s.calls))
			}
			s.calls[call.Index].arguments += call.Function.Arguments
		}
		s.finish += choice.FinishReason
	}
	return s
}

type responseItem struct {
	ID, Type, Name, Arguments string
	CallID                    string `json:"call_id"`
	Content                   []struct{ Type, Text string }
}

type response struct {
	Object, Status string
	Output         []responseItem
	Usage          *struct {
		Input   int `json:"input_tokens"`
		Output  int `json:"output_tokens"`
		Details struct {
			Cached int `json:"cached_tokens"`
		} `json:"input_tokens_details"`
	}
}

func (r response) said(t *testing.T) (s said) {
	if r.Object != "response" || r.Usage == nil {
		t.Fatalf("got %+v", r)
	}
	s.finish = r.Status
	for _, item := range r.Output {
		switch item.Type {
		case "message":
			s.text += item.Content[0].Text
		case "function_call":
			s.calls = append(s.calls, toolCall{item.Name, item.Arguments})
		}
	}
	s.input, s.cached, s.output = r.Usage.Input, r.Usage.Details.Cached, r.Usage.Output
	return s
}

func readResponse(t *testing.T, body []byte) said {
	var r response
	decode(t, body, &r)
	return r.said(t)
}

// readResponseStream checks that what the deltas say is what the last event
// says.
func readResponseStream(t *testing.T, stream []byte) (final said) {
	var s said
	for i, f := range frames(t, stream) {
		var e struct {
			Type                   string
			SequenceNumber         int `json:"sequence_number"`
			OutputIndex            int `json:"output_index"`
			Item                   responseItem
			Delta, Text, Arguments string
			Message                string
			Response               response
		}
		decode(t, []byte(f.data), &e)
		if e.Type != f.event || e.SequenceNumber != i {
			t.Errorf("event %d: %s %s", i, f.event, f.data)
		}
		switch e.Type {
		case "response.output_item.added":
			if e.Item.Type == "function_call" {
				s.calls = append(s.calls, toolCall{name: e.Item.Name})
			}
		case "response.output_text.delta":
			s.text += e.Delta
		case "response.function_call_arguments.delta":
			s.calls[len(s.calls)-1].arguments += e.Delta
		case "response.function_call_arguments.done":
			if e.Arguments != s.calls[len(s.calls)-1].arguments {
				t.Errorf("done with %s", e.Arguments)
			}
		case "response.completed":
			final = e.Response.said(t)
		case "error":
			s.failure = e.Message
			return s
		}
	}
	if final.text != s.text || len(final.calls) != len(s.calls) {
		t.Errorf("the end says %+v, the deltas %+v", final, s)
	}
	for i, call := range s.calls {
		if final.calls[i] != call {
			t.Errorf("the end has the call %+v, the deltas %+v", final.calls[i], call)
		}
	}
	return final
}

type generated struct {
	Candidates []struct {
		Content struct {
			Role  string
			Parts []struct {
				Text         string
				FunctionCall *struct {
					Name string
					Args rawText
				}
			}
		}
		FinishReason string
	}
	UsageMetadata struct {
		PromptTokenCount, CandidatesTokenCount, CachedContentTokenCount int
	}
	Error struct{ Message string }
}

// put adds a chunk to what has been said.
func (g generated) put(s *said) {
	s.failure = g.Error.Message
	for _, candidate := range g.Candidates {
		s.finish += candidate.FinishReason
		for _, part := range candidate.Content.Parts {
			s.text += part.Text
			if part.FunctionCall != nil {
				s.calls = append(s.calls, toolCall{part.FunctionCall.Name, string(part.FunctionCall.Args)})
			}
		}
	}
	s.input, s.cached = g.UsageMetadata.PromptTokenCount, g.UsageMetadata.CachedContentTokenCount
	s.output = g.UsageMetadata.CandidatesTokenCount
}

func readGenerated(t *testing.T, body []byte) (s said) {
	var g generated
	decode(t, body, &g)
	g.put(&s)
	return s
}

func readGeneratedStream(t *testing.T, stream []byte) (s said) {
	if !strings.Contains(string(stream), "\r\n\r\n") {
		t.Error("Google ends lines with CR LF")
	}
	for _, f := range frames(t, stream) {
		var g generated
		decode(t, []byte(f.data), &g)
		g.put(&s)
	}
	return s
}

func readGeneratedArray(t *testing.T, body []byte) (s said) {
	var all []generated
	decode(t, body, &all)
	for _, g := range all {
		g.put(&s)
	}
	return s
}
