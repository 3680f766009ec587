package said

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// messages reads a message, or an event of a stream:
// https://platform.claude.com/docs/en/build-with-claude/streaming.
func (s *Answer) messages(data []byte) {
	type block struct {
		Type  string
		ID    word
		Name  word
		Input json.RawMessage
	}
	type message struct {
		ID, Model  word
		Content    []block
		StopReason word `json:"stop_reason"`
		Usage      object
	}
	var v struct {
		message
		Type    string
		Index   int
		Message message
		Block   block `json:"content_block"`
		Delta   struct {
			StopReason  word `json:"stop_reason"`
			PartialJSON word `json:"partial_json"`
		}
		Error object
	}
	decode(data, &v)
	key := fmt.Sprint(v.Index)
	begin := func(key string, b block) *Call {
		if !strings.HasSuffix(b.Type, "tool_use") {
			return &Call{}
		}
		c := s.call(key)
		c.ID, c.Name = string(b.ID), string(b.Name)
		return c
	}
	switch v.Type {
	case "message_start":
		s.identify(v.Message.ID, v.Message.Model)
		s.messagesUsage(v.Message.Usage)
	case "content_block_start":
		begin(key, v.Block)
	case "content_block_delta":
		if v.Delta.PartialJSON != "" {
			s.call(key).Arguments += string(v.Delta.PartialJSON)
		}
	case "content_block_stop":
		for i := range s.Calls {
			s.Calls[i].Done = s.Calls[i].Done || s.Calls[i].key == key
		}
	case "message_delta":
		s.stop(0, string(v.Delta.StopReason))
		s.messagesUsage(v.Usage)
	case "message":
		s.identify(v.ID, v.Model)
		for i, b := range v.Content {
			c := begin(fmt.Sprint(i), b)
			c.Arguments, c.Done = string(b.Input), true
		}
		s.stop(0, string(v.StopReason))
		s.messagesUsage(v.Usage)
	}
	s.fail(v.Error)
}

// messagesUsage reads usage, which is cumulative. Where it has iterations, these are
// what is billed: https://platform.claude.com/docs/en/build-with-claude/compaction.
func (s *Answer) messagesUsage(u object) {
	if u == nil {
		return
	}
	if s.Usage == nil {
		s.Usage = &Tokens{}
	}
	add := func(to *Tokens, u object) {
		created, read := u.count("cache_creation_input_tokens"), u.count("cache_read_input_tokens")
		to.Input += u.count("input_tokens") + created + read
		to.Output += u.count("output_tokens")
		to.CacheCreation += created
		to.CacheRead += read
	}
	var iterations []object
	decode(u["iterations"], &iterations)
	if len(iterations) > 0 {
		*s.Usage = Tokens{}
		for _, i := range iterations {
			add(s.Usage, i)
		}
		return
	}
	// What message_delta leaves out is as it was.
	if _, ok := u["input_tokens"]; !ok && s.Usage.Input > 0 {
		s.Usage.Output = u.count("output_tokens")
		return
	}
	*s.Usage = Tokens{}
	add(s.Usage, u)
}

// chat reads a chat completion, or a chunk of one:
// https://platform.openai.com/docs/api-reference/chat.
func (s *Answer) chat(data []byte) {
	type function struct{ Name, Arguments, Input word }
	type message struct {
		Calls []struct {
			Index    int
			ID       word
			Function function
			Custom   function
		} `json:"tool_calls"`
		Call function `json:"function_call"`
	}
	var v struct {
		ID, Model word
		Choices   []struct {
			Index   int
			Delta   message
			Message message
			Finish  word `json:"finish_reason"`
			Usage   object
		}
		Usage object
		Groq  struct{ Usage object } `json:"x_groq"`
		Error object
	}
	decode(data, &v)
	s.identify(v.ID, v.Model)
	s.fail(v.Error)
	for _, choice := range v.Choices {
		of := fmt.Sprint(choice.Index, " ")
		add := func(key string, id word, parts ...function) {
			c := s.latest(of + key)
			if c == nil || id != "" && c.ID != "" && c.ID != string(id) {
				s.Calls = append(s.Calls, Call{key: of + key})
				c = &s.Calls[len(s.Calls)-1]
			}
			c.ID = cmp.Or(c.ID, string(id))
			for _, f := range parts {
				c.Name = cmp.Or(c.Name, string(f.Name))
				c.Arguments += string(f.Arguments + f.Input)
			}
		}
		for i, call := range choice.Message.Calls {
			add(fmt.Sprint(i), call.ID, call.Function, call.Custom)
		}
		for _, call := range choice.Delta.Calls {
			add(fmt.Sprint(call.Index), call.ID, call.Function, call.Custom)
		}
		for _, f := range []function{choice.Delta.Call, choice.Message.Call} {
			if f != (function{}) {
				add("function_call", "", f)
			}
		}
		if choice.Finish != "" {
			s.stop(choice.Index, string(choice.Finish))
			for i, c := range s.Calls {
				s.Calls[i].Done = c.Done || strings.HasPrefix(c.key, of)
			}
		}
		s.chatUsage(choice.Usage)
	}
	s.chatUsage(v.Groq.Usage)
	s.chatUsage(v.Usage)
}

