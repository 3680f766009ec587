package answer

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// interactions reads Gemini's Interactions API:
// https://ai.google.dev/gemini-api/docs/interactions/streaming. An answer is made of steps;
// until May 2026 it had outputs, whose events were called content.start and so on. What
// a step is called makes no difference: an event that has one begins it.
type interactions struct {
	*gate
	lastCall int  // index of the last call that has begun
	spoken   bool // a text has come in deltas
}

type interactionsEvent struct {
	Type        string           `json:"event_type"`
	Index       int              `json:"index"`
	Step        *interactionStep `json:"step"`
	Content     *interactionStep `json:"content"`
	Delta       *interactionStep `json:"delta"`
	Interaction *interaction     `json:"interaction"`
	Error       jsontext.Value   `json:"error"`
}

// interaction is the body of an answer, and what some events have of it.
type interaction struct {
	ID      text              `json:"id"`
	Model   text              `json:"model"`
	Status  text              `json:"status"`
	Steps   []interactionStep `json:"steps"`
	Outputs []interactionStep `json:"outputs"`
	Usage   jsontext.Value    `json:"usage"`
	Tier    jsontext.Value    `json:"service_tier"`
	Error   jsontext.Value    `json:"error"`
}

// interactionStep is a step, a part of what one holds, or a piece of one.
type interactionStep struct {
	Type      string         `json:"type"`
	ID        text           `json:"id"`
	Name      string         `json:"name"`
	Text      text           `json:"text"`
	Arguments jsontext.Value `json:"arguments"`
	Content   jsontext.Value `json:"content"` // of a step, a list of parts; of a thought's summary, one
	Summary   jsontext.Value `json:"summary"`
}

func (i *interactions) event(name, data []byte) (way, error) {
	var ev interactionsEvent
	if err := parse(data, &ev); err != nil {
		return pass, err
	}
	kind, err := eventType(name, ev.Type)
	if err != nil {
		return pass, err
	}
	i.fail(ev.Error)
	k := key{index: ev.Index}
	for _, s := range []*interactionStep{ev.Step, ev.Content} {
		if s != nil && err == nil {
			err = i.start(k, s)
		}
	}
	if ev.Delta != nil && err == nil {
		err = i.delta(k, ev.Delta)
	}
	if strings.HasSuffix(kind, ".stop") {
		i.watch.end(key{index: k.index, kind: "text"})
		i.watch.end(key{index: k.index, kind: "thought"})
		if c := i.find(k); c != nil {
			i.end(c)
		}
	}
	if ev.Interaction != nil && err == nil {
		err = i.interaction(ev.Interaction)
	}
	return pass, err
}

func (i *interactions) body(data []byte) error {
	var a interaction
	if err := parse(data, &a); err != nil {
		return err
	}
	i.fail(a.Error)
	return i.interaction(&a)
}

func (i *interactions) interaction(a *interaction) error {
	i.identify(string(a.ID), string(a.Model))
	for _, steps := range [][]interactionStep{a.Steps, a.Outputs} {
		for n := range steps {
			if err := i.step(n, &steps[n]); err != nil {
				return err
			}
		}
	}
	switch status := string(a.Status); status {
	case "completed", "requires_action", "failed", "cancelled", "incomplete":
		i.completeAll()
		i.served(word(a.Tier))
		i.finish(0, status)
		if a.Usage.Kind() == '{' {
			i.tally(interactionTokens(a.Usage), true)
		}
	}
	return nil
}

// step is one of an answer that is whole. The last event of a stream may repeat what came.
func (i *interactions) step(index int, s *interactionStep) error {
	if s.isCall() {
		if tool := s.call(); !i.known(tool) {
			return i.whole(tool)
		}
		return nil
	}
	if s.Type == "user_input" || strings.HasSuffix(s.Type, "_result") {
		return nil // what the client has said is given back if it asks for it
	}
	for _, part := range s.parts() {
		if err := i.step(index, &part); err != nil {
			return err
		}
	}
	if !i.spoken {
		i.speak(index, s)
	}
	return nil
}

