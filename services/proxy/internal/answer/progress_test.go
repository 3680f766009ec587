package answer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// taken is what a client has made of a stream so far: an eager one, that looks at
// arguments as they come.
type taken struct {
	t      *testing.T
	api    llmapi.API
	rest   string
	events int // with data in them, other than pings
	calls  []*takenCall
	failed bool // an event has said that the answer has failed
}

type takenCall struct {
	key       string
	name      string
	arguments string
	ended     bool
}

// read takes what has come.
func (c *taken) read(out string) {
	c.t.Helper()
	c.rest += out
	for {
		event, rest, ok := strings.Cut(c.rest, "\n\n")
		if !ok {
			return
		}
		c.rest = rest
		for line := range strings.Lines(event) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				c.take(strings.TrimSpace(data))
			}
		}
	}
}

func (c *taken) take(data string) {
	c.t.Helper()
	if data == "[DONE]" {
		c.end("")
		return
	}
	type function struct{ Name, Arguments, Input string }
	var ev struct {
		Type         string
		Error        any
		Index        int
		ContentBlock struct{ Type, Name string } `json:"content_block"`
		Delta        json.RawMessage
		Choices      []struct {
			Index int
			Delta struct {
				ToolCalls []struct {
					Index            int
					Function, Custom *function
				} `json:"tool_calls"`
			}
			FinishReason string `json:"finish_reason"`
		}
		OutputIndex int `json:"output_index"`
		Item        struct{ Type, Name, Arguments, Input string }
		Arguments   string
		Input       string
		Candidates  []struct {
			Content struct {
				Parts []struct {
					FunctionCall *struct {
						Name         string
						Args         json.RawMessage
						WillContinue bool
						PartialArgs  []struct{ StringValue string }
					}
				}
			}
			FinishReason string
		}
	}
	if err := json.Unmarshal([]byte(data), &ev); err != nil {
		c.t.Fatalf("%s: %v", data, err)
	}
	if ev.Type == "ping" {
		return
	}
	c.events++
	c.failed = c.failed || ev.Error != nil || ev.Type == "error"
	switch c.api {
	case llmapi.Messages:
		key := fmt.Sprint(ev.Index)
		var delta struct {
			PartialJSON string `json:"partial_json"`
		}
		switch ev.Type {
		case "content_block_start":
			if ev.ContentBlock.Type == "tool_use" {
				c.add(key, ev.ContentBlock.Name, "")
			}
		case "content_block_delta":
			if err := json.Unmarshal(ev.Delta, &delta); err != nil {
				c.t.Fatal(err)
			}
			c.add(key, "", delta.PartialJSON)
		case "content_block_stop":
			c.end(key)
		case "message_stop":
			c.end("")
		}
	case llmapi.ChatCompletions:
		for _, choice := range ev.Choices {
			for _, call := range choice.Delta.ToolCalls {
				f := call.Function
				if f == nil {
					f = call.Custom
				}
				c.add(fmt.Sprint(choice.Index, "/", call.Index), f.Name, f.Arguments+f.Input)
			}
			if choice.FinishReason != "" {
				c.end(fmt.Sprint(choice.Index, "/"))
			}
		}
	case llmapi.Responses:
		key := fmt.Sprint(ev.OutputIndex)
		var delta string
		switch {
		case ev.Type == "response.output_item.added":
			c.add(key, ev.Item.Name, ev.Item.Arguments+ev.Item.Input)
		case strings.HasSuffix(ev.Type, ".delta"):
			if err := json.Unmarshal(ev.Delta, &delta); err != nil {
				c.t.Fatal(err)
			}
			c.add(key, "", delta)
		case ev.Type == "response.output_item.done", strings.HasSuffix(ev.Type, ".done"):
			c.end(key)
		case ev.Type == "response.completed":
			c.end("")
		}
	case llmapi.GenerateContent:
		for _, candidate := range ev.Candidates {
			for _, p := range candidate.Content.Parts {
				if p.FunctionCall == nil {
					continue
				}
				pieces := string(p.FunctionCall.Args)
				for _, piece := range p.FunctionCall.PartialArgs {
					pieces += piece.StringValue
				}
				c.add("", p.FunctionCall.Name, pieces)
				if !p.FunctionCall.WillContinue {
					c.end("")
				}
			}
			if candidate.FinishReason != "" {
				c.end("")
			}
		}
	}
}