func (s *Answer) chatUsage(u object) {
	if u == nil {
		return
	}
	input, output := u.inner("prompt_tokens_details"), u.inner("completion_tokens_details")
	s.Usage = &Tokens{
		Input: u.count("prompt_tokens"), Output: u.count("completion_tokens"),
		CacheRead: input.count("cached_tokens"), CacheCreation: input.count("cache_write_tokens"), Reasoning: output.count("reasoning_tokens"),
	}
	if s.Usage.CacheRead == 0 { // Moonshot, DeepSeek
		s.Usage.CacheRead = u.count("cached_tokens", "prompt_cache_hit_tokens")
	}
	// xAI counts the reasoning beside the completion, and in the total.
	if r := s.Usage.Reasoning; r > 0 && u.count("total_tokens") == s.Usage.Input+s.Usage.Output+r {
		s.Usage.Output += r
	}
}

// responses reads a response, or an event of a stream:
// https://platform.openai.com/docs/api-reference/responses.
func (s *Answer) responses(data []byte) {
	type response struct {
		ID, Model, Status word
		Output            []object
		Usage             object
		Error             object
		Incomplete        struct{ Reason word } `json:"incomplete_details"`
	}
	var v struct {
		response
		Type     string
		Index    int `json:"output_index"`
		Item     object
		Delta    word
		Code     word
		Response *response
	}
	decode(data, &v)
	add := func(index int, item object, done bool) {
		kind := item.text("type")
		if !strings.HasSuffix(kind, "_call") && kind != "mcp_approval_request" {
			return
		}
		c := s.call(fmt.Sprint(index))
		c.Name = cmp.Or(item.text("name"), kind)
		c.ID = cmp.Or(item.text("call_id"), item.text("id"))
		c.Arguments = cmp.Or(item.text("arguments"), item.text("input"), c.Arguments)
		c.Done = c.Done || done
	}
	whole := func(r response) {
		s.identify(r.ID, r.Model)
		s.fail(r.Error)
		// The last event of a stream repeats what has been said.
		if len(s.Calls) == 0 {
			for i, item := range r.Output {
				add(i, item, true)
			}
		}
		switch r.Status {
		case "completed", "incomplete", "failed", "cancelled":
			s.stop(0, cmp.Or(string(r.Incomplete.Reason), string(r.Status)))
		default:
			return
		}
		if u := r.Usage; u != nil {
			input := u.inner("input_tokens_details")
			s.Usage = &Tokens{
				Input: u.count("input_tokens"), Output: u.count("output_tokens"),
				CacheRead: input.count("cached_tokens"), CacheCreation: input.count("cache_write_tokens"),
				Reasoning: u.inner("output_tokens_details").count("reasoning_tokens"),
			}
		}
	}
	switch {
	case v.Type == "response.output_item.added":
		add(v.Index, v.Item, false)
	case v.Type == "response.output_item.done":
		add(v.Index, v.Item, true)
	case strings.HasSuffix(v.Type, "arguments.delta"):
		s.call(fmt.Sprint(v.Index)).Arguments += string(v.Delta)
	case v.Type == "error":
		s.ErrorType = cmp.Or(s.ErrorType, string(v.Code), "error")
	case v.Type == "":
		whole(v.response)
	case v.Response != nil:
		whole(*v.Response)
	}
}

// gemini reads a response, or a chunk of one: https://ai.google.dev/api/generate-content.
func (s *Answer) gemini(data []byte) {
	var v struct {
		ID         word `json:"responseId"`
		Model      word `json:"modelVersion"`
		Candidates []struct {
			Index   int
			Content struct {
				Parts []struct {
					Call *struct {
						ID, Name word
						Args     json.RawMessage
					} `json:"functionCall"`
					Code *struct{ Code word } `json:"executableCode"`
					Tool *struct {
						ID   word
						Type word `json:"toolType"`
					} `json:"toolCall"`
				}
			}
			Finish word `json:"finishReason"`
		}
		Feedback struct {
			Reason word `json:"blockReason"`
		} `json:"promptFeedback"`
		Usage object `json:"usageMetadata"`
		Error object
	}
	decode(data, &v)
	s.identify(v.ID, v.Model)
	s.fail(v.Error)
	for _, c := range v.Candidates {
		for _, p := range c.Content.Parts {
			key := fmt.Sprint(len(s.Calls))
			switch {
			case p.Call != nil:
				s.Calls = append(s.Calls, Call{key: key, Name: string(p.Call.Name), ID: string(p.Call.ID), Arguments: string(p.Call.Args), Done: true})
			case p.Code != nil:
				s.Calls = append(s.Calls, Call{key: key, Name: "executableCode", Arguments: string(p.Code.Code), Done: true})
			case p.Tool != nil:
				s.Calls = append(s.Calls, Call{key: key, Name: string(p.Tool.Type), ID: string(p.Tool.ID), Done: true})
			}
		}
		s.stop(c.Index, string(c.Finish))
	}
	s.stop(0, string(v.Feedback.Reason))
	if u := v.Usage; u != nil {
		thoughts := u.count("thoughtsTokenCount")
		s.Usage = &Tokens{
			Input:  u.count("promptTokenCount") + u.count("toolUsePromptTokenCount"),
			Output: u.count("candidatesTokenCount") + thoughts, Reasoning: thoughts, CacheRead: u.count("cachedContentTokenCount"),
		}
	}
}
