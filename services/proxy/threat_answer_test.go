package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

// The guard sees every text that a model will, wherever it stands.
func guardThreats() []threat {
	const anthropic, openai, gemini = "/v1/messages", "/v1/chat/completions", "/v1beta/models/gemini-2.5-pro:generateContent"
	var all []threat
	for _, hidden := range []struct{ name, path, body string }{
		{"a tool's result", anthropic, `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"INJECTED"}]}]`},
		{"a tool's result in blocks", anthropic, `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"INJECTED"}]}]}]`},
		{"a text block", anthropic, `"messages":[{"role":"user","content":[{"type":"text","text":"INJECTED"}]}]`},
		{"a document", anthropic, `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"It is INJECTED here."}}]}]`},
		{"the system prompt", anthropic, `"system":[{"type":"text","text":"INJECTED"}],"messages":[{"role":"user","content":"hi"}]`},
		{"a tool's description", anthropic, `"tools":[{"name":"a","description":"It is INJECTED here.","input_schema":{}}],"messages":[{"role":"user","content":"hi"}]`},
		{"a shape of tomorrow", anthropic, `"messages":[{"role":"user","content":"hi"}],"memories":[{"note":{"says":"It is INJECTED here."}}]`},
		{"escapes", anthropic, `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"\u0049NJECTE\u0044"}]}]`},
		{"OpenAI's tool role", openai, `"messages":[{"role":"tool","tool_call_id":"t","content":"INJECTED"}]`},
		{"OpenAI's developer role", openai, `"messages":[{"role":"developer","content":"INJECTED"}]`},
		{"the input of Responses", "/v1/responses", `"input":"INJECTED"`},
		{"the instructions of Responses", "/v1/responses", `"instructions":"INJECTED","input":"hi"`},
		{"a tool's output in Responses", "/v1/responses", `"input":[{"type":"function_call_output","call_id":"c","output":"INJECTED"}]`},
		{"Gemini's parts", gemini, `"contents":[{"role":"user","parts":[{"text":"INJECTED"}]}]`},
		{"Gemini's tool results", gemini, `"contents":[{"role":"user","parts":[{"functionResponse":{"name":"a","response":{"result":"It is INJECTED here."}}}]}]`},
	} {
		body := `{"model":"claude-sonnet-4-5","max_tokens":9,` + hidden.body + `}`
		if hidden.path == gemini {
			body = `{` + hidden.body + `}`
		}
		all = append(all, threat{
			name: "the guard and " + hidden.name, guard: blockWith("INJECTED", "an injection"),
			prepare: usual(func(r *rig) string { return r.refused(400, r.post(hidden.path, body)) }),
		})
	}
	says := func(text string) string { return message(false, text) }
	return append(all,
		threat{name: "the guard and a compressed body", guard: blockWith("INJECTED", "an injection"), prepare: usual(func(r *rig) string {
			return r.refused(400, r.post(anthropic, zipped(says("INJECTED")), "Content-Encoding", "gzip"))
		})},
		threat{name: "the guard and a repeated name", guard: blockWith("INJECTED", "an injection"), prepare: usual(func(r *rig) string {
			return r.refused(400, r.post(anthropic, `{"messages":[{"role":"user","content":"INJECTED"}],"messages":[{"role":"user","content":"hi"}]}`))
		})},
		threat{name: "the guard answers HTTP 500", guard: down, prepare: usual(func(r *rig) string { return r.refused(400, r.post(anthropic, says("hi"))) })},
		threat{name: "the guard's reason has quotes", guard: blockWith("INJECTED", `"}, "x": \ "`), prepare: usual(func(r *rig) string {
			got := r.post(anthropic, says("INJECTED"))
			if !json.Valid([]byte(got.body)) {
				return got.body
			}
			return r.refused(400, got)
		})},
	)
}