// add adds to the last call under key, or begins one.
func (c *taken) add(key, name, arguments string) {
	for _, call := range slices.Backward(c.calls) {
		if call.key == key && !call.ended {
			call.arguments += arguments
			return
		}
	}
	// Some clients take it for the end of the calls before.
	for _, call := range c.calls {
		if !json.Valid([]byte(call.arguments)) && !strings.HasPrefix(call.arguments, "{") {
			call.ended = true
		}
	}
	c.calls = append(c.calls, &takenCall{key: key, name: name, arguments: arguments})
}

// end is the end of the calls whose keys begin so.
func (c *taken) end(prefix string) {
	for _, call := range c.calls {
		if strings.HasPrefix(call.key, prefix) {
			call.ended = true
		}
	}
}

// mayAct says which call the client may act on without leave.
func (c *taken) mayAct(judged map[string]bool) string {
	for _, call := range c.calls {
		if (call.ended || json.Valid([]byte(call.arguments))) && !judged[call.name+" "+strings.TrimSpace(call.arguments)] {
			return fmt.Sprintf("%s(%s), ended: %v", call.name, call.arguments, call.ended)
		}
	}
	return ""
}

// stepwise is a provider that sends an event at a time. before is called when the next
// is asked for: by then all that may go on of those before has gone.
type stepwise struct {
	events []string
	sent   int
	before func(sent int)
}

func (s *stepwise) Read(p []byte) (int, error) {
	s.before(s.sent)
	if s.sent == len(s.events) {
		return 0, io.EOF
	}
	n := copy(p, s.events[s.sent])
	if n < len(s.events[s.sent]) {
		return 0, errors.New("the event does not fit")
	}
	s.sent++
	return n, nil
}

// callForms are the ways in which the APIs send a call in fragments.
var callForms = []struct {
	name string
	api  llmapi.API
	form func(fragments []string) []string
}{
	{"messages", llmapi.Messages, func(fragments []string) []string {
		events := []string{stream(callStart), stream(`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}`)}
		for _, f := range fragments {
			events = append(events, stream(`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":`+quote(f)+`}}`))
		}
		return append(events, stream(callStop), stream(`{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`), stream(`{"type":"message_stop"}`))
	}},
	{"chat", llmapi.ChatCompletions, func(fragments []string) []string {
		events := []string{stream(calling(`{"index":0,"id":"c","type":"function","function":{"name":"exec","arguments":""}}`))}
		for _, f := range fragments {
			events = append(events, stream(calling(`{"index":0,"function":{"arguments":`+quote(f)+`}}`)))
		}
		return append(events, stream(finished), stream("[DONE]"))
	}},
	{"chat, custom", llmapi.ChatCompletions, func(fragments []string) []string {
		events := []string{stream(calling(`{"index":0,"id":"c","type":"custom","custom":{"name":"exec","input":""}}`))}
		for _, f := range fragments {
			events = append(events, stream(calling(`{"index":0,"custom":{"input":`+quote(f)+`}}`)))
		}
		return append(events, stream(finished), stream("[DONE]"))
	}},
	{"responses", llmapi.Responses, func(fragments []string) []string {
		events := []string{stream(itemAdded)}
		for _, f := range fragments {
			events = append(events, stream(`{"type":"response.function_call_arguments.delta","output_index":0,"delta":`+quote(f)+`}`))
		}
		all := quote(strings.Join(fragments, ""))
		item := `{"type":"function_call","call_id":"c","name":"exec","arguments":` + all + `}`
		return append(events, stream(`{"type":"response.function_call_arguments.done","output_index":0,"arguments":`+all+`}`),
			stream(`{"type":"response.output_item.done","output_index":0,"item":`+item+`}`),
			stream(`{"type":"response.completed","response":{"status":"completed","output":[`+item+`]}}`))
	}},
	{"responses, custom", llmapi.Responses, func(fragments []string) []string {
		events := []string{stream(`{"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","call_id":"c","name":"exec","input":""}}`)}
		for _, f := range fragments {
			events = append(events, stream(`{"type":"response.custom_tool_call_input.delta","output_index":0,"delta":`+quote(f)+`}`))
		}
		all := quote(strings.Join(fragments, ""))
		return append(events, stream(`{"type":"response.custom_tool_call_input.done","output_index":0,"input":`+all+`}`),
			stream(`{"type":"response.output_item.done","output_index":0,"item":{"type":"custom_tool_call","call_id":"c","name":"exec","input":`+all+`}}`))
	}},
}

