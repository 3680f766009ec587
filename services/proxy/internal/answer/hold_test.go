package answer_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// pump reads r to its end in a goroutine of its own.
type pump struct {
	chunks chan string
	err    error // valid once chunks is closed
}

func startPump(r io.Reader) *pump {
	p := &pump{chunks: make(chan string)}
	go func() {
		defer close(p.chunks)
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			if n > 0 {
				p.chunks <- string(buf[:n])
			}
			if err != nil {
				p.err = err
				return
			}
		}
	}()
	return p
}

// waiting is what has come by the time that nothing more can.
func (p *pump) waiting() string {
	var all strings.Builder
	for {
		synctest.Wait()
		select {
		case chunk, ok := <-p.chunks:
			if !ok {
				return all.String()
			}
			all.WriteString(chunk)
		default:
			return all.String()
		}
	}
}

// When the Judge is asked for the first time, everything is out up to the event that
// makes its call whole; after a refusal that is all.
func TestHoldsACallUntilItIsJudged(t *testing.T) {
	whole := map[string]string{
		"messages.sse":     ` -la\"}`,
		"chat.sse":         `"id":"call_b"`, // the first piece of a shell command, before the end of the other call
		"responses.sse":    `"\"pwd\"}"`,
		"gemini.sse":       `"functionCall"`,
		"interactions.sse": `"google_search_call"`,
	}
	for _, g := range goldens() {
		if whole[g.file] == "" {
			continue
		}
		data := g.data(t)
		events := strings.SplitAfter(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n\n")
		begun := ""
		for _, event := range events {
			if strings.Contains(event, whole[g.file]) {
				break
			}
			begun += event
		}
		for _, verdict := range []error{nil, errors.New("no")} {
			t.Run(fmt.Sprintf("%s/%v", g.file, verdict), func(t *testing.T) {
				var out strings.Builder
				asked := false
				body := &stepwise{events: events, before: func(int) {}}
				r := answer.NewReader(body, answer.Options{API: g.api, Stream: true, Judge: func(llmapi.ToolCall) error {
					if !asked && out.String() != begun {
						t.Errorf("out is\n%s\nwant\n%s", out.String(), begun)
					}
					asked = true
					return verdict
				}})
				if _, err := io.Copy(&out, r); err != nil || !asked {
					t.Fatalf("%v, asked: %v", err, asked)
				}
				want := strings.Join(events, "")
				if verdict != nil {
					want = begun + string(llmapi.Error{Status: 400, Message: "no"}.Event(g.api))
				}
				if out.String() != want {
					t.Errorf("in the end out is\n%s\nwant\n%s", out.String(), want)
				}
			})
		}
	}
}

func TestPingsOvertakeAHeldCall(t *testing.T) {
	const (
		start = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"exec\",\"input\":{}}}\n\n"
		patch = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"partial_json\":\"*** Begin\"}}\n\n"
		ping  = "event: ping\ndata: {\"type\": \"ping\"}\n\n"
		note  = ": still there\n\n"
		stop  = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
	)
	synctest.Test(t, func(t *testing.T) {
		body, upstream := io.Pipe()
		out := startPump(answer.NewReader(body, answer.Options{API: llmapi.Messages, Stream: true, Judge: allow}))
		go func() { _, _ = io.WriteString(upstream, start+patch+ping+note) }()
		if got := out.waiting(); got != start+ping+note {
			t.Fatalf("while the call is open: %q", got)
		}
		go func() {
			_, _ = io.WriteString(upstream, stop)
			_ = upstream.Close()
		}()
		if got := out.waiting(); got != patch+stop || out.err != io.EOF {
			t.Fatalf("after it: %q, %v", got, out.err)
		}
	})
}

// A call that nothing has ended ends with the answer, even if the connection
// stays open; and what belongs to a released event does not wait for the next.
func TestReleasesAtTheEndOfTheAnswer(t *testing.T) {
	tests := []struct {
		name   string
		api    llmapi.API
		pieces []string // each goes on once it is there
	}{
		{"messages", llmapi.Messages, []string{stream(callStart, callDelta, `{"type":"message_stop"}`)}},
		{"responses", llmapi.Responses, []string{stream(itemAdded, itemDelta, `{"type":"response.incomplete"}`)}},
		{"chat", llmapi.ChatCompletions, []string{stream(calling(`{"index":0,"id":"a","function":{"name":"exec"}}`), "[DONE]")}},
		{"a late LF", llmapi.Messages, []string{"data: " + callStart + "\r\n\r\ndata: " + callStop + "\r\n\r", "\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body, upstream := io.Pipe()
				out := startPump(answer.NewReader(body, answer.Options{API: tt.api, Stream: true, Judge: allow}))
				for _, piece := range tt.pieces {
					go func() { _, _ = io.WriteString(upstream, piece) }()
					if got := out.waiting(); got != piece {
						t.Errorf("%q has come of %q", got, piece)
					}
				}
				_ = upstream.Close()
				out.waiting()
			})
		})
	}
}