// An answer shows the key to nobody, arrives whole, and is counted as the
// provider does.
func answerThreats() []threat {
	var all []threat
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate"} {
		all = append(all, threat{name: "an answer in " + encoding + " that was not asked for", prepare: usual(func(r *rig) string {
			for _, stream := range []bool{false, true} {
				got := r.post("/v1/messages", message(stream, "#"+encoding+"\n#say hello"), "Accept-Encoding", "identity")
				length := got.header.Get("Content-Length")
				if got.status != 200 || got.err != nil || !strings.Contains(got.body, "hello") || got.header.Get("Content-Encoding") != "" || length != "" && length != fmt.Sprint(len(got.body)) {
					return fmt.Sprintf("stream %t: %d %v %q %v", stream, got.status, got.header, got.body, got.err)
				}
			}
			return ""
		})})
	}
	for _, stream := range []bool{false, true} {
		all = append(all, threat{name: fmt.Sprintf("the key echoed, stream %t", stream), prepare: usual(func(r *rig) string {
			got := r.post("/v1/messages", message(stream, "hi\n#echo-key"))
			if strings.Contains(got.body+fmt.Sprint(got.header)+spoken(got.body), llmtest.Key) {
				return got.body
			}
			if !strings.Contains(got.body, "error") {
				return "no error: " + got.body
			}
			return ""
		})})
	}
	echo := func(name string, stream bool, pieces ...string) threat {
		return threat{name: name, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			return script(stream, pieces...), func(r *rig) string {
				got := r.post("/v1/messages", message(stream, "hi"))
				if strings.Contains(got.body, llmtest.Key) || strings.Contains(spoken(got.body), llmtest.Key) {
					return got.body
				}
				return ""
			}
		}}
	}
	a, b, c := llmtest.Key[:10], llmtest.Key[10:30], llmtest.Key[30:]
	return append(all,
		echo("the key in an error, split over chunks", false, `{"type":"error","error":{"type":"authentication_error","message":"`+a, b, c+` is invalid"}}`),
		echo("the key in a stream's error, split over chunks", true, `data: {"type":"error","error":{"type":"api_error","message":"`+a, b, c+"\"}}\n\n"),
		echo("the key split over deltas", true, delta(a), delta(b), delta(c)),
		echo("the key split over deltas with a ping between", true, delta(a), "event: ping\ndata: {\"type\":\"ping\"}\n\n", delta(b), ": comment\n\n", delta(c)),
		threat{name: "usage is replaced, not added", withstood: true, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			return script(true,
					sse("message_start", `"message":{"id":"msg_1","model":"claude-sonnet-4-5","usage":{"input_tokens":7,"cache_read_input_tokens":100,"output_tokens":1}}`),
					sse("message_delta", `"delta":{},"usage":{"output_tokens":10}`),
					sse("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":25}`),
					sse("message_stop", `"x":0`),
				), func(r *rig) string {
					r.post("/v1/messages", message(true, "hi"))
					if u := r.final().Usage; !reflect.DeepEqual(u, &proto.Usage{Input: 107, Output: 25, CacheRead: 100, Complete: true}) {
						return fmt.Sprintf("%+v", u)
					}
					return ""
				}
		}},
		threat{name: "an error in the midst of a stream", withstood: true, prepare: usual(func(r *rig) string {
			got := r.post("/v1/messages", message(true, "hi\n#text 20\n#error-after 5"))
			a := r.final()
			if got.status != 200 || got.err != nil || !strings.Contains(got.body, "event: error") || a.ErrorType == "" || a.Usage == nil || a.Usage.Complete {
				return fmt.Sprintf("%+v, record %+v", got, a)
			}
			return ""
		})},
		threat{name: "a stream that breaks off does not look complete", withstood: true, prepare: usual(func(r *rig) string {
			got := r.post("/v1/messages", message(true, "hi\n#text 20\n#break-after 5"))
			if a := r.final(); got.err == nil || a.Decision != proto.DecisionFailed || a.ErrorType != "upstream_broken" || a.Usage == nil || a.Usage.Complete {
				return fmt.Sprintf("%+v, record %+v", got, a)
			}
			return ""
		})},
	)
}

// sse is an event of Anthropic's.
func sse(kind, members string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"," + members + "}\n\n"
}

func delta(text string) string {
	return sse("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"`+text+`"}`)
}

// script is a provider that answers with pieces, each sent by itself.
func script(stream bool, pieces ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if stream {
			w.Header().Set("Content-Type", "text/event-stream")
		} else {
			w.WriteHeader(http.StatusUnauthorized)
		}
		for _, piece := range pieces {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	})
}

