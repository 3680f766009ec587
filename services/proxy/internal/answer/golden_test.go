package answer_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// golden is a recording's content as a Reader should see it.
type golden struct {
	file   string
	api    llmapi.API
	judged []string // name/id arguments, with ! for remote ones
	text   string
	// released is how many calls have gone on when the last is judged.
	released int
	want     answer.Result // without ToolCalls, which are those judged
}

func goldens() []golden {
	return []golden{
		{
			file: "messages.sse", api: llmapi.Messages,
			judged: []string{`exec/toolu_01T1 {"command": "ls -la"}`, `!web_search/srvtoolu_01 {"query":"go 1.26"}`},
			text:   "The user wants the files.I'll list “them” now 🙂.\n", released: 1,
			want: answer.Result{
				ID: "msg_01Xr7", Model: "claude-sonnet-4-5-20250929", FinishReasons: []string{"tool_use"},
				Usage: &proto.Usage{Input: 2115, Output: 89, CacheRead: 2000, CacheCreation: 100, Complete: true},
			},
		},
		{
			file: "chat.sse", api: llmapi.ChatCompletions,
			judged: []string{`read/call_a {"path":"/tmp"}`, `shell/call_b ls -la`},
			text:   "Let me look.",
			want: answer.Result{
				ID: "chatcmpl-B9", Model: "gpt-4.1-2025-04-14", FinishReasons: []string{"tool_calls"},
				Usage:      &proto.Usage{Input: 1117, Output: 46, CacheRead: 1024, Reasoning: 20, Complete: true},
				UsageChunk: answer.MarkedUsageChunk,
			},
		},
		{
			file: "responses.sse", api: llmapi.Responses,
			judged: []string{
				`exec/call_1 {"command":"pwd"}`,
				`!web_search_call/ws_1 {"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"go"}}`,
			},
			text: "Looking it up.", released: 1,
			want: answer.Result{
				ID: "resp_67c9", Model: "gpt-5-2025-08-07", FinishReasons: []string{"completed"},
				Usage: &proto.Usage{Input: 291, Output: 23, CacheRead: 128, Reasoning: 7, Complete: true},
			},
		},
		{
			file: "gemini.sse", api: llmapi.GenerateContent,
			judged: []string{`exec/ {"command": "id"}`, `exec/ {"command": "id"}`},
			text:   "Planning.Checking",
			want: answer.Result{
				ID: "kVwAacq", Model: "gemini-2.5-flash", FinishReasons: []string{"STOP"},
				Usage: &proto.Usage{Input: 60, Output: 36, CacheRead: 32, Reasoning: 15, Complete: true},
			},
		},
		{
			file: "messages.json", api: llmapi.Messages,
			judged: []string{`exec/toolu_02 {"command":"uptime"}`},
			text:   "Here.",
			want: answer.Result{
				ID: "msg_02", Model: "claude-opus-4-1-20250805", FinishReasons: []string{"tool_use"},
				Usage: &proto.Usage{Input: 15, Output: 7, CacheRead: 5, Complete: true},
			},
		},
		{
			file: "chat.json", api: llmapi.ChatCompletions,
			judged: []string{`exec/call_1 {"command":"uptime"}`, `exec/call_2 {"command":"who"}`, `old/ {}`},
			text:   "Done.",
			want: answer.Result{
				ID: "chatcmpl-7", Model: "gpt-4.1-2025-04-14", FinishReasons: []string{"tool_calls", "function_call"},
				Usage: &proto.Usage{Input: 82, Output: 17, Complete: true},
			},
		},
		{
			file: "responses.json", api: llmapi.Responses,
			judged: []string{
				`local_shell_call/call_9 {"type":"local_shell_call","id":"lsh_1","call_id":"call_9","action":{"type":"exec","command":["ls"],"env":{}},"status":"completed"}`,
				`patch/call_10 *** Begin`,
			},
			text: "Cut",
			want: answer.Result{
				ID: "resp_8", Model: "gpt-5-2025-08-07", FinishReasons: []string{"max_output_tokens"},
				Usage: &proto.Usage{Input: 50, Output: 20, Complete: true},
			},
		},
		{
			file: "gemini.json", api: llmapi.GenerateContent,
			judged: []string{`!executableCode/ print(1)`, `exec/f1 {"command": "id"}`},
			text:   "Running",
			want: answer.Result{
				ID: "r-1", Model: "gemini-2.0-flash", FinishReasons: []string{"STOP"},
				Usage: &proto.Usage{Input: 4, Output: 9, Complete: true},
			},
		},
		{
			file: "interactions.sse", api: llmapi.Interactions,
			judged: []string{`!google_search_call/g1 {"queries":["go 1.26"]}`, `exec/call_1 {"command":"ls -la"}`},
			text:   "A list is wanted.I'll look “there” now.", released: 1,
			want: answer.Result{
				ID: "v1_9", Model: "gemini-3.1-pro-preview", FinishReasons: []string{"requires_action"},
				Usage: &proto.Usage{Input: 40, Output: 27, CacheRead: 16, Reasoning: 7, Complete: true},
			},
		},
		{
			file: "interactions.json", api: llmapi.Interactions,
			judged: []string{`exec/call_1 {"command": "ls -la"}`},
			text:   "A list is wanted.I'll look there now.",
			want: answer.Result{
				ID: "v1_9", Model: "gemini-3.1-pro-preview", FinishReasons: []string{"requires_action"},
				Usage: &proto.Usage{Input: 40, Output: 27, CacheRead: 16, Reasoning: 7, Complete: true},
			},
		},
	}
}