// Whatever the arguments are and however they are cut: what a client has of a call
// before that has been judged is never all of it, and never has an end; after a refusal
// the answer has failed.
func TestNoClientCanActBeforeTheVerdict(t *testing.T) {
	for _, arguments := range []string{
		``, `{}`, ` { } `, `{"command":"rm -rf /"}`, `{"a":{"b":[1,{"c":"}"}]},"d":"\"}\\"} `, `[1,2]`, `"a \" b"`, `12`, `-1.5e+3 `, `true`, `null`,
		"*** Begin Patch\n+ {}\n*** End Patch", `ls`, `ls -la`, `{'a':'}'}`, `{"a":1/* } */}`, `{"a":1}{"b":2}`, `{"a":1} x`, `{"a":"b`, `{]}`,
	} {
		for _, form := range callForms {
			for _, size := range []int{1, 2, 5, 100} {
				var fragments []string
				for f := range slices.Chunk([]byte(arguments), size) {
					fragments = append(fragments, string(f))
				}
				events := form.form(fragments)
				for _, verdict := range []error{nil, errors.New("no")} {
					t.Run(fmt.Sprintf("%s/%q by %d/%v", form.name, arguments, size, verdict), func(t *testing.T) {
						client := &taken{t: t, api: form.api}
						judged := make(map[string]bool)
						check := func() {
							t.Helper()
							if call := client.mayAct(judged); call != "" {
								t.Fatalf("unjudged, the client has %s", call)
							}
						}
						body := &stepwise{events: events, before: func(int) { check() }}
						r := answer.NewReader(body, answer.Options{API: form.api, Stream: true, Judge: func(c llmapi.ToolCall) error {
							check()
							if verdict == nil {
								judged[c.Name+" "+strings.TrimSpace(string(c.Arguments))] = true
							}
							return verdict
						}})
						var out strings.Builder
						buffer := make([]byte, 1<<16)
						for {
							n, err := r.Read(buffer)
							out.Write(buffer[:n])
							client.read(string(buffer[:n]))
							check()
							if err == io.EOF {
								break
							}
							if err != nil {
								t.Fatal(err)
							}
						}
						if all := strings.Join(events, ""); verdict == nil && out.String() != all {
							t.Errorf("out is\n%s\nwant\n%s", out.String(), all)
						}
						if client.failed != (verdict != nil) {
							t.Errorf("the answer has failed: %v", client.failed)
						}
						if calls := r.Result().ToolCalls; len(calls) != 1 || (calls[0].Refused != nil) != (verdict != nil) {
							t.Errorf("recorded %+v", calls)
						}
					})
				}
			}
		}
	}
}

