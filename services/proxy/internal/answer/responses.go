package answer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// responses reads OpenAI's Responses API:
// https://platform.openai.com/docs/api-reference/responses-streaming.
//
// The API sends everything several times: in deltas, when an item is done, and
// once more in the last event. What has not been judged by then is judged there.
type responses struct {
	*gate
	lastCall int          // output_index of the last call that has begun
	others   map[int]bool // by output_index: outputs that have begun and are no calls
	spoken   bool         // a text has come in deltas
	scan     scan
}

type responsesEvent struct {
	Type         string         `json:"type"`
	OutputIndex  int            `json:"output_index"`
	ContentIndex int            `json:"content_index"`
	SummaryIndex int            `json:"summary_index"`
	Item         jsontext.Value `json:"item"`
	Delta        content        `json:"delta"`
	Arguments    text           `json:"arguments"`
	Input        text           `json:"input"`
	Code         text           `json:"code"` // of the code interpreter, or of an error
	Response     *response      `json:"response"`
	Error        jsontext.Value `json:"error"`
}

// response is the body of an answer, and what some events have of it; or a list of items
// that are stored, or one such item.
type response struct {
	Type       text             `json:"type"` // of an item
	Data       []jsontext.Value `json:"data"` // of a list
	ID         text             `json:"id"`
	Model      text             `json:"model"`
	Status     text             `json:"status"`
	Output     []jsontext.Value `json:"output"`
	Usage      jsontext.Value   `json:"usage"`
	Tier       jsontext.Value   `json:"service_tier"`
	Background jsontext.Value   `json:"background"`
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
		err = r.complete(kind, &ev)
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
	if len(resp.Type) > 0 && len(resp.Output) == 0 {
		resp.Data = append(resp.Data, data)
	}
	resp.Output = append(resp.Output, resp.Data...)
	return r.response(&resp)
}

func (r *responses) response(resp *response) error {
	r.identify(string(resp.ID), string(resp.Model))
	r.fail(resp.Error)
	r.result.Background = r.result.Background || string(resp.Background) == "true"
	if err := r.outputs(resp.Output); err != nil {
		return err
	}
	switch status := string(resp.Status); status {
	case "completed", "incomplete", "failed", "cancelled":
		r.served(word(resp.Tier))
		r.finish(0, cmp.Or(string(resp.Incomplete.Reason), status))
		if resp.Usage.Kind() == '{' {
			r.tally(openAITokens(resp.Usage), true)
		}
	}
	return nil
}

// outputs are all those of an answer, which are new if it is not streamed. Where they
// repeat calls that have been judged, there are servers that give them other ids: so as
// many calls as were judged are known by their names and arguments alone.
func (r *responses) outputs(values []jsontext.Value) error {
	var calls []llmapi.ToolCall
	repeated := make(map[identity]int)
	for i, value := range values {
		it, err := parseItem(value)
		switch {
		case err != nil:
			return err
		case it.isCall():
			tool := it.call()
			tool.Arguments = it.arguments()
			if !r.known(tool) {
				calls = append(calls, tool)
			} else {
				repeated[r.alike(tool)]++
			}
		case !r.spoken:
			r.sayItem(i, it)
		}
	}
	for _, tool := range calls {
		if id := r.alike(tool); repeated[id] < r.counts[id] {
			repeated[id]++
		} else if err := r.whole(tool); err != nil {
			return err
		}
	}
	return nil
}

// added begins a call. Its output_index has to be above that of the calls before
// it: there are clients that add to the item which had it first.
func (r *responses) added(index int, value jsontext.Value) error {
	it, err := parseItem(value)
	if err != nil {
		return err
	}
	if !it.isCall() {
		if r.others == nil {
			r.others = make(map[int]bool)
		}
		if len(r.others) < maxCalls {
			r.others[index] = true
		}
		return nil
	}
	if index <= r.lastCall {
		return fmt.Errorf("%w: output %d begins twice", ErrMalformed, index)
	}
	r.lastCall = index
	c, err := r.begin(key{index: index}, it.call())
	if err != nil {
		return err
	}
	// Clients add the deltas to what the item has begun with. Where there are none,
	// it can be all that comes.
	if it.argumentsInDeltas() {
		r.fragment(c, it.arguments())
	} else if !it.isBare() {
		r.version(c, it.arguments())
	}
	return nil
}

// delta is a piece of a text, or of the call at its index.
func (r *responses) delta(kind string, ev *responsesEvent) error {
	if !r.isCallEvent(kind, ev.OutputIndex) {
		r.spoken = true
		as := Content
		if strings.Contains(kind, "reasoning") {
			as = Reasoning
		}
		r.sayDelta(ev.text(kind), as, &ev.Delta)
		return nil
	}
	c := r.find(key{index: ev.OutputIndex})
	if c == nil {
		return fmt.Errorf("%w: arguments for output %d, which is not an open call", ErrMalformed, ev.OutputIndex)
	}
	r.fragment(c, ev.Delta.text)
	return nil
}

// complete is the whole of what deltas have sent.
func (r *responses) complete(kind string, ev *responsesEvent) error {
	if !r.isCallEvent(kind, ev.OutputIndex) {
		r.watch.end(ev.text(kind))
		return nil
	}
	arguments := slices.Concat(ev.Arguments, ev.Input, ev.Code)
	c := r.find(key{index: ev.OutputIndex})
	switch {
	case c != nil:
		r.version(c, arguments)
		r.settle(c)
	case len(arguments) > 0:
		return fmt.Errorf("%w: arguments for output %d, which is not an open call", ErrMalformed, ev.OutputIndex)
	}
	return nil
}

// done ends a call, or is the whole of one.
func (r *responses) done(index int, value jsontext.Value) error {
	it, err := parseItem(value)
	if err != nil || !it.isCall() {
		return err
	}
	c := r.find(key{index: index})
	tool := it.call()
	if c == nil {
		tool.Arguments = it.arguments()
		if r.known(tool) {
			return nil
		}
		return r.whole(tool)
	}
	if c.Name != tool.Name && c.Name != "" {
		return fmt.Errorf("%w: a tool call with two names", ErrMalformed)
	}
	c.ToolCall = tool
	r.version(c, it.arguments())
	r.end(c)
	return nil
}

// sayDelta is a piece of a text, or of several: what a program writes to its standard
// output, and what to its error.
func (r *responses) sayDelta(k key, as TextKind, delta *content) {
	if !delta.parts {
		r.say(k, as, delta.text)
		return
	}
	kind := k.kind
	_ = r.scan.walk(delta.text, func(path uint64, raw []byte) {
		k.kind = fmt.Sprint(kind, path)
		r.say(k, as, unescape(raw))
	})
}

// text is the text that a piece belongs to, or that is done.
func (ev *responsesEvent) text(kind string) key {
	kind = strings.TrimSuffix(strings.TrimSuffix(kind, ".delta"), ".done")
	return key{ev.OutputIndex, ev.ContentIndex + ev.SummaryIndex, kind}
}

func (r *responses) sayItem(index int, it *item) {
	var parts []struct {
		Text    text `json:"text"`
		Refusal text `json:"refusal"`
	}
	try(it.Content, &parts)
	for i, part := range parts {
		r.say(key{index, i, "text"}, Content, part.Text)
		r.say(key{index, i, "refusal"}, Content, part.Refusal)
	}
}

// isCallEvent reports whether an event is about a call's arguments, such as
// response.mcp_call_arguments.delta. Those of a call's output have names like it.
func (r *responses) isCallEvent(kind string, output int) bool {
	return strings.Contains(kind, "_call") && !strings.Contains(kind, "_call_output") && !r.others[output]
}