func (g golden) data(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", g.file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// options releases every call and notes what was seen in seen.
func (g golden) options(seen *seen) answer.Options {
	return answer.Options{API: g.api, Stream: strings.HasSuffix(g.file, ".sse"), Judge: seen.judge, Text: seen.text}
}

type seen struct {
	calls []string
	said  strings.Builder
}

func (s *seen) judge(c llmapi.ToolCall) error {
	s.calls = append(s.calls, describe(c))
	return nil
}

// text notes what is said, and of arguments nothing: calls are judged.
func (s *seen) text(t answer.Text) func([]byte) error {
	return func(piece []byte) error {
		if t.Kind != answer.Arguments {
			s.said.Write(piece)
		}
		return nil
	}
}

func describe(c llmapi.ToolCall) string {
	remote := ""
	if c.Remote {
		remote = "!"
	}
	return strings.TrimSuffix(remote+c.Name+"/"+c.ID+" "+string(c.Arguments), " ")
}

// ways are ways in which the same bytes can arrive.
func ways(data []byte) map[string]io.Reader {
	return map[string]io.Reader{
		"at once":        bytes.NewReader(data),
		"byte by byte":   iotest.OneByteReader(bytes.NewReader(data)),
		"in halves":      iotest.HalfReader(bytes.NewReader(data)),
		"with the end":   iotest.DataErrReader(bytes.NewReader(data)),
		"in odd pieces":  &pieces{rest: data, random: rand.New(rand.NewPCG(1, 2))},
		"in other ones":  &pieces{rest: data, random: rand.New(rand.NewPCG(3, 4))},
		"in large units": io.MultiReader(bytes.NewReader(data[:len(data)/2]), bytes.NewReader(data[len(data)/2:])),
	}
}

type pieces struct {
	rest   []byte
	random *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), p.random.IntN(300))])
	p.rest = p.rest[n:]
	return n, nil
}

func TestPassesRecordingsUnchanged(t *testing.T) {
	for _, g := range goldens() {
		data := g.data(t)
		for way, body := range ways(data) {
			t.Run(g.file+"/"+way, func(t *testing.T) {
				var saw seen
				r := answer.NewReader(body, g.options(&saw))
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("err %v; %d bytes of %d, or others:\n%s", err, len(got), len(data), got)
				}
				if !reflect.DeepEqual(saw.calls, g.judged) {
					t.Errorf("judged\n%q, want\n%q", saw.calls, g.judged)
				}
				if saw.said.String() != g.text {
					t.Errorf("text %q, want %q", saw.said.String(), g.text)
				}
				result := r.Result()
				if len(result.ToolCalls) != len(g.judged) {
					t.Errorf("%d calls in the result, want %d", len(result.ToolCalls), len(g.judged))
				}
				for i, c := range result.ToolCalls {
					if c.Refused != nil || c.Arguments != nil || !strings.HasPrefix(g.judged[i], describe(c.ToolCall)) {
						t.Errorf("call %d is %+v, want %s", i, c, g.judged[i])
					}
				}
				result.ToolCalls = nil
				if !reflect.DeepEqual(result, g.want) {
					t.Errorf("result %+v\nusage %+v, want\n%+v\nusage %+v", result, result.Usage, g.want, g.want.Usage)
				}
			})
		}
	}
}

func TestWithoutJudgeOnlyWatches(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.file, func(t *testing.T) {
			data := g.data(t)
			r := answer.NewReader(bytes.NewReader(data), answer.Options{API: g.api})
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("err %v, %d bytes of %d", err, len(got), len(data))
			}
			result := r.Result()
			if len(result.ToolCalls) != len(g.judged) || !reflect.DeepEqual(result.Usage, g.want.Usage) {
				t.Errorf("result %+v, want %d calls", result, len(g.judged))
			}
		})
	}
}

