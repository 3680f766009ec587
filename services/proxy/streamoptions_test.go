package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// chatServer is a server of Chat Completions that counts who asks it for the usage.
type chatServer struct {
	mu     sync.Mutex
	bodies []string
	answer func(asked bool) (status int, body string)
}

func (s *chatServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	status, answer := s.answer(strings.Contains(string(body), `"stream_options"`))
	w.Header().Set("Content-Type", "text/event-stream")
	if status != http.StatusOK {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// asked are the bodies that came, as whether they ask for the usage.
func (s *chatServer) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []byte
	for _, body := range s.bodies {
		if strings.Contains(body, `"stream_options"`) {
			all = append(all, 'a')
		} else {
			all = append(all, '-')
		}
	}
	return string(all)
}

func chunk(rest string) string {
	return `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",` + rest + "}\n\n"
}

// Chunks of a stream: a word, the end, the usage; and the first two as a server marks them that
// was asked for the usage.
var (
	wordChunk  = chunk(`"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]`)
	endChunk   = chunk(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`)
	usageChunk = chunk(`"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}`)
	markedWord = chunk(`"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null`)
	markedEnd  = chunk(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null`)
)

const (
	done       = "data: [DONE]\n\n"
	streamBody = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
)

// A client gets what the server says unasked, and not what only the proxy has asked for.
func TestUsageOfAStream(t *testing.T) {
	plain, marked := wordChunk+endChunk, markedWord+markedEnd
	for _, test := range []struct {
		name   string
		never  string // LLM_NO_STREAM_OPTIONS
		answer func(asked bool) (int, string)
		asked  string   // of each request: a for asked
		gets   []string // by the client, each time
		counts string   // of the records: u for a usage that was recorded
	}{
		{
			"as OpenAI", "", func(asked bool) (int, string) {
				if asked {
					return 200, marked + usageChunk + done
				}
				return 200, plain + done
			}, "aaa", []string{marked + done, marked + done, marked + done}, "uuu",
		},
		{
			"without a mark", "", func(asked bool) (int, string) {
				if asked {
					return 200, plain + usageChunk + done
				}
				return 200, plain + done
			}, "a-aa", []string{plain + usageChunk + done, plain + done, plain + done, plain + done}, "u-uu",
		},
		{
			"always", "", func(bool) (int, string) { return 200, plain + usageChunk + done },
			"a--",
			[]string{plain + usageChunk + done, plain + usageChunk + done, plain + usageChunk + done},
			"uuu",
		},
		{
			"never", "", func(bool) (int, string) { return 200, plain + done },
			"aa",
			[]string{plain + done, plain + done},
			"--",
		},
		{
			"refused with 422", "", func(asked bool) (int, string) {
				if asked {
					return 422, `{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}`
				}
				return 200, plain + usageChunk + done
			}, "a--", []string{plain + usageChunk + done, plain + usageChunk + done}, "uu",
		},
		{
			"refused with 400", "", func(asked bool) (int, string) {
				if asked {
					return 400, `{"error":{"message":"Unknown parameter: 'stream_options'.","type":"invalid_request_error"}}`
				}
				return 200, plain + done
			}, "a--", []string{plain + done, plain + done}, "--",
		},
		{
			"refused for something else", "", func(bool) (int, string) { return 400, `{"error":{"message":"no such model"}}` },
			"aa",
			[]string{`{"error":{"message":"no such model"}}`, `{"error":{"message":"no such model"}}`},
			"--",
		},
		{
			"set", "openai", func(bool) (int, string) { return 200, plain + usageChunk + done },
			"--",
			[]string{plain + usageChunk + done, plain + usageChunk + done},
			"uu",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &chatServer{answer: test.answer}
			upstream := httptest.NewServer(server)
			defer upstream.Close()
			r := newRig(t, func(c *Config) {
				c.LLM.OpenAIBase = upstream.URL
				if test.never != "" {
					c.LLM.NoStreamOptions = []string{test.never}
				}
			})
			for i, want := range test.gets {
				if got := r.post("/v1/chat/completions", streamBody); got.body != want {
					t.Errorf("request %d: %d %s\nwant %s", i+1, got.status, got.body, want)
				}
			}
			if asked := server.asked(); asked != test.asked {
				t.Errorf("asked %s, want %s", asked, test.asked)
			}
			for _, body := range server.bodies {
				if !strings.Contains(body, `"stream_options"`) && body != streamBody {
					t.Errorf("sent %s", body)
				}
			}
			var counts []byte
			for i, a := range r.audits(2 * len(test.gets)) {
				if i%2 == 0 {
					continue
				}
				if a.Usage != nil && a.Usage.Output == 7 {
					counts = append(counts, 'u')
				} else {
					counts = append(counts, '-')
				}
			}
			if string(counts) != test.counts {
				t.Errorf("recorded usage %s, want %s", counts, test.counts)
			}
		})
	}
}

// A client that asks, or says that it does not want to, is not meddled with.
func TestStreamOptionsOfTheClient(t *testing.T) {
	for _, body := range []string{
		`{"stream_options":{"include_usage":true},"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
		`{"stream_options":null,"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
		`{"model":"m","messages":[{"role":"user","content":"hi"}]}`,
	} {
		server := &chatServer{answer: func(bool) (int, string) {
			return 422, `{"error":{"message":"stream_options is not permitted"}}`
		}}
		upstream := httptest.NewServer(server)
		defer upstream.Close()
		r := newRig(t, func(c *Config) { c.LLM.OpenAIBase = upstream.URL })
		if got := r.post("/v1/chat/completions", body); got.status != 422 || !strings.Contains(got.body, "not permitted") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if len(server.bodies) != 1 || server.bodies[0] != body {
			t.Errorf("sent %q", server.bodies)
		}
	}
}
