package proxy

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/detect"
)

// What eight times the input may cost: eight times as much and a wide margin for the
// machine, and half of what the square would take.
const (
	moreInput = 8
	mostRatio = 32
)

// cheapest is the least processor time of several in which f runs. What other
// processes do adds little to it, unlike to the time that passes.
func cheapest(t *testing.T, f func()) time.Duration {
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	best := time.Hour
	for range 4 {
		start := used()
		f()
		best = min(best, used()-start)
	}
	return best
}

// For any answer of a provider or request of a client, the time that it takes grows with its
// length and not faster. Each form is one that a parser or a search could go through
// again and again.
func TestCostIsLinear(t *testing.T) {
	repeat := strings.Repeat
	chat := func(delta string) string { return `data: {"choices":[{"index":0,"delta":{` + delta + "}}]}\n\n" }
	answers := map[string]func(n int) string{
		"lines that end in CR":    func(n int) string { return repeat("a\r", 40*n) + "\r" },
		"lines of data":           func(n int) string { return repeat("data: \n", 20*n) + "\n" },
		"separators in a comment": func(n int) string { return ": " + repeat("\u2028data: {}\u2028", 10*n) + "\n\n" },
		"separators in data":      func(n int) string { return `data: {"a":"` + repeat("\u2028", 20*n) + "\"}\n\n" },
		"fragments with a name": func(n int) string {
			return repeat(chat(`"tool_calls":[{"function":{"name":"a","arguments":"xx"}}]`), n)
		},
		"fragments of many calls": func(n int) string {
			return repeat(chat(`"tool_calls":[{"index":7,"id":"a","function":{"arguments":"{"}}]`), n)
		},
		"letters of an unknown member": func(n int) string { return repeat(chat(`"x":"s"`), n) },
		"names of one object":          func(n int) string { return `data: {` + numbered(5*n, `"%d":0`) + "}\n\n" },
		"backslashes":                  func(n int) string { return chat(`"content":"` + repeat(`\\`, 40*n) + `"`) },
		"quotes":                       func(n int) string { return chat(`"content":"` + repeat(`\"`, 40*n) + `"`) },
		"the key, again and again":     func(n int) string { return chat(`"content":"` + repeat(`sk-ant-api03-fake-`, 10*n) + `"`) },
		"escapes of HTML":              func(n int) string { return chat(`"content":"` + repeat(`&#`, 40*n) + `"`) },
		"brackets":                     func(n int) string { return "data: " + repeat("[", 40*n) + "\n\n" },
		"comments":                     func(n int) string { return repeat(": s\n\n", 4*n) },
	}
	requests := map[string]func(n int) string{
		"texts": func(n int) string { return `[` + numbered(10*n, `"text %d"`) + `]` },
		"names": func(n int) string { return `[{` + numbered(10*n, `"a %d":1`) + `}]` },
		"base64": func(n int) string {
			return `"` + base64.StdEncoding.EncodeToString([]byte(repeat("text ", 20*n))) + `"`
		},
		"almost base64": func(n int) string { return `"` + repeat("text", 20*n) + `."` },
		"token=":        func(n int) string { return `"` + repeat("token=", 20*n) + `"` },
		"instructions":  func(n int) string { return `"` + repeat("ignore previous ", 10*n) + `"` },
		"percent":       func(n int) string { return `"` + repeat("%25", 30*n) + `"` },
		"images": func(n int) string {
			return `[` + numbered(n, `{"type":"image","source":{"type":"url","url":"https://%d.example"}}`) + `]`
		},
	}
	const size = 1500
	for name, form := range answers {
		t.Run("answer of "+name, func(t *testing.T) {
			var body string
			provider := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, body)
			})
			r := newSolo(t, provider, func(c *Config) { c.AuditContent = true })
			cost := func(n int) time.Duration {
				body = form(n)
				return cheapest(t, func() { r.serve(`{"model":"m","stream":true,"messages":[]}`) })
			}
			bounded(t, cost(size), cost(moreInput*size))
		})
	}
	for name, form := range requests {
		t.Run("request of "+name, func(t *testing.T) {
			provider := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
			r := newSolo(t, provider, func(c *Config) {
				c.AuditContent = true
				c.Detections = detect.Modes{detect.RunawayLoop: detect.Off}
			})
			next := 0
			cost := func(n int) time.Duration {
				return cheapest(t, func() {
					next++ // what has been seen is not looked at again
					r.serve(fmt.Sprintf(`{"model":"m","messages":[{"role":"tool","tool_call_id":"%d","content":%s},{"role":"user","content":"%d"}]}`, next, form(n+next), next))
				})
			}
			bounded(t, cost(size), cost(moreInput*size))
		})
	}
}

func bounded(t *testing.T, little, much time.Duration) {
	t.Helper()
	const noise = 2 * time.Millisecond // of a request that takes next to nothing
	if much > mostRatio*(little+noise) {
		t.Errorf("%d times the input takes %v in place of %v", moreInput, much, little)
	}
}

// numbered are n times format with a number, separated by commas.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// serve has the proxy serve one request of Chat Completions in this process.
func (r *rig) serve(body string) {
	defer func() { _ = recover() }() // how it ends an answer that has begun
	request := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", bytes.NewReader([]byte(body)))
	request.Header.Set("Content-Type", "application/json")
	request.Host = "localhost"
	r.proxy.ServeHTTP(httptest.NewRecorder(), request)
}