// spoken is the text of a Messages stream, put together as a client does.
func spoken(stream string) string {
	var text strings.Builder
	for line := range strings.Lines(stream) {
		data, ok := strings.CutPrefix(line, "data: ")
		var e struct{ Delta struct{ Text string } }
		if ok && json.Unmarshal([]byte(data), &e) == nil {
			text.WriteString(e.Delta.Text)
		}
	}
	return text.String()
}

// Connections neither leak nor hang.
func connectionThreats() []threat {
	soon := func(c *Config) { c.HeaderWait, c.IdleWait = 100*time.Millisecond, 100*time.Millisecond }
	// A client that gives up shows that the proxy would not have.
	hangs := func(name, endType, pieces string) threat {
		return threat{name: name, change: soon, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // so that the client's end is noticed
					if pieces != "" {
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, pieces)
						_ = http.NewResponseController(w).Flush()
					}
					<-r.Context().Done()
				}), func(r *rig) string {
					patience := time.Minute
					if r.proxy == nil {
						patience = time.Second // it has none of its own
					}
					ctx, cancel := context.WithTimeout(r.t.Context(), patience)
					defer cancel()
					err := ask(ctx, r.url)
					if ctx.Err() != nil {
						return "the client had to give up"
					}
					if r.proxy == nil {
						return fmt.Sprintf("the answer ended with %v", err)
					}
					if a := r.final(); a.ErrorType != endType || a.Decision != proto.DecisionFailed {
						return fmt.Sprintf("%v, record %+v", err, a)
					}
					return ""
				}
		}}
	}
	return []threat{
		hangs("a provider that never answers", "upstream_timeout", ""),
		hangs("a connection that dies in the midst of a stream", "upstream_idle", delta("hello")),
		{name: "a client that goes is not worked for", withstood: true, prepare: usual(func(r *rig) string {
			ctx, cancel := context.WithCancel(r.t.Context())
			gone := make(chan error, 1)
			go func() { gone <- ask(ctx, r.url) }()
			bustest.Eventually(r.t, "the provider answers", func() bool { return r.provider.Active() == 1 })
			cancel()
			<-gone
			bustest.Eventually(r.t, "the provider is left alone", func() bool { return r.provider.Active() == 0 })
			if a := r.final(); a.ErrorType != "client_gone" || a.Usage != nil && a.Usage.Complete {
				return fmt.Sprintf("record %+v", a)
			}
			return ""
		})},
		{name: "a connection for each request", withstood: true, prepare: func(*testing.T) (http.Handler, func(*rig) string) {
			var from sync.Map
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					from.Store(r.RemoteAddr, nil)
					_, _ = io.WriteString(w, "{}")
				}), func(r *rig) string {
					for range 20 {
						r.post("/v1/messages", message(false, "hi"))
					}
					connections := 0
					from.Range(func(any, any) bool { connections++; return true })
					if connections != 1 {
						return fmt.Sprintf("%d connections for requests one after another", connections)
					}
					return ""
				}
		}},
		{name: "it listens to this machine only", withstood: true, prepare: usual(func(*rig) string {
			var c Config
			if err := config.Load(&c, nil); err != nil {
				return err.Error()
			}
			if host, _, _ := net.SplitHostPort(c.Addr); !net.ParseIP(host).IsLoopback() {
				return c.Addr
			}
			return ""
		})},
	}
}

// ask sends a request that the usual provider does not answer to its end, and
// waits for that.
func ask(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/messages", strings.NewReader(message(true, "hi\n#stall 3")))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Anthropic-Version", "2023-06-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