// A refusal lets nothing out from the event on that would make the call whole, and
// everything before it.
func TestRefusesTheLastCall(t *testing.T) {
	verdict := errors.New(`"rm -rf" is not allowed`)
	starts := map[string]string{
		"messages.sse":     "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":3",
		"chat.sse":         `data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4.1-2025-04-14","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"/tmp`,
		"responses.sse":    "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":15",
		"gemini.sse":       `data: {"candidates": [{"content": {"parts": [{"functionCall"`,
		"interactions.sse": "event: step.delta\ndata: {\"event_type\":\"step.delta\",\"index\":3,\"delta\":{\"type\":\"arguments_delta\",\"arguments\":\"\\\"ls",
	}
	for _, g := range goldens() {
		data := g.data(t)
		for way, body := range ways(data) {
			t.Run(g.file+"/"+way, func(t *testing.T) {
				var saw seen
				o := g.options(&saw)
				o.Judge = func(c llmapi.ToolCall) error {
					_ = saw.judge(c)
					if len(saw.calls) == len(g.judged) {
						return verdict
					}
					return nil
				}
				r := answer.NewReader(body, o)
				got, err := io.ReadAll(r)
				result := r.Result()
				if !errors.Is(result.Blocked, verdict) {
					t.Errorf("blocked by %v, want the verdict", result.Blocked)
				}
				for i, c := range result.ToolCalls {
					if released := i < g.released; released != (c.Refused == nil) || len(result.ToolCalls) != len(g.judged) {
						t.Errorf("call %d of %d is %+v, released: %v", i, len(result.ToolCalls), c, released)
					}
				}
				if !o.Stream {
					if refused, ok := errors.AsType[*answer.Refused](err); !ok || refused.Reason != verdict || err.Error() != verdict.Error() || len(got) > 0 {
						t.Fatalf("%d bytes and %v, want none and a refusal", len(got), err)
					}
					return
				}
				want := string(data[:bytes.Index(data, []byte(starts[g.file]))]) +
					string(llmapi.Error{Status: 400, Message: verdict.Error()}.Event(g.api))
				if err != nil || string(got) != want {
					t.Fatalf("%v\n%s\nwant\n%s", err, got, want)
				}
			})
		}
	}
}

func TestDropsTheUsageChunk(t *testing.T) {
	g := goldens()[1]
	for name, ending := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		data := strings.ReplaceAll(string(g.data(t)), "\n", ending)
		start := strings.LastIndex(data, `data: {"id"`)
		end := strings.LastIndex(data, "data: [DONE]")
		want := data[:start] + data[end:]
		for way, body := range ways([]byte(data)) {
			t.Run(name+"/"+way, func(t *testing.T) {
				r := answer.NewReader(body, answer.Options{API: g.api, Stream: true, Judge: allow, Usage: answer.DropUsage})
				got, err := io.ReadAll(r)
				if err != nil || string(got) != want {
					t.Fatalf("%v\n%s\nwant\n%s", err, got, want)
				}
				if !reflect.DeepEqual(r.Result().Usage, g.want.Usage) {
					t.Errorf("usage %+v", r.Result().Usage)
				}
			})
		}
	}
	t.Run("an error stays", func(t *testing.T) {
		body := stream(`{"choices":[],"error":{"type":"x"},"usage":{}}`, `{"choices":[]}`, `{"choices":[],"usage":null}`)
		got, err := io.ReadAll(answer.NewReader(strings.NewReader(body), answer.Options{API: g.api, Usage: answer.DropUsage}))
		if err != nil || string(got) != body {
			t.Errorf("%v\n%s", err, got)
		}
	})
}

// A large event makes the buffers grow; what comes after it is cut as before.
func TestLargeEvents(t *testing.T) {
	for _, size := range []int{8 << 10, 100 << 10, 1 << 20} {
		text := strings.Repeat("x", size)
		body := stream(`{"type":"ping"}`, `{"type":"content_block_delta","index":0,"delta":{"text":"`+text+`"}}`, callStart,
			`{"type":"content_block_delta","index":0,"delta":{"partial_json":"`+text+`"}}`, callStop) + strings.Repeat(stream(`{"type":"ping"}`), 1000)
		var saw seen
		r := answer.NewReader(strings.NewReader(body), answer.Options{API: llmapi.Messages, Judge: saw.judge, Text: saw.text})
		got, err := io.ReadAll(r)
		if err != nil || string(got) != body {
			t.Errorf("%d bytes: %v, %d bytes of %d", size, err, len(got), len(body))
		}
		if saw.said.String() != text || len(saw.calls) != 1 || saw.calls[0] != "exec/t "+text {
			t.Errorf("%d bytes: %d bytes of text, %d calls", size, saw.said.Len(), len(saw.calls))
		}
	}
}

// A body that is longer than one read takes is judged as a whole.
func TestLargeBody(t *testing.T) {
	body := `{"content":[{"type":"text","text":"` + strings.Repeat("x", 100<<10) + `"},{"type":"tool_use","id":"t","name":"exec","input":{}}]}`
	for way, in := range ways([]byte(body)) {
		var saw seen
		got, err := io.ReadAll(answer.NewReader(in, answer.Options{API: llmapi.Messages, Judge: saw.judge}))
		if err != nil || string(got) != body || len(saw.calls) != 1 {
			t.Errorf("%s: %v, %d bytes of %d, judged %q", way, err, len(got), len(body), saw.calls)
		}
	}
}

func TestPassesOtherAPIs(t *testing.T) {
	for _, api := range []llmapi.API{llmapi.None, llmapi.CountTokens, llmapi.Embeddings} {
		const body = "{\"a\":1,\"a\":2} and \x00\xff anything"
		refuse := func(llmapi.ToolCall) error { return errors.New("no") }
		got, err := io.ReadAll(answer.NewReader(strings.NewReader(body), answer.Options{API: api, Judge: refuse}))
		if err != nil || string(got) != body {
			t.Errorf("%v: %q, %v", api, got, err)
		}
	}
}