// A client that gives up after a time without an event sees one for each that the
// provider sends, though the call is not judged yet: but for the fragment that makes
// the arguments whole, and of arguments that are no JSON for the last so far.
func TestAHeldCallIsNoSilence(t *testing.T) {
	for _, form := range callForms {
		for _, arguments := range []string{`{"path":"a.html","content":"` + strings.Repeat("word ", 50) + `"}`, strings.Repeat("word ", 50)} {
			t.Run(fmt.Sprintf("%s/%.10s", form.name, arguments), func(t *testing.T) {
				var fragments []string
				for f := range slices.Chunk([]byte(arguments), 5) {
					fragments = append(fragments, string(f))
				}
				client := &taken{t: t, api: form.api}
				behind, asked := 0, false
				body := &stepwise{events: form.form(fragments), before: func(sent int) {
					if !asked {
						behind = max(behind, sent-client.events)
					}
				}}
				r := answer.NewReader(body, answer.Options{API: form.api, Stream: true, Judge: func(llmapi.ToolCall) error {
					asked = true
					if sent := len(client.calls); sent != 1 || len(client.calls[0].arguments) < len(arguments)-10 {
						t.Errorf("when the call is judged, the client has %d bytes of %d", len(client.calls[0].arguments), len(arguments))
					}
					return nil
				}})
				buffer := make([]byte, 1<<16)
				for {
					n, err := r.Read(buffer)
					client.read(string(buffer[:n]))
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				// A word could be a literal, which is whole: it waits for what shows that it is not.
				if want := map[bool]int{true: 0, false: 2}[json.Valid([]byte(arguments))]; behind > want {
					t.Errorf("%d events behind, want %d", behind, want)
				}
			})
		}
	}
}

// Gemini sends arguments in pieces to clients that ask for them: those go on but for
// the last. A client that has not asked could act on the first, so that all wait.
func TestGeminiCallInPieces(t *testing.T) {
	part := func(call string) string {
		return stream(`{"candidates":[{"content":{"parts":[{"functionCall":` + call + `}]}}]}`)
	}
	events := []string{
		part(`{"name":"exec","willContinue":true}`),
		part(`{"partialArgs":[{"jsonPath":"$.command","stringValue":"rm ","willContinue":true}],"willContinue":true}`),
		part(`{"partialArgs":[{"jsonPath":"$.command","stringValue":"-rf /"}],"willContinue":true}`),
		part(`{}`),
		stream(`{"candidates":[{"finishReason":"STOP"}]}`),
	}
	for _, asked := range []bool{true, false} {
		for _, verdict := range []error{nil, errors.New("no")} {
			t.Run(fmt.Sprint(asked, verdict), func(t *testing.T) {
				client, out := &taken{t: t, api: llmapi.GenerateContent}, 0
				body := &stepwise{events: events, before: func(sent int) {
					if want := map[bool]int{true: sent, false: 0}[asked]; sent < len(events)-1 && out != want {
						t.Errorf("%d events are out of %d, want %d", out, sent, want)
					}
				}}
				var judged []string
				r := answer.NewReader(body, answer.Options{API: llmapi.GenerateContent, Stream: true, Pieces: asked, Judge: func(c llmapi.ToolCall) error {
					judged = append(judged, c.Name+" "+string(c.Arguments))
					if want := map[bool]int{true: 3, false: 0}[asked]; out != want {
						t.Errorf("judging with %d events out, want %d", out, want)
					}
					return verdict
				}})
				buffer := make([]byte, 1<<16)
				for {
					n, err := r.Read(buffer)
					client.read(string(buffer[:n]))
					out = client.events
					if err == io.EOF {
						break
					}
				}
				if len(judged) != 1 || judged[0] != `exec {"command":"rm -rf /"}` || client.failed != (verdict != nil) {
					t.Errorf("judged %q, failed %v", judged, client.failed)
				}
				if want := map[bool]int{true: 4, false: 1}[asked]; verdict != nil && out != want || verdict == nil && out != len(events) {
					t.Errorf("%d events are out in the end", out)
				}
			})
		}
	}
}

// What bounds a call are its arguments, not the events that they come in, and what they
// take of memory.
func TestLargeCalls(t *testing.T) {
	arguments := `{"path":"a.html","content":"` + strings.Repeat("word", 1<<13) + `"}`
	padding := `"obfuscation":"` + strings.Repeat("x", 1200) + `",`
	for _, form := range callForms {
		t.Run(form.name, func(t *testing.T) {
			var fragments []string
			for f := range slices.Chunk([]byte(arguments), 8) {
				fragments = append(fragments, string(f))
			}
			body := strings.ReplaceAll(strings.Join(form.form(fragments), ""), "data: {", "data: {"+padding)
			held, most, judged := 0, 0, 0
			o := answer.Options{API: form.api, Stream: true, MaxCall: len(arguments), Judge: func(c llmapi.ToolCall) error {
				judged = max(judged, len(c.Arguments))
				return nil
			}, Grow: func(n int) error {
				held += n
				most = max(most, held)
				return nil
			}}
			read := func() (int64, error) { return io.Copy(io.Discard, answer.NewReader(strings.NewReader(body), o)) }
			if n, err := read(); err != nil || n != int64(len(body)) || judged != len(arguments) {
				t.Errorf("%v, %d bytes of %d, judged %d of %d", err, n, len(body), judged, len(arguments))
			}
			// To parse the event that has all arguments takes up to a hundred times as much.
			if len(body) < 150*len(arguments) || most > 150*len(arguments) {
				t.Errorf("%d bytes taken for %d of arguments in %d of events", most, len(arguments), len(body))
			}
			o.MaxCall--
			r := answer.NewReader(strings.NewReader(body), o)
			if n, err := io.Copy(io.Discard, r); err != nil || n >= int64(len(body)) || !errors.Is(r.Result().Blocked, answer.ErrTooLarge) {
				t.Errorf("a byte too many: %v, %d bytes of %d, %v", err, n, len(body), r.Result().Blocked)
			}
		})
	}
}