func allow(llmapi.ToolCall) error { return nil }

func TestHoldsNoMoreThanAllowed(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.file, func(t *testing.T) {
			var saw seen
			o := g.options(&saw)
			o.MaxCall, o.MaxBody = 8, 3000
			if !o.Stream {
				o.MaxBody = 100
			}
			r := answer.NewReader(strings.NewReader(string(g.data(t))), o)
			got, err := io.ReadAll(r)
			result := r.Result()
			if !errors.Is(result.Blocked, answer.ErrTooLarge) {
				t.Fatalf("blocked by %v, want %v", result.Blocked, answer.ErrTooLarge)
			}
			if o.Stream {
				if err != nil || !strings.HasSuffix(string(got), string(llmapi.Error{Status: 400, Message: answer.ErrTooLarge.Error()}.Event(g.api))) {
					t.Errorf("%v, ends with %q", err, got[max(0, len(got)-200):])
				}
				if c := result.ToolCalls[0]; !errors.Is(c.Refused, answer.ErrTooLarge) {
					t.Errorf("call %+v, want it refused", c)
				}
			} else if len(got) > 0 || !errors.Is(err, answer.ErrTooLarge) {
				t.Errorf("%d bytes and %v", len(got), err)
			}
		})
	}
}

func TestPassesWhatIsTooLargeWithoutJudge(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.file, func(t *testing.T) {
			data := g.data(t)
			for way, body := range ways(data) {
				got, err := io.ReadAll(answer.NewReader(body, answer.Options{API: g.api, MaxBody: 100, Forbidden: [][]byte{[]byte("sk-ant-api03-secret")}}))
				if err != nil || string(got) != string(data) {
					t.Errorf("%s: %v, %d bytes of %d", way, err, len(got), len(data))
				}
			}
		})
	}
}

