package answer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// responses reads OpenAI's Responses API:
// https://platform.openai.com/docs/api-reference/responses-streaming.
//
// The API tells everything several times: in deltas, when an item is done, and
// once more in the last event. Whatever of that has not been judged, is.
type responses struct {
	*gate
	lastCall int  // output_index of the last call that has begun
	spoken   bool // a text has come in deltas
}

type responsesEvent struct {
	Type         string         `json:"type"`
	OutputIndex  int            `json:"output_index"`
	ContentIndex int            `json:"content_index"`
	SummaryIndex int            `json:"summary_index"`
	Item         jsontext.Value `json:"item"`
	Delta        text           `json:"delta"`
	Arguments    text           `json:"arguments"`
	Input        text           `json:"input"`
	Code         text           `json:"code"` // of the code interpreter, or of an error
	Response     *response      `json:"response"`
	Error        jsontext.Value `json:"error"`
}

// response is the body of an answer, and what some events have of it.
type response struct {
	ID         text             `json:"id"`
	Model      text             `json:"model"`
	Status     text             `json:"status"`
	Output     []jsontext.Value `json:"output"`
	Usage      jsontext.Value   `json:"usage"`
	Error      jsontext.Value   `json:"error"`
	Incomplete struct {
		Reason text `json:"reason"`
	} `json:"incomplete_details"`
}

func (r *responses) event(name, data []byte) (way, error) {
	var ev responsesEvent
	if err := parse(data, &ev); err != nil {
		return pass, err
	}
	kind, err := eventType(name, ev.Type)
	if err != nil {
		return pass, err
	}
	r.fail(ev.Error)
	switch {
	case kind == "error" && r.result.ErrorType == "":
		r.result.ErrorType = clip(cmp.Or(string(ev.Code), kind))
	case kind == "response.output_item.added":
		err = r.added(ev.OutputIndex, ev.Item)
	case kind == "response.output_item.done":
		err = r.done(ev.OutputIndex, ev.Item)
	case strings.HasSuffix(kind, ".delta"):
		err = r.delta(kind, &ev)
	case strings.HasSuffix(kind, ".done"):
		err = r.told(kind, &ev)
	}
	if err == nil && ev.Response != nil {
		err = r.response(ev.Response)
	}
	switch kind {
	case "response.completed", "response.incomplete", "response.failed":
		r.completeAll()
	}
	return pass, err
}

func (r *responses) body(data []byte) error {
	var resp response
	if err := parse(data, &resp); err != nil {
		return err
	}
	return r.response(&resp)
}

func (r *responses) response(resp *response) error {
	r.identify(string(resp.ID), string(resp.Model))
	r.fail(resp.Error)
	for i, value := range resp.Output {
		it, err := parseItem(value)
		if err != nil {
			return err
		}
		switch {
		case it.isCall():
			err = r.again(it)
		case !r.spoken:
			r.sayItem(i, it)
		}
		if err != nil {
			return err
		}
	}
	switch status := string(resp.Status); status {
	case "completed", "incomplete", "failed", "cancelled":
		r.finish(0, cmp.Or(string(resp.Incomplete.Reason), status))
		if resp.Usage.Kind() == '{' {
			r.tally(resp.Usage)
		}
	}
	return nil
}

// added begins a call. Its output_index has to be above that of the calls before
// it: there are clients that add to the item which had it first.
func (r *responses) added(index int, value jsontext.Value) error {
	it, err := parseItem(value)
	if err != nil || !it.isCall() {
		return err
	}
	if index <= r.lastCall {
		return fmt.Errorf("%w: output %d begins twice", ErrMalformed, index)
	}
	r.lastCall = index
	c, err := r.begin(key{index: index}, it.call())
	if err != nil {
		return err
	}
	// Clients add the deltas to what the item has begun with.
	if it.argumentsInDeltas() {
		r.fragment(c, it.arguments())
	}
	return nil
}

// delta is a piece of a text, or of the call at its index.
func (r *responses) delta(kind string, ev *responsesEvent) error {
	k := key{ev.OutputIndex, ev.ContentIndex + ev.SummaryIndex}
	if !isCallEvent(kind) {
		r.spoken = true
		r.say(k, ev.Delta)
		return nil
	}
	c := r.find(key{index: ev.OutputIndex})
	if c == nil {
		return fmt.Errorf("%w: arguments for output %d, which is no open call", ErrMalformed, ev.OutputIndex)
	}
	r.fragment(c, ev.Delta)
	return nil
}

// told is the whole of what deltas have told.
func (r *responses) told(kind string, ev *responsesEvent) error {
	if !isCallEvent(kind) {
		r.watch.end(key{ev.OutputIndex, ev.ContentIndex + ev.SummaryIndex})
		return nil
	}
	arguments := slices.Concat(ev.Arguments, ev.Input, ev.Code)
	if len(arguments) == 0 {
		return nil
	}
	c := r.find(key{index: ev.OutputIndex})
	if c == nil {
		return fmt.Errorf("%w: arguments for output %d, which is no open call", ErrMalformed, ev.OutputIndex)
	}
	r.version(c, arguments)
	return nil
}

// done ends a call, or is the whole of one.
func (r *responses) done(index int, value jsontext.Value) error {
	it, err := parseItem(value)
	if err != nil || !it.isCall() {
		return err
	}
	c := r.find(key{index: index})
	if c == nil {
		return r.again(it)
	}
	tool := it.call()
	if c.Name != tool.Name && c.Name != "" {
		return fmt.Errorf("%w: a tool call with two names", ErrMalformed)
	}
	c.ToolCall = tool
	r.version(c, it.arguments())
	r.end(c)
	return nil
}

// again is a call in whole, which may have been judged before.
func (r *responses) again(it *item) error {
	tool := it.call()
	tool.Arguments = it.arguments()
	if r.known(tool) {
		return nil
	}
	return r.whole(tool)
}

func (r *responses) sayItem(index int, it *item) {
	var parts []struct {
		Text    text `json:"text"`
		Refusal text `json:"refusal"`
	}
	try(it.Content, &parts)
	for i, part := range parts {
		r.say(key{index, i}, part.Text)
		r.say(key{index, i}, part.Refusal)
	}
}

// isCallEvent reports whether an event is about a call's arguments, such as
// response.mcp_call_arguments.delta.
func isCallEvent(kind string) bool { return strings.Contains(kind, "_call") }

func (r *responses) tally(data jsontext.Value) {
	var told struct {
		Input        int64 `json:"input_tokens"`
		Output       int64 `json:"output_tokens"`
		InputDetails struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"input_tokens_details"`
		OutputDetails struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
	}
	try(data, &told)
	u := r.usage()
	u.Input, u.CacheRead = told.Input, told.InputDetails.Cached
	u.Output, u.Reasoning = told.Output, told.OutputDetails.Reasoning
	u.Complete = true
}
