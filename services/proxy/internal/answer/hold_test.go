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

// While the Judge thinks, the text before the call is out, and nothing of the
// call; while the stream is silent, whatever could go on has gone.
func TestHoldsACallUntilItIsJudged(t *testing.T) {
	for _, g := range goldens() {
		if !strings.HasSuffix(g.file, ".sse") {
			continue
		}
		for _, verdict := range []error{nil, errors.New("no")} {
			t.Run(fmt.Sprintf("%s/%v", g.file, verdict), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { holdACall(t, g, verdict) })
			})
		}
	}
}

func holdACall(t *testing.T, g golden, verdict error) {
	asked, verdicts, over := make(chan string), make(chan error), make(chan struct{})
	body, upstream := io.Pipe()
	r := answer.NewReader(body, answer.Options{API: g.api, Stream: true, Judge: func(c llmapi.ToolCall) error {
		select {
		case asked <- c.Name:
			return <-verdicts
		case <-over:
			return nil
		}
	}})
	out := startPump(r)
	defer func() {
		close(over)
		_ = upstream.Close()
		_ = body.Close()
		out.waiting()
	}()
	events := strings.SplitAfter(string(g.data(t)), "\n\n")
	if strings.Contains(events[0], "\r") {
		events = strings.SplitAfter(string(g.data(t)), "\r\n\r\n")
	}
	var sent, got string
	calls := map[llmapi.API]string{
		llmapi.Messages:        `"tool_use","id"`,
		llmapi.ChatCompletions: `"tool_calls":[`,
		llmapi.Responses:       `"type":"function_call"`,
		llmapi.GenerateContent: `"functionCall"`,
	}
	begun := ""
	for i, event := range events {
		if begun == "" && strings.Contains(event, calls[g.api]) {
			begun = sent
		}
		written := make(chan struct{})
		go func() {
			_, _ = io.WriteString(upstream, event)
			close(written)
		}()
		synctest.Wait()
		got += out.waiting()
		select {
		case <-asked:
			if got != begun {
				t.Fatalf("judging at event %d; out is\n%s\nwant\n%s", i, got, begun)
			}
			verdicts <- verdict
			synctest.Wait()
			got += out.waiting()
			if verdict == nil && g.api == llmapi.Messages && got != sent+event {
				t.Fatalf("released at event %d; out is\n%s\nwant\n%s", i, got, sent+event)
			}
			if verdict != nil {
				want := begun + string(llmapi.Error{Status: 400, Message: "no"}.Event(g.api))
				if got != want || out.err != io.EOF {
					t.Fatalf("after the refusal %v\n%s\nwant\n%s", out.err, got, want)
				}
			}
			_ = body.Close()
			<-written
			return
		default:
		}
		<-written
		sent += event
		if begun == "" && got != sent {
			t.Fatalf("after event %d out is\n%s\nwant\n%s", i, got, sent)
		}
		if begun != "" && got != begun {
			t.Fatalf("event %d of a call is out:\n%s", i, got)
		}
	}
	t.Fatal("no call was judged")
}

func TestPingsOvertakeAHeldCall(t *testing.T) {
	const (
		start = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"exec\",\"input\":{}}}\n\n"
		ping  = "event: ping\ndata: {\"type\": \"ping\"}\n\n"
		note  = ": still there\n\n"
		stop  = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
	)
	synctest.Test(t, func(t *testing.T) {
		body, upstream := io.Pipe()
		out := startPump(answer.NewReader(body, answer.Options{API: llmapi.Messages, Stream: true, Judge: allow}))
		go func() { _, _ = io.WriteString(upstream, start+ping+note) }()
		if got := out.waiting(); got != ping+note {
			t.Fatalf("while the call is open: %q", got)
		}
		go func() {
			_, _ = io.WriteString(upstream, stop)
			_ = upstream.Close()
		}()
		if got := out.waiting(); got != start+stop || out.err != io.EOF {
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
			o.MaxHeld, o.MaxBody = 200, 3000
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

// What breaks off cannot be judged, so a call that was held is not passed on.
func TestBrokenStream(t *testing.T) {
	broken := errors.New("connection reset")
	g := goldens()[0]
	data := string(g.data(t))
	start := strings.Index(data, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2")
	cut := strings.Index(data, ` -la\"}`)
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