// parts are what a step holds.
func (s *interactionStep) parts() []interactionStep {
	var parts []interactionStep
	for _, list := range []jsontext.Value{s.Content, s.Summary} {
		switch list.Kind() {
		case '[':
			var some []interactionStep
			try(list, &some)
			parts = append(parts, some...)
		case '{':
			var one interactionStep
			try(list, &one)
			parts = append(parts, one)
		}
	}
	return parts
}

func (i *interactions) speak(index int, s *interactionStep) {
	kind, about := "text", Content
	if strings.HasPrefix(s.Type, "thought") {
		kind, about = "thought", Reasoning
	}
	i.say(key{index: index, kind: kind}, about, s.Text)
}

// start begins a step. The index of a call has to be above that of the calls before it:
// there are clients that add to the step which had it first.
func (i *interactions) start(k key, s *interactionStep) error {
	if !s.isCall() {
		for _, part := range s.parts() {
			if part.isCall() {
				return fmt.Errorf("%w: a call within a step that is none", ErrMalformed)
			}
			i.spoken = true
			i.speak(k.index, &part)
		}
		i.speak(k.index, s)
		return nil
	}
	if k.index <= i.lastCall {
		return fmt.Errorf("%w: step %d begins twice", ErrMalformed, k.index)
	}
	i.lastCall = k.index
	tool := s.call()
	arguments := tool.Arguments
	tool.Arguments = nil
	c, err := i.begin(k, tool)
	if err == nil && len(arguments) > 0 && arguments[0] != 'n' && !isEmptyObject(jsontext.Value(arguments)) {
		i.version(c, arguments)
	}
	return err
}

// delta is a piece of a step.
func (i *interactions) delta(k key, s *interactionStep) error {
	c := i.find(k)
	switch {
	case s.Type == "arguments_delta":
		if c == nil {
			return fmt.Errorf("%w: arguments for step %d, which is not an open call", ErrMalformed, k.index)
		}
		var piece text
		try(s.Arguments, &piece)
		i.fragment(c, piece)
	case s.isCall() && c == nil:
		return i.whole(s.call())
	case s.isCall():
		unnamed := c.Name == s.Type // it has begun without a name
		if s.Name != "" && !unnamed && s.Name != c.Name || len(s.ID) > 0 && c.ID != "" && string(s.ID) != c.ID {
			return fmt.Errorf("%w: step %d calls two tools", ErrMalformed, k.index)
		}
		if unnamed {
			c.Name = cmp.Or(s.Name, c.Name)
		}
		c.ID = cmp.Or(c.ID, string(s.ID))
		i.version(c, s.Arguments)
	default:
		i.spoken = true
		for _, part := range s.parts() {
			part.Type = s.Type
			i.speak(k.index, &part)
		}
		i.speak(k.index, s)
	}
	return nil
}

func (s *interactionStep) isCall() bool { return strings.HasSuffix(s.Type, "_call") }

func (s *interactionStep) call() llmapi.ToolCall {
	return llmapi.ToolCall{ID: string(s.ID), Name: cmp.Or(s.Name, s.Type), Arguments: s.Arguments, Remote: s.Type != "function_call"}
}

// interactionTokens reads the usage of an interaction.
func interactionTokens(data jsontext.Value) counted {
	t := readUsage(data)
	var u counted
	u.Input, u.input = t.add("total_input_tokens", "total_tool_use_tokens")
	u.Output, u.output = t.add("total_output_tokens", "total_thought_tokens")
	u.CacheRead, _ = t.count([]string{"total_cached_tokens"}) // part of the input
	u.Reasoning, _ = t.count([]string{"total_thought_tokens"})
	if total, said := t.count([]string{"total_tokens"}); said {
		u.complement(total)
	}
	u.unread = t.unread
	return u
}