// What breaks off cannot be judged, so what was held of a call is not passed on.
func TestBrokenStream(t *testing.T) {
	broken := errors.New("connection reset")
	g := goldens()[0]
	data := string(g.data(t))
	cut := strings.Index(data, ` -la\"}`)
	start := strings.LastIndex(data[:cut], "event:")
	body := func() io.Reader {
		return io.MultiReader(strings.NewReader(data[:cut]), failing{broken})
	}
	t.Run("judged", func(t *testing.T) {
		var saw seen
		r := answer.NewReader(body(), g.options(&saw))
		got, err := io.ReadAll(r)
		result := r.Result()
		if err != broken || string(got) != data[:start] {
			t.Errorf("%v, out is\n%s\nwant\n%s", err, got, data[:start])
		}
		if len(saw.calls) != 0 || len(result.ToolCalls) != 1 || !errors.Is(result.ToolCalls[0].Refused, broken) {
			t.Errorf("judged %q, calls %+v", saw.calls, result.ToolCalls)
		}
		if result.Usage == nil || result.Usage.Complete || result.Usage.Output != 3 || result.Blocked != nil {
			t.Errorf("usage %+v, blocked %v", result.Usage, result.Blocked)
		}
	})
	t.Run("watched", func(t *testing.T) {
		r := answer.NewReader(body(), answer.Options{API: g.api, Stream: true})
		got, err := io.ReadAll(r)
		if err != broken || string(got) != data[:cut] {
			t.Errorf("%v, %d bytes of %d", err, len(got), cut)
		}
	})
	t.Run("ended early", func(t *testing.T) {
		var saw seen
		r := answer.NewReader(strings.NewReader(data[:cut]), g.options(&saw))
		got, err := io.ReadAll(r)
		// The rest of an event is one that cannot be read.
		if err != nil || !errors.Is(r.Result().Blocked, answer.ErrMalformed) || !strings.HasPrefix(string(got), data[:start]+"event: error\n") {
			t.Errorf("%v, %v\n%s", err, r.Result().Blocked, got)
		}
	})
	t.Run("ended between events", func(t *testing.T) {
		var saw seen
		at := strings.LastIndex(data[:cut], "event:")
		r := answer.NewReader(strings.NewReader(data[:at]), g.options(&saw))
		got, err := io.ReadAll(r)
		if err != nil || string(got) != data[:at] || len(saw.calls) != 1 || saw.calls[0] != `exec/toolu_01T1 {"command": "ls` {
			t.Errorf("%v, judged %q\n%s", err, saw.calls, got)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReaderThatNeverReads(t *testing.T) {
	_, err := io.ReadAll(answer.NewReader(idle{}, answer.Options{API: llmapi.Messages}))
	if err != io.ErrNoProgress {
		t.Errorf("%v, want %v", err, io.ErrNoProgress)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// Text that may not go on ends the answer before it, and everything that Read has
// not returned by then.
func TestTextThatMayNotGoOn(t *testing.T) {
	first, bad := "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"fine\"}}\n\n",
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"bad\"}}\n\n"
	reason := fmt.Errorf("found: %w", llmapi.Error{Status: 418, Message: "no"})
	options := func(stream bool) answer.Options {
		return answer.Options{API: llmapi.Messages, Stream: stream, Judge: allow, Text: func(answer.Text) func([]byte) error {
			return func(text []byte) error {
				if string(text) == "bad" {
					return reason
				}
				return nil
			}
		}}
	}
	told := "\n\n" + string(llmapi.Error{Status: 418, Message: "no"}.Event(llmapi.Messages))
	t.Run("what was read before is out", func(t *testing.T) {
		in, out := io.Pipe()
		r := answer.NewReader(in, options(true))
		go func() {
			_, _ = io.WriteString(out, first)
			_, _ = io.WriteString(out, bad+first)
		}()
		buffer := make([]byte, 1<<10)
		n, err := r.Read(buffer)
		if err != nil || string(buffer[:n]) != first {
			t.Fatalf("%v, %q", err, buffer[:n])
		}
		rest, err := io.ReadAll(r)
		if err != nil || string(rest) != told {
			t.Errorf("%v, %q", err, rest)
		}
		if got := r.Result().Blocked; got != reason {
			t.Errorf("blocked by %v", got)
		}
	})
	t.Run("what was not is dropped", func(t *testing.T) {
		got, err := io.ReadAll(answer.NewReader(strings.NewReader(first+bad), options(true)))
		if err != nil || string(got) != told {
			t.Errorf("%v, %q", err, got)
		}
	})
	t.Run("a part of it is out", func(t *testing.T) {
		r := answer.NewReader(strings.NewReader(first+bad), options(true))
		short := make([]byte, 10)
		if n, err := r.Read(short); err != nil || string(short[:n]) != first[:10] {
			t.Fatalf("%v, %q", err, short[:n])
		}
		rest, err := io.ReadAll(r)
		if err != nil || string(rest) != told {
			t.Errorf("%v, %q", err, rest)
		}
	})
	for name, body := range map[string]string{
		"a body":                 `{"type":"message","content":[{"type":"text","text":"bad"}]}`,
		"events that say so not": first + bad,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(answer.NewReader(strings.NewReader(body), options(false)))
			told, ok := errors.AsType[llmapi.Error](err)
			if len(got) > 0 || !ok || told.Status != 418 || !errors.Is(err, reason) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
